"""How long things are kept, by label; what is due; removing it so that no copy of ours tells of it any more.

Looking is a dry run. Removing deletes rows (SQLite overwrites them), leaves a tombstone, and then the store is written
anew under a new key, the old one destroyed: what the disk still holds of it opens with nothing (crypto-shredding). What
is under legal hold stays. Copies that the person made elsewhere are theirs; one put back is cleaned by the tombstones.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Final

from app.gate.label import Label, strictest
from app.store.database import Connection, connect_to
from app.vault import changing
from app.vault.records import Due, Retention, Shredded
from app.vault.vault import Vault
from engine.errors import VaultError

_DAY_S: Final = 86_400.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Tombstone:
    """That something was removed: never what it said."""

    id: str
    kind: str
    label: str
    removed_at: float


def look(connection: Connection, now: float) -> Retention:
    """The rules and what they would remove, oldest first. Removes nothing."""
    rules = _rules(connection)
    due = [*_conversations_due(connection, rules, now), *_documents_due(connection, rules, now)]
    count = connection.execute("SELECT count(*) FROM tombstones").fetchone()[0]
    return Retention(rules, tuple(sorted(due, key=lambda item: item.used_at)), int(count))


def set_rule(connection: Connection, label: Label, days: int | None) -> None:
    """Keep things with this label for so many days after they were last used; ``None`` is for ever."""
    if days is not None and not 1 <= days <= 36_500:
        raise VaultError("bad_days", f"{days} is no number of days.", "From 1 to 36,500, or none to keep for ever.")
    connection.execute("INSERT OR REPLACE INTO retention (label, keep_days) VALUES (?, ?)", (label.value, days))


def hold(connection: Connection, item_id: str, held: bool) -> None:
    """Keep a conversation or document whatever its label says, or no longer. Raises ``VaultError``."""
    changed = sum(
        connection.execute(statement, (held, item_id)).rowcount
        for statement in (
            "UPDATE conversations SET held = ? WHERE id = ?",
            "UPDATE documents SET held = ? WHERE id = ?",
        )
    )
    if not changed:
        raise VaultError("not_found", f"There is no conversation or document {item_id}.")


def remove(connection: Connection, ids: Sequence[str], now: float) -> int:
    """Delete what is due, chosen and not held, and leave tombstones; returns how many. Within one transaction."""
    chosen = set(ids)
    going = [item for item in look(connection, now).due if item.id in chosen and not item.held]
    for item in going:
        _delete(connection, item.kind, item.id)
        connection.execute(
            "INSERT OR REPLACE INTO tombstones (id, kind, label, removed_at) VALUES (?, ?, ?, ?)",
            (item.id, item.kind, item.label.value, now),
        )
    if going:
        _rewrite_indexes(connection)
    return len(going)


def shred_remains(vault: Vault, removed: int) -> Shredded:
    """After :func:`remove`, with the store closed: make what the disk still holds of it unreadable.

    Raises ``VaultError``, ``StoreError``, ``OSError``.
    """
    copies = _remove_copies(vault)
    if vault.page_key is not None:
        changing.rotate(vault)
        return Shredded(removed, True, copies)
    with closing(connect_to(vault.database, None)) as connection:
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("VACUUM")
    return Shredded(removed, False, copies)


def tombstones(connection: Connection) -> tuple[Tombstone, ...]:
    """All of them."""
    if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'tombstones'").fetchone():
        return ()
    rows = connection.execute("SELECT id, kind, label, removed_at FROM tombstones ORDER BY id").fetchall()
    return tuple(Tombstone(*row) for row in rows)


def remove_again(connection: Connection, known: Iterable[Tombstone]) -> int:
    """Clean an older copy of what was removed since; returns how many things it held. Within a transaction."""
    if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'tombstones'").fetchone():
        return 0
    count = 0
    for stone in known:
        count += _delete(connection, stone.kind, stone.id)
        connection.execute(
            "INSERT OR REPLACE INTO tombstones (id, kind, label, removed_at) VALUES (?, ?, ?, ?)",
            (stone.id, stone.kind, stone.label, stone.removed_at),
        )
    return count


def _rules(connection: Connection) -> dict[Label, int | None]:
    stored = dict(connection.execute("SELECT label, keep_days FROM retention").fetchall())
    return {label: stored.get(label.value) for label in Label}


def _conversations_due(connection: Connection, rules: dict[Label, int | None], now: float) -> list[Due]:
    rows = connection.execute(
        "SELECT c.id, c.title, c.updated_at, c.held, c.label, p.label, q.label FROM conversations c"
        " LEFT JOIN places p ON p.id = c.place_id LEFT JOIN places q ON q.id = p.parent_id"
    )
    found = []
    for item_id, title, used_at, held, *labels in rows:
        label = strictest(Label(name) for name in labels if name is not None)
        if _is_due(rules[label], used_at, now):
            age = int((now - used_at) / _DAY_S)
            found.append(Due(item_id, "conversation", title, label, used_at, age, bool(held)))
    return found


def _documents_due(connection: Connection, rules: dict[Label, int | None], now: float) -> list[Due]:
    rows = connection.execute("SELECT id, path, read_at, held, label FROM documents")
    return [
        Due(item_id, "document", path, Label(label), used_at, int((now - used_at) / _DAY_S), bool(held))
        for item_id, path, used_at, held, label in rows
        if _is_due(rules[Label(label)], used_at, now)
    ]


def _is_due(keep_days: int | None, used_at: float, now: float) -> bool:
    return keep_days is not None and now - used_at > keep_days * _DAY_S


def _delete(connection: Connection, kind: str, item_id: str) -> int:
    if kind == "document":
        files = "SELECT id FROM batch_files WHERE document_id = ?"
        connection.execute(f"DELETE FROM reviews WHERE file_id IN ({files})", (item_id,))  # noqa: S608
        return connection.execute("DELETE FROM documents WHERE id = ?", (item_id,)).rowcount
    # Untied first: deleting a parent deletes its children one inside the other, and SQLite goes no deeper than 1,000.
    connection.execute("UPDATE messages SET parent_id = NULL, chosen = 0 WHERE conversation_id = ?", (item_id,))
    return connection.execute("DELETE FROM conversations WHERE id = ?", (item_id,)).rowcount


def _rewrite_indexes(connection: Connection) -> None:
    """Deleted words stay in the older segments of a search index until they are merged."""
    tables = connection.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND sql LIKE 'CREATE VIRTUAL TABLE%USING fts5%'"
    ).fetchall()
    for (name,) in tables:
        connection.execute(f"INSERT INTO {name} ({name}) VALUES ('optimize')")  # noqa: S608


def _remove_copies(vault: Vault) -> int:
    """Copies that were made before upgrades and before restoring hold what is to be gone."""
    removed = 0
    for copy in sorted((vault.folder / "backups").glob("*")):
        try:
            copy.unlink()
            removed += 1
        except OSError as error:
            _log.warning("A copy made before an upgrade could not be removed: %s", error.strerror)
    return removed
