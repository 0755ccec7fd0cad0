"""The gate on the Chat page: its control, the sheet, what is asked, and what is never sent."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QApplication, QComboBox, QLabel, QListView, QPlainTextEdit, QWidget
from pytestqt.qtbot import QtBot

from app.chat.records import Message
from app.events import ConversationChanged, NamesSought
from app.gate.label import GateMode, Label
from app.gate.records import Ask, Offers, Verdict
from engine.errors import GatehouseError
from tests.ui.conftest import House
from ui.display import NBSP
from ui.pages.chat import ChatPage
from ui.screenshots import sample_gate
from ui.widgets.gate_control import GateCard, GateSetting, look_of
from ui.widgets.gate_flag import FlagLine
from ui.widgets.gate_refusal import step_of
from ui.widgets.stats_line import summary

BOTH = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier
Open = Callable[..., ChatPage]


@pytest.fixture
def open_letter(qtbot: QtBot, house: House) -> Open:
    """The page with the letter's conversation open, its messages and its mode."""

    def make(messages: Sequence[Message] = sample_gate.FLAGGED, mode: GateMode = GateMode.ASK) -> ChatPage:
        house.gate.furnish()
        house.chat.messages = list(messages)
        house.chat.items["c4"] = replace(house.chat.items["c4"], gate=mode)
        page = ChatPage(house.desk)
        qtbot.addWidget(page)
        page.resize(1200, 760)
        page.show()
        qtbot.waitExposed(page)
        page.activateWindow()
        page.open_conversation("c4")
        settle(qtbot, house)
        page.enter()
        return page

    return make


def settle(qtbot: QtBot, house: House) -> None:
    qtbot.waitUntil(lambda: house.desk.bridge.idle)


def called(house: House, name: str) -> list[tuple[object, ...]]:
    return [call for call in house.gate.calls if call[0] == name]


def asked(house: House) -> list[Ask]:
    return [call[1] for call in house.gate.calls if isinstance(call[1], Ask)]


def open_sheet(qtbot: QtBot, house: House, page: ChatPage) -> None:
    QTest.keyClick(page.composer.text, Qt.Key.Key_Return, BOTH)
    qtbot.waitUntil(lambda: page.gate.sheet.preview is not None and house.desk.bridge.idle)


def flag_lines(page: ChatPage) -> list[FlagLine]:
    return [line for line in page.transcript.findChildren(FlagLine) if not line.isHidden()]


def flag_line(page: ChatPage) -> FlagLine:
    (found,) = flag_lines(page)
    return found


# The control.


@pytest.mark.parametrize(
    ("setting", "words", "tone"),
    [
        (GateSetting(), "Local only · Internal", "success"),
        (GateSetting(GateMode.ASK, Label.PUBLIC), "Ask each time · Public", "accent"),
        (GateSetting(GateMode.OPEN), "Open · Internal", "outside"),
        (GateSetting(GateMode.OPEN, offline=True), "Open · offline", "muted"),
        (GateSetting(GateMode.LOCAL, offline=True), "Local only · Internal", "success"),
        (GateSetting(GateMode.OPEN, Label.RESTRICTED), "Open · Restricted", "success"),
    ],
)
def test_the_gate_says_what_holds(setting: GateSetting, words: str, tone: str) -> None:
    look = look_of(setting)
    assert (look.words, look.tone) == (words, tone)
    assert setting.shut == (tone in ("success", "muted"))


def test_a_new_conversation_is_local_before_anything_is_typed(qtbot: QtBot, house: House, open_letter: Open) -> None:
    page = open_letter(mode=GateMode.OPEN)
    assert page.composer.gate.accessibleName() == "Gate: Open · Internal"
    page.new_conversation()
    assert page.composer.gate.accessibleName() == "Gate: Local only · Internal"
    assert page.composer.cloud.isHidden()
    assert "Nothing you write leaves it." in page.empty.note.text()
    page.gate.set_mode(GateMode.ASK)
    assert "Nothing you write leaves it." not in page.empty.note.text()


