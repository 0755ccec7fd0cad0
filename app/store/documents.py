"""Rows of documents and their readings. Functions run in the store lane's threads."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from app.documents import packing
from app.documents.records import Reading
from app.documents.review_records import Document, PageSize
from app.gate.label import Label, strictest
from app.store.database import Connection
from engine.errors import StoreError

_SELECT = "SELECT id, path, sha256, kind, size_bytes, pages, characters, label, notes, read_at FROM documents"


def keep(
    connection: Connection, reading: Reading, path: Path, label: Label, at: float, *, as_words: bool = False
) -> Document:
    """Store a reading; the same bytes read before stay one document, with the stricter label and the newer reading."""
    known = connection.execute(
        "SELECT id, label FROM documents WHERE sha256 = ? AND as_words = ?", (reading.sha256, int(as_words))
    ).fetchone()
    document_id = known[0] if known else uuid.uuid4().hex
    if known:
        label = strictest((label, Label(known[1])))
        _raise_labels(connection, document_id, label)
    pages = [(page.number, page.width, page.height, page.source) for page in reading.pages]
    connection.execute(
        "INSERT INTO documents (id, sha256, as_words, path, kind, size_bytes, characters, pages, notes, label, read_at,"
        " reading) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (sha256, as_words) DO UPDATE SET path = excluded.path, kind = excluded.kind,"
        " characters = excluded.characters, pages = excluded.pages, notes = excluded.notes, label = excluded.label,"
        " read_at = excluded.read_at, reading = excluded.reading",
        (
            document_id,
            reading.sha256,
            int(as_words),
            str(path),
            reading.kind.value,
            reading.size_bytes,
            len(reading.text),
            json.dumps(pages),
            json.dumps(reading.notes),
            label.value,
            at,
            packing.pack(reading),
        ),
    )
    return get(connection, document_id)


def get(connection: Connection, document_id: str) -> Document:
    """Raises ``StoreError`` when there is none."""
    row = connection.execute(_SELECT + " WHERE id = ?", (document_id,)).fetchone()
    if row is None:
        raise StoreError("no_such_document", "This document is not in the store any more.")
    return _document(row)


def reading(connection: Connection, document_id: str) -> Reading:
    """Raises ``StoreError`` when there is none, or when it cannot be read."""
    row = connection.execute("SELECT reading FROM documents WHERE id = ?", (document_id,)).fetchone()
    if row is None:
        raise StoreError("no_such_document", "This document is not in the store any more.")
    return packing.unpack(row[0])


def was_read_as_words(connection: Connection, document_id: str) -> bool:
    """Whether it is a list of words with boxes."""
    row = connection.execute("SELECT as_words FROM documents WHERE id = ?", (document_id,)).fetchone()
    return bool(row and row[0])


def set_label(connection: Connection, document_id: str, label: Label) -> Document:
    """What was made from it in conversations is raised with it, and not lowered: it may be made of others as well."""
    connection.execute("UPDATE documents SET label = ? WHERE id = ?", (label.value, document_id))
    _raise_labels(connection, document_id, label)
    return get(connection, document_id)


def labels(connection: Connection, ids: Sequence[str]) -> tuple[Label, ...]:
    """The labels of those of these documents that are still there."""
    statement = "SELECT DISTINCT label FROM documents WHERE id IN (SELECT value FROM json_each(?))"
    return tuple(Label(row[0]) for row in connection.execute(statement, (json.dumps(list(ids)),)))


def paths_of(connection: Connection, document_id: str) -> tuple[Path, ...]:
    """Every place where its bytes were once found, the latest first."""
    rows = connection.execute(
        "SELECT path, 0, 0 FROM documents WHERE id = ?1"
        " UNION SELECT path, 1, -seq FROM batch_files WHERE document_id = ?1"
        " UNION SELECT path, 1, -seq FROM attachments WHERE document_id = ?1 ORDER BY 2, 3",
        (document_id,),
    )
    return tuple(dict.fromkeys(Path(row[0]) for row in rows))


def purge_unused(connection: Connection) -> int:
    """Destroy documents that no batch and no conversation has any more, with their words in the index; how many."""
    destroyed = connection.execute(
        "DELETE FROM documents WHERE held = 0"
        " AND NOT EXISTS (SELECT 1 FROM batch_files AS f WHERE f.document_id = documents.id)"
        " AND NOT EXISTS (SELECT 1 FROM attachments AS a WHERE a.document_id = documents.id)"
        " AND NOT EXISTS (SELECT 1 FROM citations AS c WHERE c.document_id = documents.id)"
    ).rowcount
    if destroyed:  # until then the index only notes that words are gone, and still holds them
        connection.execute("INSERT INTO passages_text (passages_text) VALUES ('optimize')")
        connection.execute("INSERT INTO passages_characters (passages_characters) VALUES ('optimize')")
    return destroyed


def _raise_labels(connection: Connection, document_id: str, label: Label) -> None:
    """Messages that documents went into have a label; those of conversations that had this one get at least its."""
    lower = [one.value for one in Label if one.rank < label.rank]
    marks = ", ".join("?" * len(lower))
    connection.execute(
        f"UPDATE messages SET label = ? WHERE label IN ({marks}) AND conversation_id IN ("  # noqa: S608
        " SELECT conversation_id FROM attachments WHERE document_id = ?"
        " UNION SELECT conversation_id FROM citations WHERE document_id = ?)",
        (label.value, *lower, document_id, document_id),
    )


def _document(row: tuple[Any, ...]) -> Document:
    return Document(
        id=row[0],
        path=Path(row[1]),
        sha256=row[2],
        kind=row[3],
        size_bytes=row[4],
        pages=tuple(PageSize(*page) for page in json.loads(row[5])),
        characters=row[6],
        label=Label(row[7]),
        notes=tuple(json.loads(row[8])),
        read_at=row[9],
    )
