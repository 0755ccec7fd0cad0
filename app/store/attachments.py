"""Rows of documents in conversations, and of the places that answers point to. They run in the store lane's threads."""

from __future__ import annotations

import json
from collections.abc import Sequence
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
Place = tuple[str, int, int]
"""Document, start, end."""

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


def number_places(connection: Connection, conversation_id: str, places: Sequence[Place]) -> dict[Place, int]:
    """The number of each place in a conversation; new places get the next ones."""
    known: dict[Place, int] = {
        (document_id, start, stop): number
        for number, document_id, start, stop in connection.execute(
            "SELECT number, document_id, start, stop FROM citations WHERE conversation_id = ?", (conversation_id,)
        )
    }
    following = max(known.values(), default=0) + 1
    for place in places:
        if place not in known:
            known[place] = following
            connection.execute(
                "INSERT INTO citations (conversation_id, number, document_id, start, stop) VALUES (?, ?, ?, ?, ?)",
                (conversation_id, following, *place),
            )
            following += 1
    return {place: known[place] for place in places}


def cited(connection: Connection, conversation_id: str, numbers: Sequence[int]) -> tuple[tuple[int, Place], ...]:
    """The places of these numbers; those that were never given are left out."""
    found = []
    for number in numbers:
        row = connection.execute(
            "SELECT document_id, start, stop FROM citations WHERE conversation_id = ? AND number = ?",
            (conversation_id, number),
        ).fetchone()
        if row is not None:
            found.append((number, (row[0], row[1], row[2])))
    return tuple(found)


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
