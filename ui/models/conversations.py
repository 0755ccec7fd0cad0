"""Conversations as a Qt list: pinned ones first, then by day, each group under its heading."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from PySide6.QtCore import QAbstractListModel, QModelIndex, QObject, QPersistentModelIndex, Qt, Signal

from app.chat.records import Conversation
from app.gate.label import GateMode
from ui import display
from ui.gate_words import mode_words

Index = QModelIndex | QPersistentModelIndex
CONVERSATION = int(Qt.ItemDataRole.UserRole)
"""The record; ``None`` in a heading."""
WRITING = CONVERSATION + 1
"""Whether an answer is being written in it."""
MOMENT = CONVERSATION + 2
"""When it changed, in words."""

Row = Conversation | str


class ConversationModel(QAbstractListModel):
    """Rows are headings (text) and conversations. A new title typed into a row leaves by ``renamed``."""

    renamed = Signal(str, str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._conversations: dict[str, Conversation] = {}
        self._writing: set[str] = set()
        self._rows: list[Row] = []
        self._now = 0.0

    # What the page calls.

    def show_all(self, conversations: Iterable[Conversation], now: float) -> None:
        self._conversations = {c.id: c for c in conversations}
        self._rebuild(now)

    def put(self, conversation: Conversation, now: float) -> None:
        """A conversation is new or has changed."""
        self._conversations[conversation.id] = conversation
        self._rebuild(now)

    def remove(self, conversation_id: str, now: float) -> None:
        if self._conversations.pop(conversation_id, None) is not None:
            self._rebuild(now)

    def set_writing(self, conversation_id: str, writing: bool) -> None:
        if (conversation_id in self._writing) != writing:
            (self._writing.add if writing else self._writing.discard)(conversation_id)
            index = self.index_of(conversation_id)
            if index.isValid():
                self.dataChanged.emit(index, index)

    def tell_time(self, now: float) -> None:
        """Time went on: moments and days are others."""
        self._rebuild(now)

    def conversation(self, conversation_id: str) -> Conversation | None:
        return self._conversations.get(conversation_id)

    def __len__(self) -> int:
        return len(self._conversations)

    def index_of(self, conversation_id: str) -> QModelIndex:
        for number, row in enumerate(self._rows):
            if isinstance(row, Conversation) and row.id == conversation_id:
                return self.index(number, 0)
        return QModelIndex()

    def neighbour(self, conversation_id: str) -> str | None:
        """The conversation below, or else above: what to show when this one goes."""
        ids = [row.id for row in self._rows if isinstance(row, Conversation)]
        if conversation_id not in ids:
            return None
        at = ids.index(conversation_id)
        around = ids[at + 1 : at + 2] + ids[max(at - 1, 0) : at]
        return around[0] if around else None

    # What Qt asks.

    def rowCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self._rows)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        row = self._rows[index.row()]
        if isinstance(row, str):
            return row if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole) else None
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.EditRole):
            return row.title
        if role == Qt.ItemDataRole.ToolTipRole:
            gate = "" if row.gate is GateMode.LOCAL else mode_words(row.gate)
            return "\n".join(part for part in (row.title, gate, row.preview) if part)
        if role == Qt.ItemDataRole.AccessibleTextRole:
            state = self.tr("an answer is being written") if row.id in self._writing else self._moment(row)
            gate = "" if row.gate is GateMode.LOCAL else f", {mode_words(row.gate)}"
            return f"{row.title}{gate}, {state}"
        return {CONVERSATION: row, WRITING: row.id in self._writing, MOMENT: self._moment(row)}.get(role)

    def setData(self, index: Index, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        row = self._rows[index.row()]
        title = " ".join(str(value).split())
        if isinstance(row, str) or role != Qt.ItemDataRole.EditRole or not title or title == row.title:
            return False
        self.renamed.emit(row.id, title)
        return True

    def flags(self, index: Index) -> Qt.ItemFlag:
        if not index.isValid() or isinstance(self._rows[index.row()], str):
            return Qt.ItemFlag.NoItemFlags
        return Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemIsEditable

    def _moment(self, row: Conversation) -> str:
        moment = display.ago(row.updated_at, self._now)
        # Under the headings "Today" and "Yesterday" the day says nothing: the time of day does.
        recent = display.day_group(self._now - 86_400, self._now), display.day_group(self._now, self._now)
        told = not row.pinned and display.day_group(row.updated_at, self._now) in recent
        return time.strftime("%H:%M", time.localtime(row.updated_at)) if told else moment

    def _rebuild(self, now: float) -> None:
        self._now = now
        rows = arrange(self._conversations.values(), now, self.tr("Pinned"))
        same = len(rows) == len(self._rows) and all(_key(a) == _key(b) for a, b in zip(rows, self._rows, strict=True))
        if same:
            self._rows = rows
            if rows:
                self.dataChanged.emit(self.index(0, 0), self.index(len(rows) - 1, 0))
            return
        self.beginResetModel()
        self._rows = rows
        self.endResetModel()


def arrange(conversations: Iterable[Conversation], now: float, pinned: str) -> list[Row]:
    """Conversations under their headings, the latest first."""
    rows: list[Row] = []
    heading = ""
    for conversation in sorted(conversations, key=lambda c: (not c.pinned, -c.updated_at)):
        group = pinned if conversation.pinned else display.day_group(conversation.updated_at, now)
        if group != heading:
            rows.append(group)
            heading = group
        rows.append(conversation)
    return rows


def _key(row: Row) -> str:
    return row if isinstance(row, str) else f"\0{row.id}"
