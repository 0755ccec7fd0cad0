"""Batches and the files of one of them as Qt lists."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Generic, TypeVar

from PySide6.QtCore import QAbstractListModel, QModelIndex, QObject, QPersistentModelIndex, Qt

from app.documents.batch_records import Batch, BatchFile

Index = QModelIndex | QPersistentModelIndex
RECORD = int(Qt.ItemDataRole.UserRole)
"""The ``Batch`` or ``BatchFile``."""

R = TypeVar("R", bound=Batch | BatchFile)


class RecordModel(QAbstractListModel, Generic[R]):
    """Records by their ``position``."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._rows: list[R] = []

    @property
    def records(self) -> tuple[R, ...]:
        return tuple(self._rows)

    def show_all(self, records: Iterable[R]) -> None:
        self.beginResetModel()
        self._rows = sorted(records, key=_place)
        self.endResetModel()

    def put(self, record: R) -> None:
        """A record is new or has changed."""
        row = self.row_of(record.id)
        if row is None or _place(self._rows[row]) != _place(record):
            self.show_all([*(known for known in self._rows if known.id != record.id), record])
            return
        self._rows[row] = record
        index = self.index(row, 0)
        self.dataChanged.emit(index, index)

    def remove(self, record_id: str) -> None:
        row = self.row_of(record_id)
        if row is not None:
            self.beginRemoveRows(QModelIndex(), row, row)
            del self._rows[row]
            self.endRemoveRows()

    def record(self, row: int) -> R | None:
        return self._rows[row] if 0 <= row < len(self._rows) else None

    def find(self, record_id: str) -> R | None:
        row = self.row_of(record_id)
        return None if row is None else self._rows[row]

    def row_of(self, record_id: str) -> int | None:
        return next((row for row, known in enumerate(self._rows) if known.id == record_id), None)

    def rowCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self._rows)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        record = self.record(index.row()) if index.isValid() else None
        if record is None:
            return None
        if role == RECORD:
            return record
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            return record.title if isinstance(record, Batch) else record.name
        if role == Qt.ItemDataRole.ToolTipRole:
            return record.waits_for if isinstance(record, Batch) else f"{record.path}\n{record.sentence}".strip()
        return None


def _place(record: Batch | BatchFile) -> tuple[int, str]:
    return record.position, record.id