@pytest.mark.qt_log_ignore("This plugin does not support", extend=True)
def test_the_mode_is_chosen_by_keys(qtbot: QtBot, house: House, open_letter: Open) -> None:
    page = open_letter(mode=GateMode.LOCAL)
    QTest.keyClick(page.composer.text, Qt.Key.Key_G, BOTH)
    (card,) = page.composer.gate.findChildren(GateCard)
    assert card.modes[GateMode.LOCAL].isChecked()
    card.modes[GateMode.LOCAL].setFocus()
    QTest.keyClick(card.modes[GateMode.LOCAL], Qt.Key.Key_Down)
    qtbot.waitUntil(lambda: house.chat.items["c4"].gate is GateMode.ASK)
    qtbot.waitUntil(lambda: page.composer.gate.text().strip() == "Ask each time · Internal")
    QTest.keyClick(card, Qt.Key.Key_Escape)
    assert not card.isVisible()


@pytest.mark.qt_log_ignore("This plugin does not support", extend=True)
def test_a_label_shuts_the_gate(qtbot: QtBot, house: House, open_letter: Open) -> None:
    page = open_letter(mode=GateMode.OPEN)
    assert page.gate.setting.shut is False
    card = page.composer.gate.open_card()
    card.labels.chosen.emit("restricted")
    qtbot.waitUntil(lambda: page.gate.setting.label is Label.RESTRICTED)
    assert page.gate.setting.shut
    assert not card.modes[GateMode.ASK].isEnabled()
    card.close()


@pytest.mark.qt_log_ignore("This plugin does not support", extend=True)
def test_a_workspace_takes_the_conversation_in(qtbot: QtBot, house: House, open_letter: Open) -> None:
    page = open_letter()
    card = page.composer.gate.open_card()
    offered = [card.places.itemText(place) for place in range(card.places.count())]
    assert "Practice › Patients · Restricted" in offered
    card.places.activated.emit(card.places.findData("w2a"))
    qtbot.waitUntil(lambda: house.chat.items["c4"].place_id == "w2a")
    card.close()


def test_what_was_chosen_for_a_new_chat_goes_with_its_first_message(
    qtbot: QtBot, house: House, open_letter: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str | None] = []

    async def send(key: str | None, text: str) -> str:
        sent.append(key)
        return "a"

    monkeypatch.setattr(house.chat, "send", send)
    page = open_letter()
    page.new_conversation()
    page.gate.set_mode(GateMode.ASK)
    page.gate.set_label(Label.CONFIDENTIAL)
    page.send("Hello")
    qtbot.waitUntil(lambda: bool(sent))
    (key,) = sent
    assert key is not None
    assert (house.chat.items[key].gate, house.chat.items[key].label) == (GateMode.ASK, Label.CONFIDENTIAL)
    page.new_conversation()
    assert page.gate.setting.mode is GateMode.LOCAL


# The sheet.


def test_the_sheet_shows_what_was_written_beside_what_would_leave(
    qtbot: QtBot, house: House, open_letter: Open
) -> None:
    page = open_letter()
    open_sheet(qtbot, house, page)
    sheet = page.gate.sheet
    left, right = sheet.left.toPlainText(), sheet.right.toPlainText()
    for text, *_ in sample_gate.SENSITIVE:
        assert text in left
        assert text not in right
    assert "[PERSON_1]" in right
    assert sheet.chips.model_.rowCount() == len(sample_gate.SENSITIVE)
    assert sheet.facts.value("cost") == "$0.0041"
    assert sheet.facts.value("label") == "Internal"
    assert sheet.send.text() == "Send to OpenAI"
    assert QApplication.focusWidget() is sheet.right
    assert asked(house) == [Ask("c4", "l4")]
    marked = {mark.cursor.selectedText() for mark in sheet.left.extraSelections()}
    assert {text for text, *_ in sample_gate.SENSITIVE} == marked


def test_a_redaction_is_switched_off_by_the_keyboard_and_the_bytes_follow(
    qtbot: QtBot, house: House, open_letter: Open
) -> None:
    page = open_letter()
    open_sheet(qtbot, house, page)
    sheet = page.gate.sheet
    before = sheet.preview
    assert before is not None
    sheet.chips.setFocus()
    sheet.chips.setCurrentIndex(sheet.chips.model_.index(0))
    QTest.keyClick(sheet.chips, Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: sheet.preview is not before and house.desk.bridge.idle)
    assert "Anna Keller" in sheet.right.toPlainText()
    assert QApplication.focusWidget() is sheet.chips
    sheet.send.click()
    settle(qtbot, house)
    ((_, _, agreed),) = called(house, "send")
    assert sheet.isHidden()
    assert sheet.preview is None
    assert agreed != before.body_sha256


