"""Records as a Qt table: columns are described by ``Field``, rows are records. What one record has in a column is a
function of it; alignment, fonts, colours, sorting and speech follow from that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from PySide6.QtCore import QAbstractTableModel, QCoreApplication, QModelIndex, QObject, QPersistentModelIndex, Qt
from PySide6.QtGui import QColor, QIcon

from ui.theme import ThemeStore

R = TypeVar("R")
Index = QModelIndex | QPersistentModelIndex
RECORD = int(Qt.ItemDataRole.UserRole)
"""The record of a row."""
SORT = RECORD + 1
"""What a cell is sorted by."""


@dataclass(frozen=True, slots=True)
class Field(Generic[R]):
    """A column."""

    title: str
    words: Callable[[R], str]
    value: Callable[[R], float | str] | None = None
    """What it is sorted by; its words when left out."""
    tone: Callable[[R], str] | None = None
    """A colour of the theme, by name; ``text`` in the column of names, else ``muted``."""
    spoken: Callable[[R], str] | None = None
    """What a screen reader says; its words when left out."""
    icon: Callable[[R], QIcon | None] | None = None
    right: bool = False
    name: bool = False
    """Whether it is what the record is called by: larger, and in the colour of text."""

    @property
    def alignment(self) -> int:
        side = Qt.AlignmentFlag.AlignRight if self.right else Qt.AlignmentFlag.AlignLeft
        return int(Qt.AlignmentFlag.AlignVCenter | side)


class RecordsTable(QAbstractTableModel, Generic[R]):
    """``key`` tells records apart, ``tip`` is the tooltip of a row; titles are translated under ``context``."""

    def __init__(
        self,
        themes: ThemeStore,
        fields: Sequence[Field[R]],
        context: str,
        *,
        key: Callable[[R], str] | None = None,
        tip: Callable[[R], str] | None = None,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._themes, self._fields, self._context = themes, tuple(fields), context
        self._key, self._tip = key, tip
        self._records: list[R] = []

    @property
    def records(self) -> tuple[R, ...]:
        """In the order they were given."""
        return tuple(self._records)

    def replace(self, records: Sequence[R]) -> None:
        """Others altogether."""
        self.beginResetModel()
        self._records = list(records)
        self.endResetModel()

    def renew(self, record: R) -> None:
        """Another version of one record, in its place."""
        place = self.row_of(self._key(record)) if self._key is not None else -1
        if place >= 0:
            self._records[place] = record
            self.dataChanged.emit(self.index(place, 0), self.index(place, len(self._fields) - 1))

    def record(self, index: Index) -> R | None:
        return self._records[index.row()] if index.isValid() else None

    def row_of(self, key: str) -> int:
        """The place of a record, or -1."""
        if self._key is None:
            return -1
        return next((place for place, found in enumerate(self._records) if self._key(found) == key), -1)

    # What Qt asks.

    def rowCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self._records)

    def columnCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self._fields)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        if orientation is not Qt.Orientation.Horizontal:
            return None
        field = self._fields[section]
        if role == Qt.ItemDataRole.DisplayRole:
            return QCoreApplication.translate(self._context, field.title)
        return field.alignment if role == Qt.ItemDataRole.TextAlignmentRole else None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        record, field = self._records[index.row()], self._fields[index.column()]
        fonts = self._themes.fonts
        answers: dict[int, Callable[[], object]] = {
            RECORD: lambda: record,
            SORT: lambda: (field.value or field.words)(record),
            Qt.ItemDataRole.DisplayRole: lambda: field.words(record),
            Qt.ItemDataRole.AccessibleTextRole: lambda: (field.spoken or field.words)(record),
            Qt.ItemDataRole.TextAlignmentRole: lambda: field.alignment,
            Qt.ItemDataRole.FontRole: lambda: fonts.body if field.name else fonts.caption,
            Qt.ItemDataRole.ForegroundRole: lambda: self._colour(record, field),
            Qt.ItemDataRole.DecorationRole: lambda: field.icon(record) if field.icon is not None else None,
            Qt.ItemDataRole.ToolTipRole: lambda: self._tip(record) if self._tip is not None else None,
        }
        answer = answers.get(role)
        return answer() if answer is not None else None

    def _colour(self, record: R, field: Field[R]) -> QColor:
        plain = "text" if field.name else "muted"
        return QColor(getattr(self._themes.theme, field.tone(record) if field.tone is not None else plain))
