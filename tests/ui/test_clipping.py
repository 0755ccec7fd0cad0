"""In a small window every button and every line of text has the room that it asks for."""

from __future__ import annotations

from dataclasses import replace

import pytest
from PySide6.QtWidgets import QLabel, QPushButton, QWidget
from pytestqt.qtbot import QtBot

from tests.ui.conftest import House
from ui.icons import Icons
from ui.shell import page_specs
from ui.theme import ThemeStore
from ui.widgets.parts import ElidedLabel
from ui.window import Window

_PAGES = ("chat", "models", "gate", "gate/labels", "gate/providers", "gate/budgets", "settings", "welcome")


@pytest.fixture
def window(qtbot: QtBot, house: House, themes: ThemeStore) -> Window:
    made = Window(page_specs(lambda: None), themes, Icons(themes))
    qtbot.addWidget(made)
    made.resize(900, 600)
    made.show()
    made.mount(replace(house.desk, notices=made.notices, go=made.go))
    qtbot.waitUntil(lambda: house.desk.bridge.idle)
    return made


def _lacking(widget: QWidget) -> int:
    """How many pixels of width are missing for its words."""
    if isinstance(widget, QPushButton) and widget.text():
        return widget.minimumSizeHint().width() - widget.width()
    if isinstance(widget, QLabel) and not isinstance(widget, ElidedLabel) and not widget.wordWrap():
        return widget.fontMetrics().horizontalAdvance(widget.text()) - widget.width()
    return 0


@pytest.mark.parametrize("where", _PAGES)
def test_nothing_is_cut_off_in_a_small_window(qtbot: QtBot, house: House, window: Window, where: str) -> None:
    window.go(where)
    qtbot.waitUntil(lambda: house.desk.bridge.idle)
    window.grab()  # lays everything out
    page = window.page(window.current)
    assert page is not None
    assert window.minimumSizeHint().width() <= 900

    def nothing_is_cut() -> None:  # what arrives late is laid out a little later
        shown = [widget for widget in page.findChildren(QWidget) if widget.isVisible()]
        assert [(type(widget).__name__, widget.property("text")) for widget in shown if _lacking(widget) > 0] == []

    qtbot.waitUntil(nothing_is_cut)