def test_what_is_sent_is_what_was_shown(qtbot: QtBot, house: House, open_letter: Open) -> None:
    page = open_letter()
    open_sheet(qtbot, house, page)
    sheet = page.gate.sheet
    sheet.shown.choose("bytes")
    sheet.shown.chosen.emit("bytes")
    shown = sheet.right.toPlainText()
    QTest.keyClick(sheet.right, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    settle(qtbot, house)
    ((_, _, agreed),) = called(house, "send")
    assert agreed == hashlib.sha256(shown.encode()).hexdigest()


def test_escape_stays_local(qtbot: QtBot, house: House, open_letter: Open) -> None:
    page = open_letter()
    open_sheet(qtbot, house, page)
    QTest.keyClick(page.gate.sheet.chips, Qt.Key.Key_Escape)
    settle(qtbot, house)
    assert not page.gate.open
    assert called(house, "discard")
    assert not called(house, "send")
    assert QApplication.focusWidget() is page.composer.text


def test_a_look_that_comes_after_escape_is_not_shown(qtbot: QtBot, house: House, open_letter: Open) -> None:
    page = open_letter()
    house.gate.held = asyncio.Event()
    QTest.keyClick(page.composer.text, Qt.Key.Key_Return, BOTH)
    qtbot.waitUntil(lambda: bool(called(house, "preview")))
    assert page.gate.open
    assert not page.gate.sheet.send.isEnabled()
    house.desk.services.bus.publish(NamesSought(3, 12))
    qtbot.waitUntil(lambda: "3 of 12" in " ".join(one.text() for one in page.gate.sheet.findChildren(QLabel)))
    QTest.keyClick(page.gate.sheet, Qt.Key.Key_Escape)
    settle(qtbot, house)
    assert page.gate.sheet.preview is None
    assert not page.gate.open


def test_a_new_chat_closes_the_sheet_of_a_new_chat(qtbot: QtBot, house: House, open_letter: Open) -> None:
    page = open_letter()
    page.new_conversation()
    page.gate.set_mode(GateMode.ASK)
    page.composer.set_draft("Who is Anna Keller?")
    open_sheet(qtbot, house, page)
    page.new_conversation()
    assert not page.gate.open
    assert page.composer.draft == "Who is Anna Keller?"
    settle(qtbot, house)
    assert len(called(house, "discard")) == 1


def test_another_conversation_closes_the_sheet(qtbot: QtBot, house: House, open_letter: Open) -> None:
    page = open_letter()
    open_sheet(qtbot, house, page)
    page.open_conversation("c2")
    settle(qtbot, house)
    assert not page.gate.open
    assert not called(house, "send")


def test_the_gate_of_another_conversation_is_in_force_before_its_text_is_there(
    qtbot: QtBot, house: House, open_letter: Open
) -> None:
    page = open_letter(mode=GateMode.OPEN)
    page.open_conversation("c2")
    assert page.gate.setting.mode is GateMode.LOCAL
    settle(qtbot, house)


def test_the_outgoing_text_can_be_edited_and_a_message_left_out(qtbot: QtBot, house: House, open_letter: Open) -> None:
    page = open_letter()
    open_sheet(qtbot, house, page)
    sheet = page.gate.sheet
    sheet.edit_button.click()
    assert not sheet.send.isEnabled()
    sheet.edit.text.setPlainText("Which paragraphs?")
    QTest.keyClick(sheet.edit.text, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: "Which paragraphs?" in sheet.right.toPlainText())
    assert sample_gate.FOLLOW_UP not in sheet.right.toPlainText()
    sheet.edit_button.click()
    sheet.edit.which.setCurrentIndex(1)
    sheet.edit.which.activated.emit(1)
    sheet.edit.left_out.setChecked(True)
    sheet.edit.take()
    qtbot.waitUntil(lambda: "Left out." in sheet.right.toPlainText())
    preview = sheet.preview
    assert preview is not None
    assert b"landlady" not in preview.body
    assert b"Which paragraphs?" in preview.body


def test_editing_is_given_up_by_escape_without_closing_the_sheet(qtbot: QtBot, house: House, open_letter: Open) -> None:
    page = open_letter()
    open_sheet(qtbot, house, page)
    page.gate.sheet.edit_button.click()
    QTest.keyClick(page.gate.sheet.edit.text, Qt.Key.Key_Escape)
    assert page.gate.open
    assert page.gate.sheet.send.isEnabled()


def test_another_provider_has_another_price(qtbot: QtBot, house: House, open_letter: Open) -> None:
    page = open_letter()
    open_sheet(qtbot, house, page)
    sheet = page.gate.sheet
    sheet.provider.activated.emit(sheet.provider.findData("p2"))
    qtbot.waitUntil(lambda: sheet.send.text() == "Send to Reading room")
    assert sheet.facts.value("cost") == "$0"


def test_a_provider_without_prices_is_refused_with_a_way_out(qtbot: QtBot, house: House, open_letter: Open) -> None:
    page = open_letter()
    open_sheet(qtbot, house, page)
    sheet = page.gate.sheet
    sheet.provider.activated.emit(sheet.provider.findData("p3"))
    qtbot.waitUntil(lambda: bool(sheet.refusal.sentence))
    assert sheet.send.isHidden()
    sheet.refusal.button.click()
    assert house.gone == ["gate/providers"]
    assert not page.gate.open


def test_local_only_says_so_and_can_be_changed_there(qtbot: QtBot, house: House, open_letter: Open) -> None:
    page = open_letter(mode=GateMode.LOCAL)
    open_sheet(qtbot, house, page)
    sheet = page.gate.sheet
    assert "local only" in sheet.refusal.sentence
    assert sheet.send.isHidden()
    sheet.refusal.button.click()
    qtbot.waitUntil(lambda: house.chat.items["c4"].gate is GateMode.ASK)
    qtbot.waitUntil(lambda: sheet.preview is not None and sheet.preview.verdict.allowed)
    assert sheet.send.isEnabled()


def test_offline_is_refused_and_switched_off_on_the_spot(qtbot: QtBot, house: House, open_letter: Open) -> None:
    page = open_letter()
    page.gate.take_step("online")  # nothing is asked: no harm
    qtbot.waitUntil(lambda: house.desk.bridge.idle)  # it runs in the core thread, and would undo the next line
    house.gate.offline_ = True
    open_sheet(qtbot, house, page)
    sheet = page.gate.sheet
    assert "offline" in sheet.refusal.sentence
    sheet.refusal.button.click()
    qtbot.waitUntil(lambda: sheet.preview is not None and sheet.preview.verdict.allowed)
    assert house.gate.offline_ is False


def test_a_failed_scan_lets_nothing_leave(qtbot: QtBot, house: House, open_letter: Open) -> None:
    page = open_letter()
    house.gate.trouble = GatehouseError("scanner_failed", "The detectors stopped.", "Try again.")
    QTest.keyClick(page.composer.text, Qt.Key.Key_Return, BOTH)
    sheet = page.gate.sheet
    qtbot.waitUntil(lambda: sheet.trouble.sentence == "The detectors stopped.")
    assert not sheet.send.isEnabled()
    house.gate.trouble = None
    (again,) = [found for found in sheet.trouble.findChildren(QAbstractButton) if found.text() == "Try again"]
    again.click()
    qtbot.waitUntil(lambda: sheet.send.isEnabled())


def test_a_scan_that_fails_after_a_change_keeps_the_text_and_shuts_the_door(
    qtbot: QtBot, house: House, open_letter: Open
) -> None:
    page = open_letter()
    open_sheet(qtbot, house, page)
    sheet = page.gate.sheet
    house.gate.trouble = GatehouseError("scanner_failed", "The detectors stopped.")
    sheet.chips.model_.toggle(sheet.chips.model_.index(0))
    qtbot.waitUntil(lambda: sheet.refusal.sentence == "The detectors stopped.")
    assert "[PERSON_1]" in sheet.right.toPlainText()
    assert not sheet.send.isEnabled()


def test_a_refusal_at_the_last_moment_keeps_the_sheet(qtbot: QtBot, house: House, open_letter: Open) -> None:
    page = open_letter()
    open_sheet(qtbot, house, page)
    house.gate.refusal = Verdict(False, "budget", "The budget is spent.")
    page.gate.sheet.send.click()
    qtbot.waitUntil(lambda: page.gate.sheet.refusal.sentence == "The budget is spent.")
    assert page.gate.open
    assert page.gate.sheet.refusal.button.text() == "See the budgets"


def test_the_keyboard_does_not_go_behind_the_sheet(qtbot: QtBot, house: House, open_letter: Open) -> None:
    page = open_letter()
    open_sheet(qtbot, house, page)
    visited: set[QWidget] = set()
    for _ in range(60):
        QTest.keyClick(QApplication.focusWidget() or page, Qt.Key.Key_Tab)
        visited.add(QApplication.focusWidget() or page)
    assert page.composer.text not in visited
    assert page.gate.sheet.stay in visited
    assert page.gate.sheet.send in visited
    assert page.gate.sheet.chips in visited


def test_every_control_of_the_sheet_has_a_name(qtbot: QtBot, house: House, open_letter: Open) -> None:
    page = open_letter()
    open_sheet(qtbot, house, page)
    for kind in (QAbstractButton, QComboBox, QPlainTextEdit, QListView):
        for found in page.gate.sheet.findChildren(kind):
            if found.isVisible() and found.focusPolicy() != Qt.FocusPolicy.NoFocus:
                text = found.text() if isinstance(found, QAbstractButton) else ""
                assert found.accessibleName() or text, found


# Open conversations.


def test_an_open_conversation_asks_without_the_sheet(qtbot: QtBot, house: House, open_letter: Open) -> None:
    page = open_letter(mode=GateMode.OPEN)
    QTest.keyClicks(page.composer.text, "And the bookshelf?")
    QTest.keyClick(page.composer.text, Qt.Key.Key_Return, BOTH)
    settle(qtbot, house)
    assert called(house, "ask") == [("ask", Ask("c4", draft="And the bookshelf?"))]
    assert not page.gate.open
    qtbot.waitUntil(lambda: page.composer.draft == "")


def test_an_open_conversation_that_is_refused_says_why_and_keeps_the_draft(
    qtbot: QtBot, house: House, open_letter: Open
) -> None:
    page = open_letter(mode=GateMode.OPEN)
    house.gate.refusal = Verdict(False, "budget", "The budget is spent.", "Raise it.")
    page.composer.set_draft("And the bookshelf?")
    page.composer.cloud.click()
    qtbot.waitUntil(lambda: "The budget is spent." in house.told.sentences)
    action = house.told.notices[-1][3]
    assert action is not None
    action.run()
    assert house.gone == ["gate/budgets"]
    assert page.composer.draft == "And the bookshelf?"


def test_what_is_confidential_gets_the_sheet_even_when_open(qtbot: QtBot, house: House, open_letter: Open) -> None:
    page = open_letter(mode=GateMode.OPEN)
    house.gate.refusal = Verdict(False, "needs_sheet", "Look first.")
    page.ask_cloud()
    qtbot.waitUntil(lambda: page.gate.open)
    assert house.told.sentences == []


# Flagged answers and answers from elsewhere.


def test_a_flagged_answer_gives_its_reason_and_three_choices(qtbot: QtBot, house: House, open_letter: Open) -> None:
    page = open_letter()
    qtbot.waitUntil(lambda: bool(flag_lines(page)))
    line = flag_line(page)
    assert "law that small models often get wrong" in line.words
    qtbot.waitUntil(lambda: not line.cloud.isHidden() and not line.larger.isHidden())
    line.larger.click()
    line.cloud.click()
    qtbot.waitUntil(lambda: page.gate.sheet.preview is not None)
    assert called(house, "ask_larger") == [("ask_larger", "l4")]
    QTest.keyClick(page.gate.sheet, Qt.Key.Key_Escape)
    line.keep.click()
    qtbot.waitUntil(lambda: not [found for found in page.transcript.findChildren(FlagLine) if not found.isHidden()])
    assert called(house, "keep") == [("keep", "l4")]


def test_a_flagged_answer_offers_only_what_there_is(qtbot: QtBot, house: House, open_letter: Open) -> None:
    house.gate.offered = replace(
        house.gate.offered,
        cloud=Verdict(False, "offline", "Gatehouse is offline."),
    )
    page = open_letter()
    qtbot.waitUntil(lambda: bool(flag_lines(page)))
    line = flag_line(page)
    assert not line.larger.isHidden()
    assert not line.cloud.isEnabled()
    assert line.cloud.toolTip() == "Gatehouse is offline."


def test_a_doubt_that_nothing_can_be_done_about_is_not_shown(qtbot: QtBot, house: House, open_letter: Open) -> None:
    offered = house.gate.offered
    house.gate.offered = Offers(None, "", Verdict(False, "local_only", "This conversation is local only."))
    page = open_letter()
    qtbot.waitUntil(lambda: bool(called(house, "offers")) and house.desk.bridge.idle)
    assert flag_lines(page) == []
    house.gate.offered = offered
    page.transcript.forget_offers()
    qtbot.waitUntil(lambda: bool(flag_lines(page)))


def test_a_cut_answer_goes_on_through_the_gate(qtbot: QtBot, house: House, open_letter: Open) -> None:
    page = open_letter(sample_gate.CUT)
    page.transcript.continued.emit("l4")
    qtbot.waitUntil(lambda: page.gate.sheet.preview is not None)
    assert asked(house) == [Ask("c4", "l4", resume=True)]
    assert not called(house, "send")


def test_trying_again_after_a_failure_elsewhere_shows_the_sheet_first(
    qtbot: QtBot, house: House, open_letter: Open
) -> None:
    page = open_letter(sample_gate.FAILED)
    page.transcript.retried.emit("l4")
    qtbot.waitUntil(lambda: page.gate.sheet.preview is not None)
    assert asked(house) == [Ask("c4", "l4")]
    assert not called(house, "send")


def test_an_answer_from_elsewhere_says_whose_it_is_and_what_it_cost() -> None:
    words = summary("gpt-5-mini", sample_gate.CLOUD_STATS).replace(NBSP, " ")
    assert words == "gpt-5-mini · OpenAI · 1.1 s · 84 tok/s · $0.0005 · cloud"


@pytest.mark.parametrize(
    "code", ["local_only", "offline", "no_provider", "key_missing", "no_price", "budget", "leak", "restricted_quote"]
)
def test_every_refusal_that_one_can_mend_has_a_step(code: str) -> None:
    assert step_of(code) is not None


def test_the_palette_has_the_gate_of_the_conversation(qtbot: QtBot, house: House, open_letter: Open) -> None:
    page = open_letter()
    commands = {command.key: command for command in page.commands()}
    assert commands["gate.ask"].shortcut == "Ctrl+Shift+Enter"
    commands["gate.mode.open"].run()
    qtbot.waitUntil(lambda: house.chat.items["c4"].gate is GateMode.OPEN)
    qtbot.waitUntil(lambda: "gate.mode.ask" in {command.key for command in page.commands()})


def test_the_list_tells_which_conversations_may_leave(qtbot: QtBot, house: House, open_letter: Open) -> None:
    page = open_letter(mode=GateMode.OPEN)
    model = page.sidebar.model
    index = model.index_of("c4")
    qtbot.waitUntil(lambda: ", Open, " in index.data(Qt.ItemDataRole.AccessibleTextRole))
    assert "\nOpen\n" in index.data(Qt.ItemDataRole.ToolTipRole)
    view = page.sidebar.list
    violet = QColor(house.desk.themes.theme.outside).hslHue()

    def is_violet() -> bool:
        row = view.viewport().grab(view.visualRect(model.index_of("c4"))).toImage()
        colours = [row.pixelColor(x, y) for x in range(row.width()) for y in range(row.height())]
        return any(abs(one.hslHue() - violet) < 8 and one.hslSaturation() > 60 for one in colours)

    assert is_violet()
    house.chat.items["c4"] = replace(house.chat.items["c4"], gate=GateMode.LOCAL)
    house.desk.services.bus.publish(ConversationChanged(house.chat.items["c4"]))
    qtbot.waitUntil(lambda: "Open" not in model.index_of("c4").data(Qt.ItemDataRole.AccessibleTextRole))
    assert not is_violet()
