"""Deletes one conversation, document or batch with all that was made of it. Within the caller's transaction.

A document's passages, values, attachments and citations go with it by the store's references; here goes what would
still tell of it: the rows of its files in batches, with their paths, and batches that are empty then.
"""

from __future__ import annotations

from typing import Final

from app.store.database import Connection

_NOT_AGAIN: Final = "What was read in it was removed, because its label keeps nothing longer."
_IS_WATCHED: Final = "EXISTS (SELECT 1 FROM watched_folders AS w WHERE w.batch_id = batch_files.batch_id)"
_USES: Final = (
    "SELECT DISTINCT document_id FROM batch_files WHERE batch_id = ?1 AND document_id IS NOT NULL"
    " UNION SELECT document_id FROM attachments WHERE conversation_id = ?1 AND document_id IS NOT NULL"
    " UNION SELECT document_id FROM citations WHERE conversation_id = ?1"
)


def delete(connection: Connection, kind: str, item_id: str) -> int:
    """How many there were: 1 or 0. What is not there is no fault."""
    match kind:
        case "document":
            return _document(connection, item_id)
        case "batch":
            return connection.execute("DELETE FROM batches WHERE id = ?", (item_id,)).rowcount
        case _:
            return _conversation(connection, item_id)


def used_by(connection: Connection, item_id: str) -> tuple[str, ...]:
    """The documents of a batch or a conversation."""
    return tuple(row[0] for row in connection.execute(_USES, (item_id,)))


def knows_documents(connection: Connection) -> bool:
    """Whether the store has documents; copies of older versions do not."""
    return connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'batch_files'").fetchone() is not None


def rewrite_indexes(connection: Connection) -> None:
    """Deleted words stay in the older segments of a search index until they are merged."""
    tables = connection.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND sql LIKE 'CREATE VIRTUAL TABLE%USING fts5%'"
    ).fetchall()
    for (name,) in tables:
        connection.execute(f"INSERT INTO {name} ({name}) VALUES ('optimize')")  # noqa: S608


def _conversation(connection: Connection, item_id: str) -> int:
    # Untied first: deleting a parent deletes its children one inside the other, and SQLite goes no deeper than 1,000.
    connection.execute("UPDATE messages SET parent_id = NULL, chosen = 0 WHERE conversation_id = ?", (item_id,))
    return connection.execute("DELETE FROM conversations WHERE id = ?", (item_id,)).rowcount


def _document(connection: Connection, item_id: str) -> int:
    batches = connection.execute("SELECT DISTINCT batch_id FROM batch_files WHERE document_id = ?", (item_id,))
    touched = batches.fetchall()
    _forget_watched(connection, item_id)
    connection.execute("DELETE FROM batch_files WHERE document_id = ?", (item_id,))
    removed = connection.execute("DELETE FROM documents WHERE id = ?", (item_id,)).rowcount
    connection.executemany(
        "DELETE FROM batches WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM batch_files WHERE batch_id = ?1)", touched
    )
    return removed


def _forget_watched(connection: Connection, item_id: str) -> None:
    """The row of a file in a watched folder stays, emptied: without it the file would join again by itself."""
    rows = connection.execute(
        f"SELECT id FROM batch_files WHERE document_id = ? AND {_IS_WATCHED}",  # noqa: S608
        (item_id,),
    ).fetchall()
    connection.executemany("DELETE FROM reviews WHERE file_id = ?", rows)
    connection.executemany(
        "UPDATE batch_files SET document_id = NULL, state = 'cancelled', cause = 'removed', sentence = ?2, hint = '',"
        " pages = 0, seconds = NULL, doubtful_values = 0, decided_values = 0, mean_confidence = NULL WHERE id = ?1",
        [(file_id, _NOT_AGAIN) for (file_id,) in rows],
    )
