"""What is hidden in an outgoing text, as a Qt list of switches: checked is hidden, unchecked leaves as written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import QAbstractListModel, QCoreApplication, QModelIndex, QObject, QPersistentModelIndex, Qt, Signal

from app.gate.records import Redaction
from ui import gate_words

Index = QModelIndex | QPersistentModelIndex
REDACTION = int(Qt.ItemDataRole.UserRole)


class RedactionModel(QAbstractListModel):
    """One row a redaction; a switch asks by ``toggled`` and changes when the answer comes."""

    toggled = Signal(str, bool)
    """The placeholder, and whether it is to be hidden."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._rows: tuple[Redaction, ...] = ()

    def show_redactions(self, redactions: Sequence[Redaction]) -> None:
        """Rows of the same placeholders change in place, so that the keyboard stays where it is."""
        same = [row.placeholder for row in self._rows] == [row.placeholder for row in redactions]
        if same:
            self._rows = tuple(redactions)
            if self._rows:
                self.dataChanged.emit(self.index(0), self.index(len(self._rows) - 1))
            return
        self.beginResetModel()
        self._rows = tuple(redactions)
        self.endResetModel()

    def redactions(self) -> tuple[Redaction, ...]:
        return self._rows

    def rowCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self._rows)

    def flags(self, index: Index) -> Qt.ItemFlag:
        return Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemIsUserCheckable

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        row = self._rows[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return chip_words(row)
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return spoken(row)
        if role == Qt.ItemDataRole.ToolTipRole:
            return f"{gate_words.kind_words(row.kind)}: {row.text}\n{spoken(row)}"
        if role == Qt.ItemDataRole.CheckStateRole:
            return Qt.CheckState.Checked if row.on else Qt.CheckState.Unchecked
        return row if role == REDACTION else None

    def setData(self, index: Index, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        if role != Qt.ItemDataRole.CheckStateRole:
            return False
        self.toggle(index)
        return True

    def toggle(self, index: Index) -> None:
        """Ask for the other state of a row."""
        if index.isValid():
            row = self._rows[index.row()]
            self.toggled.emit(row.placeholder, not row.on)


def chip_words(row: Redaction) -> str:
    """``Anna Keller → [PERSON_1]``, or ``Anna Keller`` alone when it leaves as it is."""
    text = " ".join(row.text.split())
    shown = text if len(text) <= 32 else text[:31] + "…"
    times = f" ×{row.count}" if row.count > 1 else ""
    return f"{shown} → {row.placeholder}{times}" if row.on else f"{shown}{times}"


def spoken(row: Redaction) -> str:
    """The row as a sentence."""
    words = _tr("“%1” leaves as %2.") if row.on else _tr("“%1” leaves as it is written.")
    return words.replace("%1", row.text).replace("%2", row.placeholder)


def _tr(text: str) -> str:
    return QCoreApplication.translate("gate", text)
