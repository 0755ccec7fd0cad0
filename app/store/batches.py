"""Rows of batches and their files. Functions run in the store lane's threads; what comes next is decided elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.documents.batch_records import Batch, BatchFile, BatchState, Cause, FileCounts, FileState
from app.gate.label import Label
from app.store.database import Connection
from engine.errors import StoreError

_BATCH = (
    "SELECT id, title, schema_name, schema_version, model_id, state, position, created_at, label, as_words FROM batches"
)
_FILE = (
    "SELECT id, batch_id, path, state, position, size_bytes, attempts, cause, sentence, hint, document_id, pages,"
    " seconds, doubtful_values, decided_values, mean_confidence FROM batch_files"
)
_SHOWN_CAUSES = 12
_WORKING = (FileState.READING.value, FileState.EXTRACTING.value)


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file that joins a batch."""

    id: str
    path: Path
    size_bytes: int


def insert(connection: Connection, batch: Batch, schema_body: str) -> None:
    """Add a batch after all others."""
    connection.execute(
        "INSERT INTO batches (id, title, schema_name, schema_version, schema, model_id, state, position, created_at,"
        " label, as_words)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, (SELECT ifnull(max(position) + 1, 0) FROM batches), ?, ?, ?)",
        (
            batch.id,
            batch.title,
            batch.schema_name,
            batch.schema_version,
            schema_body,
            batch.model_id,
            batch.state.value,
            batch.created_at,
            batch.label.value,
            int(batch.as_words),
        ),
    )
    for folder in batch.watched:
        watch(connection, batch.id, folder)


def add_files(connection: Connection, batch_id: str, files: Iterable[NewFile]) -> int:
    """Add those that the batch does not have yet, at its end; returns how many."""
    (position,) = connection.execute(
        "SELECT ifnull(max(position) + 1, 0) FROM batch_files WHERE batch_id = ?", (batch_id,)
    ).fetchone()
    added = 0
    for file in files:
        added += connection.execute(
            "INSERT INTO batch_files (id, batch_id, path, state, position, size_bytes) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (batch_id, path) DO NOTHING",
            (file.id, batch_id, str(file.path), FileState.WAITING.value, position + added, file.size_bytes),
        ).rowcount
    return added


def every(connection: Connection) -> tuple[Batch, ...]:
    """All that are not deleted, in order."""
    rows = connection.execute(_BATCH + " WHERE deleted_at IS NULL ORDER BY position, seq").fetchall()
    return tuple(_batch(connection, row) for row in rows)


def get(connection: Connection, batch_id: str) -> Batch:
    """Raises ``StoreError`` when there is none."""
    row = connection.execute(_BATCH + " WHERE id = ? AND deleted_at IS NULL", (batch_id,)).fetchone()
    if row is None:
        raise StoreError("no_such_batch", "This batch is not there any more.")
    return _batch(connection, row)


def schema_body(connection: Connection, batch_id: str) -> str:
    """The schema as it was when the batch was made. Raises ``StoreError``."""
    row = connection.execute("SELECT schema FROM batches WHERE id = ?", (batch_id,)).fetchone()
    if row is None:
        raise StoreError("no_such_batch", "This batch is not there any more.")
    return str(row[0])


def rename(connection: Connection, batch_id: str, title: str) -> Batch:
    connection.execute("UPDATE batches SET title = ? WHERE id = ?", (title, batch_id))
    return get(connection, batch_id)


def set_state(connection: Connection, batch_id: str, state: BatchState) -> Batch:
    connection.execute("UPDATE batches SET state = ? WHERE id = ?", (state.value, batch_id))
    return get(connection, batch_id)


def settle(connection: Connection, batch_id: str) -> Batch:
    """A running batch without anything left to do is done."""
    connection.execute(
        "UPDATE batches SET state = 'done' WHERE id = ? AND state = 'running' AND NOT EXISTS (SELECT 1 FROM batch_files"
        " WHERE batch_id = batches.id AND state IN ('waiting', 'reading', 'extracting'))",
        (batch_id,),
    )
    return get(connection, batch_id)


def move(connection: Connection, batch_id: str, position: int) -> tuple[Batch, ...]:
    """Put a batch at a place of the order; returns all of them."""
    rows = connection.execute("SELECT id FROM batches WHERE deleted_at IS NULL ORDER BY position, seq")
    order = [row[0] for row in rows if row[0] != batch_id]
    order.insert(max(0, position), batch_id)
    connection.executemany("UPDATE batches SET position = ? WHERE id = ?", list(enumerate(order)))
    return every(connection)


def delete(connection: Connection, batch_id: str, at: float) -> str:
    """Hide a batch; returns its title."""
    batch = get(connection, batch_id)
    connection.execute("UPDATE batches SET deleted_at = ? WHERE id = ?", (at, batch_id))
    return batch.title


