"""Places where searched words occur, as a Qt list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import QAbstractListModel, QModelIndex, QObject, QPersistentModelIndex, Qt

from app.chat.records import SearchHit
from ui import display

HIT = int(Qt.ItemDataRole.UserRole)
MOMENT = HIT + 1


class SearchHitModel(QAbstractListModel):
    """One row a hit."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._hits: tuple[SearchHit, ...] = ()
        self._now = 0.0

    def show_hits(self, hits: Sequence[SearchHit], now: float) -> None:
        self.beginResetModel()
        self._hits, self._now = tuple(hits), now
        self.endResetModel()

    def rowCount(self, parent: QModelIndex | QPersistentModelIndex | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self._hits)

    def data(self, index: QModelIndex | QPersistentModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        hit = self._hits[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return hit.conversation_title
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return f"{hit.conversation_title}: {hit.snippet}"
        return {HIT: hit, MOMENT: display.ago(hit.created_at, self._now)}.get(role)
