"""The line that asks a hub for models: what is typed leaves the machine, and only when it is sent."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QLineEdit, QWidget

from ui.theme import GRID, ThemeStore
from ui.widgets.parts import button, column, label, row


class SearchLine(QWidget):
    """``asked`` carries the words; ``stopped`` means not to wait for the answer."""

    asked = Signal(str)
    stopped = Signal()

    def __init__(self, themes: ThemeStore, host: str) -> None:
        super().__init__()
        self._host = host
        self.field = QLineEdit()
        self.field.setPlaceholderText(self.tr("Search %1 for GGUF models").replace("%1", host))
        self.field.setAccessibleName(self.tr("Search %1").replace("%1", host))
        self.field.setClearButtonEnabled(True)
        self.field.returnPressed.connect(self._ask)
        self.button = button(self.tr("Search"), self._ask, "primary")
        self.stop = button(self.tr("Cancel"), self.stopped.emit)
        note = self.tr(
            "Search asks %1, once you press Search and each time you choose a result. It is told the words above and "
            "the filters, nothing else."
        )
        self._note = label(note.replace("%1", host), themes.fonts.caption, "muted", wrap=True)
        line = row(self.field, self.button, self.stop)
        line.setStretch(0, 1)
        self.setLayout(column(line, self._note, spacing=GRID // 2))
        self.show_busy(False)

    def show_busy(self, busy: bool) -> None:
        self.button.setVisible(not busy)
        self.stop.setVisible(busy)

    def _ask(self) -> None:
        self.asked.emit(self.field.text())
