"""Rows of the person's own schemas. Functions run in the store lane's threads; the text is ``schema_packing``'s."""

from __future__ import annotations

from app.store.database import Connection


def every(connection: Connection) -> tuple[str, ...]:
    """Bodies, the latest saved first."""
    rows = connection.execute("SELECT body FROM schemas ORDER BY saved_at DESC, name")
    return tuple(row[0] for row in rows)


def save(connection: Connection, name: str, version: int, body: str, at: float) -> None:
    connection.execute(
        "INSERT INTO schemas (name, version, body, saved_at) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (name) DO UPDATE SET version = excluded.version, body = excluded.body,"
        " saved_at = excluded.saved_at",
        (name, version, body, at),
    )


def version(connection: Connection, name: str) -> int:
    """0 when there is none."""
    row = connection.execute("SELECT version FROM schemas WHERE name = ?", (name,)).fetchone()
    return int(row[0]) if row else 0


def remove(connection: Connection, name: str) -> bool:
    return connection.execute("DELETE FROM schemas WHERE name = ?", (name,)).rowcount > 0