def undelete(connection: Connection, batch_id: str) -> Batch:
    connection.execute("UPDATE batches SET deleted_at = NULL WHERE id = ?", (batch_id,))
    return get(connection, batch_id)


def purge(connection: Connection) -> int:
    """Destroy hidden batches with their results; those with a document under legal hold stay hidden."""
    return connection.execute(
        "DELETE FROM batches WHERE deleted_at IS NOT NULL AND NOT EXISTS (SELECT 1 FROM batch_files AS f"
        " JOIN documents AS d ON d.id = f.document_id WHERE f.batch_id = batches.id AND d.held <> 0)"
    ).rowcount


def watch(connection: Connection, batch_id: str, folder: Path) -> None:
    connection.execute("INSERT OR IGNORE INTO watched_folders (batch_id, path) VALUES (?, ?)", (batch_id, str(folder)))


def unwatch(connection: Connection, batch_id: str, folder: Path) -> None:
    connection.execute("DELETE FROM watched_folders WHERE batch_id = ? AND path = ?", (batch_id, str(folder)))


def watched(connection: Connection) -> tuple[tuple[str, Path], ...]:
    """Batches and the folders that they watch; those of cancelled and hidden batches rest."""
    rows = connection.execute(
        "SELECT w.batch_id, w.path FROM watched_folders AS w JOIN batches AS b ON b.id = w.batch_id"
        " WHERE b.deleted_at IS NULL AND b.state <> 'cancelled'"
    )
    return tuple((row[0], Path(row[1])) for row in rows)


def files(connection: Connection, batch_id: str) -> tuple[BatchFile, ...]:
    """In their order."""
    rows = connection.execute(_FILE + " WHERE batch_id = ? ORDER BY position, seq", (batch_id,))
    return tuple(_file(row) for row in rows)


def file(connection: Connection, file_id: str) -> BatchFile:
    """Raises ``StoreError`` when there is none."""
    row = connection.execute(_FILE + " WHERE id = ?", (file_id,)).fetchone()
    if row is None:
        raise StoreError("no_such_file", "This file is not in a batch any more.")
    return _file(row)


def next_file(connection: Connection, resting: Sequence[str] = ()) -> BatchFile | None:
    """The file whose turn it is: the first that waits, of the first running batch that is not among ``resting``."""
    for (batch_id,) in connection.execute(
        "SELECT id FROM batches WHERE deleted_at IS NULL AND state = 'running' ORDER BY position, seq"
    ).fetchall():
        if batch_id in resting:
            continue
        row = connection.execute(
            _FILE + " WHERE batch_id = ? AND state = 'waiting' ORDER BY position, seq LIMIT 1", (batch_id,)
        ).fetchone()
        if row is not None:
            return _file(row)
    return None


def begin(connection: Connection, file_id: str) -> BatchFile | None:
    """Take a waiting file into work; ``None`` when it does not wait any more, or its batch does not run."""
    changed = connection.execute(
        "UPDATE batch_files SET state = 'reading', attempts = attempts + 1, cause = '', sentence = '', hint = ''"
        " WHERE id = ? AND state = 'waiting' AND EXISTS (SELECT 1 FROM batches AS b WHERE b.id = batch_id"
        " AND b.state = 'running' AND b.deleted_at IS NULL)",
        (file_id,),
    ).rowcount
    return file(connection, file_id) if changed else None


def was_read(connection: Connection, file_id: str, document_id: str, pages: int) -> BatchFile:
    """It was read; its values come next."""
    connection.execute(
        "UPDATE batch_files SET state = 'extracting', document_id = ?, pages = ? WHERE id = ?",
        (document_id, pages, file_id),
    )
    return file(connection, file_id)


def put_back(connection: Connection, file_id: str) -> BatchFile:
    """It waits again, and the attempt does not count: it was not the file's fault."""
    connection.execute(
        "UPDATE batch_files SET state = 'waiting', attempts = max(0, attempts - 1) WHERE id = ?"
        " AND state IN ('reading', 'extracting')",
        (file_id,),
    )
    return file(connection, file_id)


def fail(connection: Connection, file_id: str, state: FileState, cause: str, sentence: str, hint: str) -> BatchFile:
    """It ended without values; earlier ones stay."""
    connection.execute(
        "UPDATE batch_files SET state = ?, cause = ?, sentence = ?, hint = ? WHERE id = ?",
        (state.value, cause, sentence, hint, file_id),
    )
    return file(connection, file_id)


def finish(connection: Connection, file_id: str, seconds: float) -> BatchFile:
    """Its values were saved, in this same transaction."""
    connection.execute("UPDATE batch_files SET state = 'done', seconds = ? WHERE id = ?", (seconds, file_id))
    return file(connection, file_id)


def cancel_waiting(connection: Connection, batch_id: str) -> int:
    return connection.execute(
        "UPDATE batch_files SET state = 'cancelled' WHERE batch_id = ?"
        " AND state IN ('waiting', 'reading', 'extracting')",
        (batch_id,),
    ).rowcount


