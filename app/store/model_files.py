"""Model files that are used where they lie. Functions run in the store lane's threads."""

from __future__ import annotations

from pathlib import Path

from app.store.database import Connection


def every(connection: Connection) -> tuple[Path, ...]:
    """All of them, in the order they were added; whether they still exist is for the library to see."""
    return tuple(Path(row[0]) for row in connection.execute("SELECT path FROM model_files ORDER BY added_at, path"))


def add(connection: Connection, path: Path, now: float) -> None:
    connection.execute("INSERT OR IGNORE INTO model_files (path, added_at) VALUES (?, ?)", (str(path), now))


def remove(connection: Connection, path: Path) -> bool:
    """Forget it; the file stays. False when it was not known."""
    return connection.execute("DELETE FROM model_files WHERE path = ?", (str(path),)).rowcount > 0
