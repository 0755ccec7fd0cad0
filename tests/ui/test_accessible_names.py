"""What a screen reader and a pointer at rest are told: every control of every page has a name, icons also a tooltip."""

from __future__ import annotations

from dataclasses import replace

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QAccessible
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QAbstractSpinBox,
    QComboBox,
    QHeaderView,
    QLineEdit,
    QPlainTextEdit,
    QScrollBar,
    QTextEdit,
    QWidget,
)
from pytestqt.qtbot import QtBot

from tests.ui.conftest import House
from ui.icons import Icons
from ui.shell import page_specs
from ui.theme import ThemeStore
from ui.window import Window

_CONTROLS = (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QAbstractSpinBox,
    QComboBox,
    QLineEdit,
    QPlainTextEdit,
    QTextEdit,
)
_INNER = (QAbstractSpinBox, QComboBox, QAbstractItemView)
"""Whose parts speak for them."""
_PAGES = ("chat", "documents", "models", "gate", "settings", "welcome")
_SECTIONS = tuple(f"gate/{section}" for section in ("ledger", "providers", "labels", "detectors", "budgets"))


@pytest.fixture
def window(qtbot: QtBot, house: House, themes: ThemeStore) -> Window:
    made = Window(page_specs(lambda: None), themes, Icons(themes))
    qtbot.addWidget(made)
    made.mount(replace(house.desk, notices=made.notices, go=made.go))
    qtbot.waitUntil(lambda: house.desk.bridge.idle)
    return made


def _controls(window: Window) -> list[QWidget]:
    """Everything on the page in front that can be used or reached by key, hidden parts included."""
    page = window.page(window.current)
    assert page is not None
    found = [page, *page.findChildren(QWidget)]
    return [
        widget
        for widget in found
        if (isinstance(widget, _CONTROLS) or widget.focusPolicy() & Qt.FocusPolicy.TabFocus)
        and not isinstance(widget, QScrollBar | QHeaderView)
        and not isinstance(widget.parentWidget(), _INNER)
        and widget.isEnabled()
        and widget.isVisibleTo(window)
    ]


def _told(widget: QWidget) -> str:
    return f"{type(widget).__name__} in {type(widget.parentWidget()).__name__}, {widget.toolTip()!r}"


@pytest.mark.parametrize("where", [*_PAGES, *_SECTIONS])
def test_every_control_has_a_name(qtbot: QtBot, house: House, window: Window, where: str) -> None:
    window.show()
    window.go(where)
    qtbot.waitUntil(lambda: house.desk.bridge.idle and len(_controls(window)) > 2)
    nameless = [
        _told(widget)
        for widget in _controls(window)
        if not QAccessible.queryAccessibleInterface(widget).text(QAccessible.Text.Name).strip()
    ]
    assert nameless == []


@pytest.mark.parametrize("where", [*_PAGES, *_SECTIONS])
def test_a_control_without_words_has_a_tooltip(qtbot: QtBot, house: House, window: Window, where: str) -> None:
    window.show()
    window.go(where)
    qtbot.waitUntil(lambda: house.desk.bridge.idle and len(_controls(window)) > 2)
    buttons = [widget for widget in _controls(window) if isinstance(widget, QAbstractButton)]
    silent = [_told(button) for button in buttons if not button.text().strip() and not button.toolTip().strip()]
    assert silent == []


@pytest.mark.parametrize("where", _PAGES)
def test_no_two_commands_of_the_palette_are_called_the_same(window: Window, where: str) -> None:
    window.go(where)
    called = [(command.section, command.title) for command in window.commands()]
    assert len(called) == len(set(called))
