"""Finding commands by a few letters, and running them by keys."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLineEdit, QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from ui.desk import Command
from ui.icons import Icons
from ui.palette import Palette, rank
from ui.theme import ThemeStore


def command(title: str, section: str = "", run: object = None) -> Command:
    return Command(title, title, section, run if callable(run) else lambda: None)


TITLES = ["New conversation", "Open the data folder", "Load Qwen3-4B", "Unload the model", "Dark appearance", "Models"]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("", TITLES),
        ("load", ["Load Qwen3-4B", "Unload the model"]),
        ("mod", ["Models", "Unload the model"]),
        ("dark", ["Dark appearance"]),
        ("qwen 4b", ["Load Qwen3-4B"]),
        ("nwcv", ["New conversation"]),
        ("FOLDER", ["Open the data folder"]),
        ("zzz", []),
    ],
)
def test_rank(words: str, found: list[str]) -> None:
    assert [c.title for c in rank(words, [command(title) for title in TITLES])] == found


def test_a_section_finds_its_commands() -> None:
    commands = [command("Light", "Appearance"), command("Quit", "Window")]
    assert [c.title for c in rank("appear", commands)] == ["Light"]


@pytest.fixture
def window(qtbot: QtBot) -> QWidget:
    made = QWidget()
    qtbot.addWidget(made)
    made.resize(900, 700)
    layout = QVBoxLayout(made)
    layout.addWidget(QLineEdit())
    made.show()
    qtbot.waitExposed(made)
    made.activateWindow()
    return made


def test_keys_choose_and_run(qtbot: QtBot, window: QWidget, themes: ThemeStore) -> None:
    ran: list[str] = []
    commands = [command(title, run=lambda title=title: ran.append(title)) for title in TITLES]
    palette = Palette(window, themes, Icons(themes))
    before = window.findChild(QLineEdit)
    assert before is not None
    before.setFocus()
    palette.open(commands)
    qtbot.keyClicks(palette.field, "load")
    qtbot.keyClick(palette.field, Qt.Key.Key_Down)
    qtbot.keyClick(palette.field, Qt.Key.Key_Return)
    assert ran == ["Unload the model"]
    assert palette.isHidden()
    assert window.focusWidget() is before


def test_escape_closes_without_running(qtbot: QtBot, window: QWidget, themes: ThemeStore) -> None:
    palette = Palette(window, themes, Icons(themes))
    palette.open([command("Quit", run=lambda: pytest.fail("ran"))])
    qtbot.keyClick(palette.field, Qt.Key.Key_Escape)
    assert palette.isHidden()


def test_nothing_found_is_said_and_enter_is_harmless(qtbot: QtBot, window: QWidget, themes: ThemeStore) -> None:
    palette = Palette(window, themes, Icons(themes))
    palette.open([command("Quit", run=lambda: pytest.fail("ran"))])
    qtbot.keyClicks(palette.field, "zzz")
    assert palette.list.isHidden()
    qtbot.keyClick(palette.field, Qt.Key.Key_Return)
    assert palette.isVisible()
