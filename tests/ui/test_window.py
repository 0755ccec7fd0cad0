"""The window with doubles: pages by keys, the palette's contents, geometry, faults."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QAbstractButton, QApplication, QLabel, QLineEdit, QPushButton, QSlider, QWidget
from pytestqt.qtbot import QtBot

from app.events import AnswerFinished, AnswerGrew, NoticeRaised
from tests.ui.conftest import House
from ui.desk import Action
from ui.icons import Icons
from ui.notices import Notice
from ui.pages.chat import ChatPage
from ui.pages.fault import FaultPage
from ui.pages.models.page import ModelsPage
from ui.screenshots import sample, sample_chat
from ui.shell import page_specs
from ui.theme import ThemeStore
from ui.widgets.kept_splitter import KeptSplitter
from ui.window import Window


@pytest.fixture
def window(qtbot: QtBot, house: House, themes: ThemeStore) -> Window:
    icons = Icons(themes)
    made = Window(page_specs(lambda: None), themes, icons)
    qtbot.addWidget(made)
    made.show()
    qtbot.waitExposed(made)
    made.activateWindow()
    made.mount(replace(house.desk, notices=made.notices, go=made.go))
    qtbot.waitUntil(lambda: house.desk.bridge.idle)
    return made


def test_pages_come_by_keys_in_the_rails_order(qtbot: QtBot, window: Window) -> None:
    for key, page in (
        (Qt.Key.Key_2, "documents"),
        (Qt.Key.Key_3, "models"),
        (Qt.Key.Key_4, "gate"),
        (Qt.Key.Key_5, "settings"),
        (Qt.Key.Key_1, "chat"),
    ):
        qtbot.keyClick(window, key, Qt.KeyboardModifier.ControlModifier)
        assert window.current == page
    qtbot.keyClick(window, Qt.Key.Key_Comma, Qt.KeyboardModifier.ControlModifier)
    assert window.current == "settings"


def test_pages_are_built_when_first_wanted(window: Window) -> None:
    assert window.page("models") is None
    window.go("models")
    assert window.page("models") is not None


def test_the_palette_holds_every_page_and_every_shortcut(qtbot: QtBot, house: House, window: Window) -> None:
    window.go("models")
    qtbot.waitUntil(lambda: house.desk.bridge.idle)
    commands = window.commands()
    titles = {command.title for command in commands}
    assert {"Chat", "Models", "Set-up", "Welcome", "Dark appearance", "Quit Gatehouse", "Unload the model"} <= titles
    assert len({command.key for command in commands}) == len(commands)
    offered = {command.shortcut for command in commands}
    assert {"Ctrl+N", "Ctrl+Shift+F", "Ctrl+1", "Ctrl+2", "Ctrl+3", "Ctrl+Q"} <= offered


def test_commands_of_a_page_that_is_not_built_are_there(
    qtbot: QtBot, window: Window, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: opened.append(url.toLocalFile()))
    assert window.page("settings") is None
    (command,) = [found for found in window.commands() if found.key == "data.open"]
    command.run()
    assert window.current == "settings"
    assert len(opened) == 1
    assert [found.key for found in window.commands()].count("data.open") == 1


def test_a_command_of_the_palette_runs(qtbot: QtBot, window: Window) -> None:
    qtbot.keyClick(window, Qt.Key.Key_K, Qt.KeyboardModifier.ControlModifier)
    qtbot.keyClicks(window.palette_.field, "dark app")
    qtbot.keyClick(window.palette_.field, Qt.Key.Key_Return)
    assert QApplication.palette().window().color().lightness() < 80


def test_find_everywhere_puts_the_focus_in_a_field(qtbot: QtBot, window: Window) -> None:
    window.go("models")
    modifiers = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier
    qtbot.keyClick(window, Qt.Key.Key_F, modifiers)
    assert window.current == "chat"
    qtbot.waitUntil(lambda: isinstance(window.focusWidget(), QLineEdit))


def test_enter_presses_the_button_that_has_the_keyboard(qtbot: QtBot, window: Window) -> None:
    (rail,) = [button for button in window.findChildren(QAbstractButton) if button.accessibleName() == "Models"]
    rail.setFocus()
    qtbot.keyClick(rail, Qt.Key.Key_Return)
    assert window.current == "models"


def test_notices_of_the_core_are_shown(qtbot: QtBot, house: House, window: Window) -> None:
    house.desk.bridge.notice_raised.emit(NoticeRaised("warning", "disk_full", "The disk is full.", "Free some space."))
    (notice,) = [found for found in window.findChildren(Notice) if found.isVisible()]
    assert notice.sentence == "The disk is full."


def test_a_small_model_points_to_larger_ones(qtbot: QtBot, house: House, window: Window) -> None:
    chat = window.page("chat")
    assert isinstance(chat, ChatPage)
    assert chat.empty.larger.isHidden()
    house.models.become(replace(sample.READY, model_id=sample.SMALL.id, plan=sample.plan(sample.SMALL)))
    qtbot.waitUntil(lambda: not chat.empty.larger.isHidden())
    chat.empty.larger.click()
    models = window.page("models")
    assert isinstance(models, ModelsPage)
    assert (window.current, models.places.key) == ("models", "catalogue")


def test_memory_is_watched_only_while_a_model_is_loaded_and_somebody_can_see_it(
    qtbot: QtBot, house: House, window: Window
) -> None:
    window.show()
    assert window.status.watching
    window.hide()
    assert not window.status.watching
    window.show()
    house.models.become(sample.UNLOADED)
    qtbot.waitUntil(lambda: not window.status.watching)


def test_the_status_bar_follows_model_and_answers(qtbot: QtBot, house: House, window: Window) -> None:
    def words() -> str:
        labels = [found.text() for found in window.status.findChildren(QLabel) if not found.isHidden()]
        return " ".join(labels + [found.text() for found in window.status.findChildren(QPushButton)])

    assert sample.FOUR_B.name in words()
    assert "Local only" in words()
    house.models.become(sample.LOADING)
    qtbot.waitUntil(lambda: "loading 42%" in words())
    house.desk.bridge.answer_grew.emit(AnswerGrew("c2", "m4", "more", ""))
    assert "1 answer running" in words()
    house.desk.bridge.answer_finished.emit(AnswerFinished(sample_chat.MESSAGES[3]))
    assert "running" not in words()
    window.status.measure()
    qtbot.waitUntil(lambda: "RAM" in words())


def test_geometry_is_kept(qtbot: QtBot, house: House, themes: ThemeStore, window: Window) -> None:
    window.resize(740, 520)
    window.close()
    values = house.desk.services.settings.values
    again = Window(page_specs(lambda: None), themes, Icons(themes), values)
    qtbot.addWidget(again)
    assert (again.width(), again.height()) == (740, 520)


def test_the_page_in_front_and_the_width_of_the_list_are_kept(
    qtbot: QtBot, house: House, themes: ThemeStore, window: Window
) -> None:
    window.show()
    chat = window.page("chat")
    assert chat is not None
    split = chat.findChild(KeptSplitter)
    assert split is not None
    split.moveSplitter(230, 1)
    settings = house.desk.services.settings
    qtbot.waitUntil(lambda: settings.values.chat_list_px == 230)
    window.go("models")
    window.close()
    again = Window(page_specs(lambda: None), themes, Icons(themes), settings.values)
    qtbot.addWidget(again)
    assert again.current == "models"
    assert KeptSplitter(house.desk, "chat_list_px", 200).width_wanted == 230


@pytest.mark.parametrize("kept", ["", "not base64 at all", "AAAA"])
def test_nonsense_geometry_is_ignored(qtbot: QtBot, house: House, themes: ThemeStore, kept: str) -> None:
    values = replace(house.desk.services.settings.values, window_geometry=kept)
    made = Window(page_specs(lambda: None), themes, Icons(themes), values)
    qtbot.addWidget(made)
    assert made.width() > 700


def test_a_fault_covers_the_window_and_can_be_left(qtbot: QtBot, window: Window, themes: ThemeStore) -> None:
    left: list[str] = []
    actions = [Action("Continue", lambda: (left.append("continue"), window.show_fault(None)))]
    page = FaultPage("Trouble", "It broke.", "Go on.", "details here", actions, themes, Icons(themes))
    window.show_fault(page)
    assert page.isVisible()
    page.copy.click()
    assert QApplication.clipboard().text() == "details here"
    qtbot.keyClick(page.buttons[0], Qt.Key.Key_Space)
    assert left == ["continue"]
    assert not page.isVisible()


def test_settings_that_cannot_be_written_are_a_notice(
    window: Window, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_changes: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(house.desk.services.settings, "update", refuse)
    window.keep_setting(appearance="dark")
    sentences = [notice.sentence for notice in window.findChildren(Notice)]
    assert "The settings could not be saved." in sentences


@pytest.mark.parametrize("page", ["chat", "models", "settings", "welcome"])
def test_every_control_has_a_name(qtbot: QtBot, house: House, window: Window, page: str) -> None:
    window.go(page)
    qtbot.waitUntil(lambda: house.desk.bridge.idle)
    nameless = [
        f"{type(control).__name__} in {type(control.parent()).__name__}"
        for kind in (QAbstractButton, QLineEdit, QSlider)
        for control in window.findChildren(kind)
        if control.isVisibleTo(window) and _wants_name(control) and not (control.accessibleName() or _text(control))
    ]
    assert nameless == []


def _wants_name(control: QWidget) -> bool:
    inner = control.objectName().startswith("qt_") or type(control.parent()).__name__ in ("QDoubleSpinBox", "QLineEdit")
    return control.isEnabled() and control.focusPolicy() != Qt.FocusPolicy.NoFocus and not inner


def _text(control: QWidget) -> str:
    return control.text() if isinstance(control, QAbstractButton) else ""


def test_settings_page_stores_what_is_chosen(qtbot: QtBot, house: House, window: Window, tmp_path: Path) -> None:
    from PySide6.QtWidgets import QCheckBox, QDoubleSpinBox

    window.go("settings")
    page = window.page("settings")
    assert page is not None
    temperature = page.findChildren(QDoubleSpinBox)[0]
    temperature.setValue(0.2)
    page.findChildren(QCheckBox)[0].click()
    values = house.desk.services.settings.values
    assert values.temperature == pytest.approx(0.2)
    assert values.load_last_model is False
    assert '"temperature": 0.2' in (tmp_path / "settings.json").read_text("utf-8")
