"""The Gate page with doubles: the map, the ledger, providers and their keys, labels, detectors, budgets, the switch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QAbstractButton,
    QApplication,
    QComboBox,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QTableView,
    QWidget,
)
from pytestqt.qtbot import QtBot

from app.events import LedgerGrew, OfflineChanged
from app.gate.label import GateMode, Label
from app.gate.records import BytesLeft, LedgerCheck, Outcome, Provider
from engine.errors import GatehouseError
from tests.ui.conftest import House
from ui.models.ledger_table import Column, requests_of
from ui.models.place_table import Column as PlaceColumn
from ui.pages.gate.budgets import BudgetsView
from ui.pages.gate.data_map import Facts, boxes_of
from ui.pages.gate.detectors import DetectorsView
from ui.pages.gate.labels import LabelsView
from ui.pages.gate.ledger import LedgerView
from ui.pages.gate.overview import OverviewView
from ui.pages.gate.page import GatePage
from ui.pages.gate.providers import ProvidersView
from ui.pages.settings import SettingsPage
from ui.screenshots import sample_gate
from ui.statusbar import StatusBar
from ui.widgets.offline_switch import OfflineSwitch

View = TypeVar("View", bound=QWidget)
SECRET = "sk-test-5f0c8a"


@pytest.fixture
def page(qtbot: QtBot, house: House) -> GatePage:
    house.gate.furnish()
    made = GatePage(house.desk)
    qtbot.addWidget(made)
    made.resize(1208, 768)
    made.show()
    made.enter()
    qtbot.waitUntil(lambda: house.desk.bridge.idle)
    return made


def section(qtbot: QtBot, house: House, page: GatePage, key: str, kind: type[View]) -> View:
    page.show_section(key)
    view = page.sections[key]
    assert isinstance(view, kind)
    qtbot.waitUntil(lambda: house.desk.bridge.idle)
    return view


def cells(view: QTableView, column: int) -> list[str]:
    model = view.model()
    return [model.index(row, column).data() for row in range(model.rowCount())]


# The map.


@pytest.mark.parametrize(
    ("facts", "gate", "gate_on", "provider_on", "hub_on"),
    [
        (Facts(), "shut: all local", False, False, True),
        (Facts(asking=1, providers=sample_gate.PROVIDERS), "1 asks first", True, True, True),
        (Facts(asking=2, open=1, providers=sample_gate.PROVIDERS), "1 open, 2 ask", True, True, True),
        (Facts(open=1), "1 open", False, False, True),
        (Facts(open=1, offline=True, providers=sample_gate.PROVIDERS), "all stays", False, False, False),
    ],
)
def test_the_map_says_what_is_on(facts: Facts, gate: str, gate_on: bool, provider_on: bool, hub_on: bool) -> None:
    boxes = {box.key: box for box in boxes_of(facts)}
    assert boxes["gate"].detail == gate
    assert boxes["gate"].on is gate_on
    first = boxes.get("provider0", boxes.get("provider"))
    assert first is not None
    assert first.on is provider_on
    assert boxes["hub"].on is hub_on


def test_a_provider_without_a_key_can_be_asked_and_the_map_says_so() -> None:
    boxes = {box.title: box for box in boxes_of(Facts(open=1, providers=sample_gate.PROVIDERS))}
    assert boxes["Mistral"].on
    assert boxes["Mistral"].detail == "mistral-large-latest · no key"


def test_a_plain_store_is_said_to_be_plain() -> None:
    boxes = {box.key: box for box in boxes_of(Facts(encrypted=False))}
    assert (boxes["store"].detail, boxes["store"].tone) == ("not encrypted", "warning")


def test_zero_bytes_is_said_only_when_it_is_true(qtbot: QtBot, house: House, page: GatePage) -> None:
    view = section(qtbot, house, page, "map", OverviewView)
    assert view.count.text().replace("\u00a0", " ") == "30.2 KiB left this machine"
    house.gate.rows = ()
    view.refresh()
    qtbot.waitUntil(lambda: view.count.text() == "0 bytes left this machine")


def test_the_boxes_of_the_map_are_buttons_with_names(qtbot: QtBot, house: House, page: GatePage) -> None:
    view = section(qtbot, house, page, "map", OverviewView)
    assert all(box.accessibleName() and box.accessibleDescription() in ("on", "off") for box in view.map.boxes.values())
    view.map.boxes["ledger"].setFocus()
    QTest.keyClick(view.map.boxes["ledger"], Qt.Key.Key_Space)
    assert isinstance(page.sections["ledger"], LedgerView)
    assert page.bar.key == "ledger"
    view.map.boxes["model"].click()
    assert house.gone == ["models"]


def test_the_map_follows_the_gate_of_conversations(qtbot: QtBot, house: House, page: GatePage) -> None:
    view = section(qtbot, house, page, "map", OverviewView)
    assert view.map.boxes["gate"].detail == "shut: all local"
    house.desk.bridge.call(lambda: house.gate.set_mode("c2", GateMode.OPEN))
    qtbot.waitUntil(lambda: view.map.boxes["gate"].detail == "1 open")


# The ledger.


def test_the_two_rows_of_a_request_are_one_line() -> None:
    found = requests_of(sample_gate.LEDGER)
    assert len(found) == len(sample_gate.LEDGER) // 2
    assert found[0].begun.part == "begun"
    assert found[1].outcome is Outcome.CUT
    alone = requests_of([row for row in sample_gate.LEDGER if row.part == "begun"])
    assert {request.outcome for request in alone} == {Outcome.UNKNOWN}


def test_the_ledger_is_filtered_by_words_and_by_reason(qtbot: QtBot, house: House, page: GatePage) -> None:
    view = section(qtbot, house, page, "ledger", LedgerView)
    assert view.view.model().rowCount() == 10
    qtbot.keyClicks(view.field, "landlord cut")
    assert cells(view.view, Column.OUTCOME) == ["Cut off"]
    view.field.clear()
    view.purpose.setCurrentIndex(view.purpose.findData("download"))
    assert cells(view.view, Column.WHOM) == ["huggingface.co"]
    qtbot.keyClicks(view.field, "openai")
    assert view.nothing.sentence == "No request passes this filter."


def test_one_request_is_told_in_full(qtbot: QtBot, house: House, page: GatePage) -> None:
    view = section(qtbot, house, page, "ledger", LedgerView)
    told = [child.accessibleName() for child in view.detail.findChildren(QLabel)]
    assert "Conversation: Letter to the landlord about damp" in told
    assert "Agreed to by: you, on the sheet" in told
    assert f"SHA-256 of the body: {sample_gate.LEDGER[0].body_sha256}" in told
    assert any(words.startswith("Hidden: 3 × person, 1 × bank account") for words in told)


@pytest.mark.parametrize(
    ("check", "words"),
    [
        (LedgerCheck(True, 20, None, "The ledger is intact: 20 rows.", "ab" * 32), "The ledger is intact: 20 rows."),
        (LedgerCheck(False, 20, 13, "The ledger was changed.", ""), "The ledger was changed."),
    ],
)
def test_verifying_says_what_was_found(
    qtbot: QtBot, house: House, page: GatePage, check: LedgerCheck, words: str
) -> None:
    view = section(qtbot, house, page, "ledger", LedgerView)
    house.gate.check = check
    view.verify_button.click()
    qtbot.waitUntil(lambda: view.result == words)
    assert view.verify_button.isEnabled()


def test_a_request_that_leaves_appears_at_once(qtbot: QtBot, house: House, page: GatePage) -> None:
    view = section(qtbot, house, page, "ledger", LedgerView)
    begun = replace(sample_gate.LEDGER[1], seq=99, request_id="r99", at=sample_gate.LEDGER[1].at + 60)
    house.desk.bridge.ledger_grew.emit(LedgerGrew(begun))
    assert cells(view.view, Column.OUTCOME)[0] == "Not ended"
    ended = replace(sample_gate.LEDGER[0], seq=100, request_id="r99", at=begun.at + 2)
    house.desk.bridge.ledger_grew.emit(LedgerGrew(ended))
    assert cells(view.view, Column.OUTCOME)[0] == "Complete"
    assert view.view.model().rowCount() == 11


def test_earlier_requests_are_loaded_when_asked_for(
    qtbot: QtBot, house: House, page: GatePage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ui.pages.gate.ledger._PAGE", 4)
    view = section(qtbot, house, page, "ledger", LedgerView)
    assert view.view.model().rowCount() == 4
    more = next(b for b in view.findChildren(QAbstractButton) if b.text() == "Load earlier requests")
    more.click()
    qtbot.waitUntil(lambda: view.view.model().rowCount() == 8)
    more.click()
    qtbot.waitUntil(lambda: view.view.model().rowCount() == 10)
    assert more.isHidden()


def test_the_ledger_is_exported(qtbot: QtBot, house: House, page: GatePage, tmp_path: Path) -> None:
    view = section(qtbot, house, page, "ledger", LedgerView)
    view.export(tmp_path / "ledger.jsonl")
    qtbot.waitUntil(lambda: bool(house.told.sentences))
    assert house.told.sentences == [f"20 rows were written to {tmp_path / 'ledger.jsonl'}."]


def test_an_empty_ledger_says_zero(qtbot: QtBot, house: House, page: GatePage) -> None:
    house.gate.rows = ()
    view = section(qtbot, house, page, "ledger", LedgerView)
    assert view.nothing.sentence == "0 bytes left this machine."


# Providers.


def test_a_provider_is_added_and_its_key_is_never_shown_again(qtbot: QtBot, house: House, page: GatePage) -> None:
    page.add_provider()
    view = section(qtbot, house, page, "providers", ProvidersView)
    view.begin_new()
    form = view.form
    assert QApplication.focusWidget() is form.name or not page.isActiveWindow()
    qtbot.keyClicks(form.name, "Kitchen")
    qtbot.keyClicks(form.base_url, "https://kitchen.example/v1/")
    assert not form.save.isEnabled()
    qtbot.keyClicks(form.model, "big-model")
    qtbot.keyClicks(form.key, SECRET)
    assert form.key.echoMode() is QLineEdit.EchoMode.Password
    QTest.keyClick(form.model, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: "Kitchen" in cells(view.view, 0))
    (made,) = [provider for provider in house.gate.providers_.values() if provider.name == "Kitchen"]
    assert house.gate.keys[made.id] == SECRET
    assert made.base_url == "https://kitchen.example/v1"
    assert (made.input_usd_per_mtok, made.n_ctx) == (None, None)
    qtbot.waitUntil(lambda: form.title.text() == "Kitchen")
    assert form.key.text() == ""
    for child in page.findChildren(QWidget):
        assert SECRET not in (child.accessibleName() + child.accessibleDescription() + child.toolTip())
    for field in page.findChildren(QLineEdit):
        assert SECRET not in field.text()


def test_a_refused_provider_keeps_what_was_typed(qtbot: QtBot, house: House, page: GatePage) -> None:
    view = section(qtbot, house, page, "providers", ProvidersView)
    view.form.base_url.setText("http://api.example.com/v1")
    view.form.save.click()
    qtbot.waitUntil(lambda: "not encrypted" in view.form.told)
    assert view.form.base_url.text() == "http://api.example.com/v1"


def test_a_provider_is_tested_with_its_answer_said(qtbot: QtBot, house: House, page: GatePage) -> None:
    view = section(qtbot, house, page, "providers", ProvidersView)
    view.form.test.click()
    qtbot.waitUntil(lambda: view.form.told.replace("\u00a0", " ") == "OpenAI answered. First token after 0.6 s.")


def test_a_refused_key_is_said(qtbot: QtBot, house: House, page: GatePage) -> None:
    view = section(qtbot, house, page, "providers", ProvidersView)
    view.view.selectRow(2)
    assert view.form.title.text() == "Mistral"
    view.form.test.click()
    qtbot.waitUntil(lambda: view.form.told == "Mistral refused the key (401).")


def test_removing_a_provider_can_be_taken_back_with_its_key(qtbot: QtBot, house: House, page: GatePage) -> None:
    view = section(qtbot, house, page, "providers", ProvidersView)
    view.form.remove.click()
    assert cells(view.view, 0) == ["Reading room", "Mistral"]
    undo = house.told.notices[-1][3]
    assert undo is not None
    undo.run()
    assert cells(view.view, 0) == ["OpenAI", "Reading room", "Mistral"]
    assert "p1" in house.gate.providers_
    view.view.selectRow(0)
    view.form.remove.click()
    view._leaving.finish("p1")
    qtbot.waitUntil(lambda: "p1" not in house.gate.providers_)


def test_a_key_is_forgotten(qtbot: QtBot, house: House, page: GatePage) -> None:
    view = section(qtbot, house, page, "providers", ProvidersView)
    view.form.forget.click()
    qtbot.waitUntil(lambda: not house.gate.providers_["p1"].has_key)
    qtbot.waitUntil(lambda: cells(view.view, 4)[0] == "none")


# Labels, detectors, the glossary, budgets.


def test_a_folder_is_at_least_as_strict_as_its_workspace(qtbot: QtBot, house: House, page: GatePage) -> None:
    view = section(qtbot, house, page, "labels", LabelsView)
    assert cells(view.view, PlaceColumn.EFFECTIVE) == [
        "Internal",
        "Confidential",
        "Internal",
        "Restricted",
        "Restricted",
    ]
    view.labels.chosen.emit("confidential")
    qtbot.waitUntil(lambda: cells(view.view, PlaceColumn.EFFECTIVE)[2] == "Confidential")
    assert house.gate.places_["w1"].label is Label.CONFIDENTIAL


def test_workspaces_and_folders_are_added(qtbot: QtBot, house: House, page: GatePage) -> None:
    view = section(qtbot, house, page, "labels", LabelsView)
    qtbot.keyClicks(view.new_name, "Club")
    QTest.keyClick(view.new_name, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: view.chosen is not None and view.chosen.name == "Club")
    qtbot.keyClicks(view.folder_name, "Members")
    QTest.keyClick(view.folder_name, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: view.chosen is not None and view.chosen.name == "Members")
    assert view.chosen is not None
    assert view.chosen.parent_id is not None


def test_findings_are_marked_while_one_types(qtbot: QtBot, house: House, page: GatePage) -> None:
    view = section(qtbot, house, page, "detectors", DetectorsView)
    tries = view.tries
    tries.text.setPlainText("😀 " + sample_gate.LETTER)
    qtbot.waitUntil(lambda: len(tries.text.extraSelections()) == 7)
    marked = [mark.cursor.selectedText() for mark in tries.text.extraSelections()]
    assert marked[0] == "Anna Keller"
    assert set(marked) == {text for text, *_ in sample_gate.SENSITIVE}
    tries.text.setPlainText("nothing here")
    assert tries.text.extraSelections() == []
    qtbot.waitUntil(lambda: tries.state.text().startswith("Nothing was found. That is no proof"))


def test_a_broken_detector_says_so(qtbot: QtBot, house: House, page: GatePage) -> None:
    view = section(qtbot, house, page, "detectors", DetectorsView)
    house.gate.trouble = GatehouseError("scanner_failed", "The detectors stopped.", "Try again.")
    view.tries.text.setPlainText("Anna Keller")
    qtbot.waitUntil(lambda: view.tries.state.text() == "The detectors stopped. Try again.")


def test_words_of_the_glossary_are_added_and_taken_out_and_put_back(qtbot: QtBot, house: House, page: GatePage) -> None:
    view = section(qtbot, house, page, "detectors", DetectorsView).glossary
    qtbot.keyClicks(view.word, "Halyard Ltd")
    view.kind.setCurrentIndex(view.kind.findData("ORGANISATION"))
    QTest.keyClick(view.word, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: "Halyard Ltd" in cells(view.view, 0))
    view.view.selectRow(0)
    view.remove_button.click()
    qtbot.waitUntil(lambda: "Jonas Brandt" not in cells(view.view, 0))
    qtbot.waitUntil(lambda: bool(house.told.notices))
    undo = house.told.notices[-1][3]
    assert undo is not None
    undo.run()
    qtbot.waitUntil(lambda: "Jonas Brandt" in cells(view.view, 0))


def test_a_budget_is_stored_when_it_is_set(qtbot: QtBot, house: House, page: GatePage) -> None:
    view = section(qtbot, house, page, "budgets", BudgetsView)
    assert view.day.words.text() == "$0.0231 of $1.00 spent"
    view.day.amount.setValue(2.5)
    qtbot.waitUntil(lambda: house.gate.budget_.day_usd == 2.5)
    view.month.limited.click()
    qtbot.waitUntil(lambda: house.gate.budget_.month_usd is None)
    assert house.gate.budget_.day_usd == 2.5


def test_a_spent_budget_says_that_it_stops(qtbot: QtBot, house: House, page: GatePage) -> None:
    house.gate.budget_ = sample_gate.SPENT
    view = section(qtbot, house, page, "budgets", BudgetsView)
    assert view.day.note.text() == "Nothing more leaves until it is over, or until you raise it."
    assert view.month.note.text() == "$2.10 left."


# The switch, the status bar, the whole page.


def test_the_offline_switch_is_the_same_everywhere(qtbot: QtBot, house: House, page: GatePage) -> None:
    setup = SettingsPage(house.desk)
    qtbot.addWidget(setup)
    status = StatusBar(house.desk.themes, house.desk.icons)
    qtbot.addWidget(status)
    status.mount(house.desk)
    there = setup.findChild(OfflineSwitch)
    assert isinstance(there, OfflineSwitch)
    page.offline.setFocus()
    QTest.keyClick(page.offline, Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: house.gate.offline_ and there.isChecked())
    qtbot.waitUntil(lambda: status.gate.text().strip() == "Offline")
    there.click()
    qtbot.waitUntil(lambda: not house.gate.offline_ and not page.offline.isChecked())


def test_offline_that_is_held_from_outside_stays_on(
    qtbot: QtBot, house: House, page: GatePage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(house.gate, "offline", lambda: True)
    house.desk.bridge.offline_changed.emit(OfflineChanged(True))
    page.offline.click()
    qtbot.waitUntil(lambda: house.told.sentences == ["The environment holds Gatehouse offline."])
    assert page.offline.isChecked()


def test_the_status_bar_counts_what_left(qtbot: QtBot, house: House, page: GatePage) -> None:
    status = StatusBar(house.desk.themes, house.desk.icons)
    qtbot.addWidget(status)
    status.mount(house.desk)
    qtbot.waitUntil(lambda: "in 5 requests" in status.gate.toolTip())
    status.gate.click()
    assert house.gone == ["gate"]


@pytest.mark.parametrize(
    ("left", "words"),
    [
        (BytesLeft(0, 0, 0, None), "0 bytes left this machine."),
        (
            BytesLeft(0, 0, 1, 5.0),
            "No request left this machine, though servers were sought; the ledger has each.",
        ),
        (BytesLeft(4096, 4096, 1, 0.0), "4.0 KiB left this machine today, in 1 request."),
    ],
)
def test_bytes_in_words(left: BytesLeft, words: str) -> None:
    from ui.gate_words import bytes_words

    assert bytes_words(left).replace("\u00a0", " ") == words


def test_every_section_is_a_command_and_every_control_has_a_name(qtbot: QtBot, house: House, page: GatePage) -> None:
    keys = ["map", "ledger", "providers", "labels", "detectors", "budgets"]
    commands = {command.key: command for command in page.commands()}
    assert {f"gate.{key}" for key in keys} <= set(commands)
    for key in keys:
        commands[f"gate.{key}"].run()
        page.show_section(key)
        qtbot.waitUntil(lambda: house.desk.bridge.idle)
        for found in page.sections[key].findChildren(QWidget):
            control = isinstance(found, QAbstractButton | QLineEdit | QComboBox | QPlainTextEdit | QTableView)
            inner = found.objectName().startswith("qt_")
            if control and found.isVisible() and not inner and found.focusPolicy() != Qt.FocusPolicy.NoFocus:
                text = found.text() if isinstance(found, QAbstractButton) else ""
                assert found.accessibleName() or text, (key, found)
    assert house.gone == [f"gate/{key}" for key in keys]


@pytest.mark.parametrize("width", [648, 1208])
def test_nothing_is_cut_off_in_a_narrow_window(qtbot: QtBot, house: House, page: GatePage, width: int) -> None:
    page.resize(width, 768)
    for key in ("map", "ledger", "providers", "labels", "detectors", "budgets"):
        view = section(qtbot, house, page, key, QWidget)
        assert view.minimumSizeHint().width() <= width - 48, key
        assert page.width() == width


def test_a_provider_has_no_place_for_a_key() -> None:
    """Keys go to the service and nowhere else."""
    assert not any("key" in name and name != "has_key" for name in Provider.__slots__)
