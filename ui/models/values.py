"""The values of one file as a Qt list: what needs a look first, or in the document's order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from PySide6.QtCore import QAbstractListModel, QModelIndex, QObject, QPersistentModelIndex, Qt

from app.documents.review_records import Result, ReviewedValue
from app.extraction.records import Grounding
from app.extraction.schema import find_field
from ui import display

Index = QModelIndex | QPersistentModelIndex
VALUE = int(Qt.ItemDataRole.UserRole)
"""The ``ReviewedValue``."""
TITLE = VALUE + 1
"""The field's name as people read it."""


class ValueModel(QAbstractListModel):
    """Rows keep their places while values are decided about; only another file or another order sorts again."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._result: Result | None = None
        self._rows: list[ReviewedValue] = []
        self._by_doubt = True

    @property
    def result(self) -> Result | None:
        return self._result

    @property
    def by_doubt(self) -> bool:
        return self._by_doubt

    def show_result(self, result: Result | None) -> None:
        """Another file, or the same one after it was extracted again."""
        self.beginResetModel()
        self._result = result
        self._rows = self._sorted()
        self.endResetModel()

    def sort_by_doubt(self, by_doubt: bool) -> None:
        if by_doubt != self._by_doubt:
            self.beginResetModel()
            self._by_doubt = by_doubt
            self._rows = self._sorted()
            self.endResetModel()

    def put(self, changed: Iterable[ReviewedValue]) -> None:
        """Values that were decided about, or taken back; new ones come at the end, as rows of a table do."""
        if self._result is None:
            return
        known = {value.name: value for value in self._result.values}
        for value in changed:
            known[value.name] = value
            row = self.row_of(value.name)
            if row is None:
                self.beginInsertRows(QModelIndex(), len(self._rows), len(self._rows))
                self._rows.append(value)
                self.endInsertRows()
            else:
                self._rows[row] = value
                index = self.index(row, 0)
                self.dataChanged.emit(index, index)
        self._result = replace(self._result, values=tuple(known.values()))

    def value(self, row: int) -> ReviewedValue | None:
        return self._rows[row] if 0 <= row < len(self._rows) else None

    def row_of(self, name: str) -> int | None:
        return next((row for row, value in enumerate(self._rows) if value.name == name), None)

    def next_doubtful(self, after: int) -> int | None:
        """The next row that needs a look, going round; ``None`` when none does."""
        count = len(self._rows)
        places = ((after + step) % count for step in range(1, count + 1)) if count else ()
        return next((row for row in places if self._rows[row].doubtful), None)

    @property
    def doubtful_count(self) -> int:
        return sum(value.doubtful for value in self._rows)

    # What Qt asks.

    def rowCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self._rows)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        value = self.value(index.row()) if index.isValid() else None
        if value is None:
            return None
        if role == VALUE:
            return value
        if role == TITLE:
            return self._title(value.name)
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.EditRole):
            return value.shown or ""
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return self._spoken(value)
        return None

    def flags(self, index: Index) -> Qt.ItemFlag:
        return Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemIsEditable

    def _sorted(self) -> list[ReviewedValue]:
        if self._result is None:
            return []
        return list(self._result.by_doubt if self._by_doubt else self._result.values)

    def _title(self, name: str) -> str:
        """``lines[2].amount`` → ``Lines 3 · Amount``."""
        if self._result is None:
            return name
        words, path = [], ""
        for part in name.split("."):
            bare, _, number = part.partition("[")
            path = f"{path}.{bare}" if path else bare
            field = find_field(self._result.schema, path)
            word = field.shown if field is not None else bare
            words.append(f"{word} {int(number.rstrip(']')) + 1}" if number else word)
        return " · ".join(words)

    def _spoken(self, value: ReviewedValue) -> str:
        found = value.shown if value.shown is not None else self.tr("not in the document")
        state = self.tr("needs a look") if value.doubtful else self.tr("decided") if value.review else ""
        sure = display.percent(value.value.confidence) if value.value.grounding is not Grounding.ABSENT else ""
        return ", ".join(part for part in (self._title(value.name), found, sure, state) if part)