def wait_again(connection: Connection, batch_id: str, file_ids: Sequence[str]) -> int:
    """Files that ended wait again: those named, else all that failed or were cancelled; the batch runs.

    Files whose reading was removed by their label (``cause`` ``removed``) wait again only when named.
    """
    if file_ids:
        count = 0
        for file_id in file_ids:
            count += connection.execute(
                "UPDATE batch_files SET state = 'waiting', attempts = 0, cause = '', sentence = '', hint = ''"
                " WHERE id = ? AND batch_id = ? AND state NOT IN ('waiting', 'reading', 'extracting')",
                (file_id, batch_id),
            ).rowcount
    else:
        count = connection.execute(
            "UPDATE batch_files SET state = 'waiting', attempts = 0, cause = '', sentence = '', hint = ''"
            " WHERE batch_id = ? AND state IN ('failed', 'cancelled') AND cause <> 'removed'",
            (batch_id,),
        ).rowcount
    if count:
        connection.execute(
            "UPDATE batches SET state = 'running' WHERE id = ? AND state IN ('done', 'cancelled')", (batch_id,)
        )
    return count


def move_file(connection: Connection, file_id: str, position: int) -> str:
    """Put a file at a place of its batch's order; returns the batch's id."""
    moved = file(connection, file_id)
    order = [other.id for other in files(connection, moved.batch_id) if other.id != file_id]
    order.insert(max(0, position), file_id)
    connection.executemany("UPDATE batch_files SET position = ? WHERE id = ?", list(enumerate(order)))
    return moved.batch_id


def recover(connection: Connection, most_attempts: int, sentence: str, hint: str) -> int:
    """Put back what a dead process had in work; what was begun too often fails. Returns how many files."""
    failed = connection.execute(
        "UPDATE batch_files SET state = 'failed', cause = 'began_too_often', sentence = ?, hint = ?"
        " WHERE state IN (?, ?) AND attempts >= ?",
        (sentence, hint, *_WORKING, most_attempts),
    ).rowcount
    waiting = connection.execute("UPDATE batch_files SET state = 'waiting' WHERE state IN (?, ?)", _WORKING).rowcount
    for (batch_id,) in connection.execute("SELECT id FROM batches WHERE deleted_at IS NULL").fetchall():
        settle(connection, batch_id)
    return failed + waiting


def _batch(connection: Connection, row: tuple[Any, ...]) -> Batch:
    batch_id = row[0]
    of_states: dict[str, int] = dict(
        connection.execute("SELECT state, count(*) FROM batch_files WHERE batch_id = ? GROUP BY state", (batch_id,))
    )
    (doubtful,) = connection.execute(
        "SELECT ifnull(sum(doubtful_values), 0) FROM batch_files WHERE batch_id = ? AND state = 'done'", (batch_id,)
    ).fetchone()
    causes = connection.execute(
        "SELECT cause, min(sentence), count(*) FROM batch_files WHERE batch_id = ? AND state = 'failed'"
        " GROUP BY cause ORDER BY 3 DESC, 1 LIMIT ?",
        (batch_id, _SHOWN_CAUSES),
    )
    folders = connection.execute("SELECT path FROM watched_folders WHERE batch_id = ? ORDER BY path", (batch_id,))
    return Batch(
        id=batch_id,
        title=row[1],
        schema_name=row[2],
        schema_version=row[3],
        model_id=row[4],
        state=BatchState(row[5]),
        position=row[6],
        created_at=row[7],
        counts=_counts(of_states),
        doubtful_values=doubtful,
        watched=tuple(Path(folder) for (folder,) in folders),
        label=Label(row[8]),
        as_words=bool(row[9]),
        causes=tuple(Cause(*cause) for cause in causes),
    )


def _counts(of_states: dict[str, int]) -> FileCounts:
    return FileCounts(
        waiting=of_states.get("waiting", 0),
        working=sum(of_states.get(state, 0) for state in _WORKING),
        done=of_states.get("done", 0),
        failed=of_states.get("failed", 0),
        needs_password=of_states.get("needs_password", 0),
        cancelled=of_states.get("cancelled", 0),
    )


def _file(row: tuple[Any, ...]) -> BatchFile:
    done = row[3] == FileState.DONE.value
    return BatchFile(
        id=row[0],
        batch_id=row[1],
        path=Path(row[2]),
        state=FileState(row[3]),
        position=row[4],
        size_bytes=row[5],
        attempts=row[6],
        cause=row[7],
        sentence=row[8],
        hint=row[9],
        document_id=row[10],
        pages=row[11],
        seconds=row[12],
        doubtful_values=row[13],
        reviewed=done and row[13] == 0 and row[14] > 0,
        mean_confidence=row[15],
    )
