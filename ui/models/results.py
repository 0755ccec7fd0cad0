"""The results of a batch as a Qt table: a row a file, a column a field. Rows fill as they come into sight."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QObject, QPersistentModelIndex, Qt

from app.documents.batch_records import BatchFile, FileState
from app.documents.review_records import Result, ReviewedValue
from app.extraction.schema import FieldType, Schema
from ui import display

Index = QModelIndex | QPersistentModelIndex
DOUBT = int(Qt.ItemDataRole.UserRole)
"""How many of a cell's values need a look."""


class ResultsModel(QAbstractTableModel):
    """The first column is the file. A table's or list's cell says how many rows there are."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._files: list[BatchFile] = []
        self._schema: Schema | None = None
        self._results: dict[str, Result] = {}
        self._order = (-1, False)
        """The column to sort by, -1 for the files' own order; whether from the end."""

    def show_files(self, files: Iterable[BatchFile], schema: Schema | None) -> None:
        """The files that have values, in their order."""
        self.beginResetModel()
        if schema != self._schema:
            self._order = (-1, False)
        self._files = [file for file in files if file.state is FileState.DONE]
        self._schema = schema
        self._results = {key: self._results[key] for key in (f.id for f in self._files) if key in self._results}
        self._arrange()
        self.endResetModel()

    def show_result(self, result: Result) -> None:
        """Fill a row."""
        self._results[result.file.id] = result
        for row, file in enumerate(self._files):
            if file.id == result.file.id:
                self.dataChanged.emit(self.index(row, 0), self.index(row, self.columnCount() - 1))

    def forget(self, file_id: str) -> None:
        """It was decided about; the next look reads it again."""
        self._results.pop(file_id, None)

    def missing(self, first: int, last: int) -> list[BatchFile]:
        """Files of these rows whose values are not here yet."""
        return [file for file in self._files[max(0, first) : last + 1] if file.id not in self._results]

    def place(self, index: Index) -> tuple[BatchFile, str] | None:
        """The file of a cell, and the name of the value it opens: one in doubt, else the first."""
        if not index.isValid() or index.row() >= len(self._files):
            return None
        values = self._values(index)
        first = next((value for value in values if value.doubtful), values[0] if values else None)
        return self._files[index.row()], first.name if first is not None else ""

    @property
    def unread(self) -> list[BatchFile]:
        """Files whose values are not here yet: sorting by a value needs all of them."""
        return self.missing(0, len(self._files)) if self._order[0] > 0 else []

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        self.layoutAboutToBeChanged.emit()
        kept = self.persistentIndexList()
        places = [(self._files[index.row()].id, index.column()) for index in kept]
        self._order = (column, order is Qt.SortOrder.DescendingOrder)
        self._arrange()
        rows = {file.id: row for row, file in enumerate(self._files)}
        self.changePersistentIndexList(kept, [self.index(rows[key], at) for key, at in places])
        self.layoutChanged.emit()

    def _arrange(self) -> None:
        """Files whose value is missing come last, either way round."""
        column, backwards = self._order
        self._files.sort(key=lambda file: file.position)
        if column < 0:
            return
        keyed = [(self._sort_key(row, column), file) for row, file in enumerate(self._files)]
        there = [(key, file) for key, file in keyed if key is not None]
        there.sort(key=lambda pair: pair[0], reverse=backwards)
        self._files = [file for _, file in there] + [file for key, file in keyed if key is None]

    def _sort_key(self, row: int, column: int) -> tuple[float, str] | None:
        if column == 0:
            return (0.0, self._files[row].name.casefold())
        values = self._values(self.index(row, column))
        text = self._text(column, values)
        if not text:
            return None
        if self._is_number(column):
            try:
                return (float(values[0].shown or ""), "")
            except ValueError:
                return (0.0, text.casefold())  # a person may decide for what is no number
        return (0.0, text.casefold())

    # What Qt asks.

    def rowCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self._files)

    def columnCount(self, parent: Index | None = None) -> int:
        return 1 + (len(self._schema.fields) if self._schema is not None else 0)

    def headerData(self, section: int, way: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if way is not Qt.Orientation.Horizontal or role != Qt.ItemDataRole.DisplayRole:
            return None
        if section == 0:
            return self.tr("File")
        return self._schema.fields[section - 1].shown if self._schema is not None else None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        shown = role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole)
        if index.column() == 0:
            return self._files[index.row()].name if shown else None
        values = self._values(index)
        if shown:
            return self._text(index.column(), values)
        if role == DOUBT:
            return sum(value.doubtful for value in values)
        if role == Qt.ItemDataRole.TextAlignmentRole and self._is_number(index.column()):
            return int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        return None

    def _values(self, index: Index) -> list[ReviewedValue]:
        result = self._results.get(self._files[index.row()].id)
        if result is None or self._schema is None or index.column() == 0:
            return []
        name = self._schema.fields[index.column() - 1].name
        return [
            value for value in result.values if value.name == name or value.name.startswith((f"{name}[", f"{name}."))
        ]

    def _text(self, column: int, values: list[ReviewedValue]) -> str:
        if not values or self._schema is None:
            return ""
        kind = self._schema.fields[column - 1].type
        if kind is FieldType.TABLE:
            count = len({value.name.split(".")[0] for value in values if value.shown is not None})
            return self.tr("1 row") if count == 1 else self.tr("%1 rows").replace("%1", display.integer(count))
        return ", ".join(" ".join(value.shown.split()) for value in values if value.shown is not None)

    def _is_number(self, column: int) -> bool:
        kinds = (FieldType.NUMBER, FieldType.AMOUNT)
        return self._schema is not None and self._schema.fields[column - 1].type in kinds
