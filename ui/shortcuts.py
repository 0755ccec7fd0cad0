"""The keys of the whole window, in one table. Pages add the keys of their own content."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QWidget

PALETTE = "Ctrl+K"
NEW_CHAT = "Ctrl+N"
FIND = "Ctrl+F"
FIND_EVERYWHERE = "Ctrl+Shift+F"
SETTINGS = "Ctrl+,"
QUIT = "Ctrl+Q"
LOCK = "Ctrl+L"
UNDO = "Ctrl+Z"
"""Takes back what the newest notice tells of; while one writes, the text field's own."""
REGENERATE = "Ctrl+R"
COPY_ANSWER = "Ctrl+Shift+C"
EDIT_LAST = "Ctrl+E"
ASK_CLOUD = "Ctrl+Shift+Enter"
"""With the draft, or about the last answer when nothing is drafted. The key beside the letters counts as well."""
ASK_CLOUD_TOO = "Ctrl+Shift+Return"
GATE = "Ctrl+Shift+G"
"""The gate of the open conversation."""
PAGES = ("Ctrl+1", "Ctrl+2", "Ctrl+3", "Ctrl+4", "Ctrl+5", "Ctrl+6")
"""By place in the rail."""


@dataclass(frozen=True, slots=True)
class Shortcuts:
    """What was installed; kept so that a test can press it and a page can switch it off."""

    by_keys: Mapping[str, QShortcut]


def install(window: QWidget, actions: Mapping[str, Callable[[], object]]) -> Shortcuts:
    """Bind portable key sequences to functions while ``window`` is active. On macOS ``Ctrl`` is the Command key."""
    made = {}
    for keys, run in actions.items():
        shortcut = QShortcut(QKeySequence(keys), window)
        shortcut.setContext(Qt.ShortcutContext.WindowShortcut)
        shortcut.setAutoRepeat(False)
        shortcut.activated.connect(lambda run=run: run())
        made[keys] = shortcut
    return Shortcuts(made)


def in_words(keys: str) -> str:
    """As the system writes it: ``Ctrl+K``, or ``⌘K`` on macOS."""
    return QKeySequence(keys).toString(QKeySequence.SequenceFormat.NativeText)
