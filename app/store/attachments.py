"""Rows of documents in conversations, and of the places that answers point to. They run in the store lane's threads."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from app.documents.review_records import AttachedDocument, AttachmentState
from app.gate.label import Label
from app.store.database import Connection
from engine.errors import StoreError

_SELECT = (
    "SELECT a.id, a.conversation_id, a.path, a.state, a.document_id, a.sentence, d.label, d.pages, d.characters"
    " FROM attachments AS a LEFT JOIN documents AS d ON d.id = a.document_id"
)
_CHARACTERS_PER_TOKEN = 3.2
"""Of the tables and forms that documents are full of; only for what is shown and guessed at."""


def insert(connection: Connection, attached: AttachedDocument, at: float) -> AttachedDocument:
    connection.execute(
        "INSERT INTO attachments (id, conversation_id, document_id, path, state, sentence, added_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            attached.id,
            attached.conversation_id,
            attached.document_id,
            str(attached.path),
            attached.state.value,
            attached.sentence,
            at,
        ),
    )
    return get(connection, attached.id)


def get(connection: Connection, attachment_id: str) -> AttachedDocument:
    """Raises ``StoreError`` when there is none."""
    row = connection.execute(_SELECT + " WHERE a.id = ?", (attachment_id,)).fetchone()
    if row is None:
        raise StoreError("no_such_attachment", "This document is not attached any more.")
    return _attached(row)


def of_conversation(connection: Connection, conversation_id: str) -> tuple[AttachedDocument, ...]:
    """In the order in which they were attached."""
    rows = connection.execute(_SELECT + " WHERE a.conversation_id = ? ORDER BY a.seq", (conversation_id,))
    return tuple(_attached(row) for row in rows)


def unread(connection: Connection) -> tuple[AttachedDocument, ...]:
    """What a dead process was reading."""
    return tuple(_attached(row) for row in connection.execute(_SELECT + " WHERE a.state = 'reading' ORDER BY a.seq"))


def settle(
    connection: Connection,
    attachment_id: str,
    state: AttachmentState,
    sentence: str = "",
    document_id: str | None = None,
) -> AttachedDocument | None:
    """What became of it; ``None`` when it was taken off meanwhile."""
    changed = connection.execute(
        "UPDATE attachments SET state = ?, sentence = ?, document_id = ifnull(?, document_id) WHERE id = ?",
        (state.value, sentence, document_id, attachment_id),
    ).rowcount
    return get(connection, attachment_id) if changed else None


def remove(connection: Connection, attachment_id: str) -> AttachedDocument:
    gone = get(connection, attachment_id)
    connection.execute("DELETE FROM attachments WHERE id = ?", (attachment_id,))
    return gone


def cite(connection: Connection, message_id: str, places: Iterable[tuple[int, str, int, int]]) -> None:
    """Keep what an answer may point to: number, document, start, end."""
    connection.execute("DELETE FROM citations WHERE message_id = ?", (message_id,))
    connection.executemany(
        "INSERT INTO citations (message_id, number, document_id, start, stop) VALUES (?, ?, ?, ?, ?)",
        [(message_id, *place) for place in places],
    )


def citations(connection: Connection, message_id: str) -> Sequence[tuple[int, str, Path, int, int]]:
    """Number, document, its path, start, end, by number."""
    rows = connection.execute(
        "SELECT c.number, c.document_id, d.path, c.start, c.stop FROM citations AS c"
        " JOIN documents AS d ON d.id = c.document_id WHERE c.message_id = ? ORDER BY c.number",
        (message_id,),
    )
    return [(row[0], row[1], Path(row[2]), row[3], row[4]) for row in rows]


def _attached(row: tuple[Any, ...]) -> AttachedDocument:
    return AttachedDocument(
        id=row[0],
        conversation_id=row[1],
        path=Path(row[2]),
        state=AttachmentState(row[3]),
        document_id=row[4],
        sentence=row[5],
        label=Label(row[6]) if row[6] else Label.INTERNAL,
        pages=len(json.loads(row[7])) if row[7] else 0,
        tokens=None if row[8] is None else round(row[8] / _CHARACTERS_PER_TOKEN),
    )
