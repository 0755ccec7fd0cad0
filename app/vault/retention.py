"""How long things are kept, by label; removing what is due so that no copy of ours tells of it any more.

Looking is a dry run. Removing deletes rows (SQLite overwrites them), leaves tombstones, and then the store is written
anew under a new key, the old one destroyed: what the disk still holds of it opens with nothing (crypto-shredding). What
is under legal hold stays. Copies that the person made elsewhere are theirs; one put back is cleaned by the tombstones.
What is due is ``due``'s, what goes with it ``removing``'s.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass

from app.documents.review_records import AttachedDocument
from app.gate.label import Label
from app.store import attachments, batches
from app.store.database import Connection, connect_to
from app.vault import changing, due, removing
from app.vault.records import Retention, Shredded
from app.vault.telling import Gone
from app.vault.vault import Vault
from engine.errors import VaultError

_log = logging.getLogger(__name__)

_NOT_HELD = (
    "SELECT id, label FROM documents AS d WHERE id = ?1 AND held = 0"
    " AND NOT EXISTS (SELECT 1 FROM batch_files WHERE document_id = ?1)"
    " AND NOT EXISTS (SELECT 1 FROM attachments WHERE document_id = ?1)"
    " AND NOT EXISTS (SELECT 1 FROM citations WHERE document_id = ?1)"
)


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
    count = connection.execute("SELECT count(*) FROM tombstones").fetchone()[0]
    return Retention(rules, due.every(connection, rules, now), int(count))


def set_rule(connection: Connection, label: Label, days: int | None) -> None:
    """Keep things with this label for so many days after they were last used; ``None`` is for ever."""
    if days is not None and not 1 <= days <= 36_500:
        raise VaultError("bad_days", f"{days} is no number of days.", "From 1 to 36,500, or none to keep for ever.")
    connection.execute("INSERT OR REPLACE INTO retention (label, keep_days) VALUES (?, ?)", (label.value, days))


def hold(connection: Connection, item_id: str, held: bool) -> None:
    """Keep a conversation, a document, or a batch by its documents, whatever the label says, or no longer.

    A conversation that is kept keeps its documents. Raises ``VaultError``.
    """
    changed = sum(
        connection.execute(statement, (held, item_id)).rowcount
        for statement in (
            "UPDATE conversations SET held = ? WHERE id = ?",
            "UPDATE documents SET held = ? WHERE id = ?",
            "UPDATE documents SET held = ? WHERE id IN (SELECT document_id FROM batch_files WHERE batch_id = ?)",
        )
    )
    if not changed:
        raise VaultError("not_found", f"There is no conversation or document {item_id}, and no batch with documents.")


def remove(connection: Connection, ids: Sequence[str], now: float) -> Gone:
    """Delete what is due, chosen and not held, and leave tombstones. Within one transaction.

    Documents that only a removed conversation or batch had go with it: nobody would find them any more.
    """
    chosen = set(ids)
    going = [item for item in look(connection, now).due if item.id in chosen and not item.held]
    if not going:
        return Gone()
    titles, thinned, detached = _titles(connection), set[str](), list[AttachedDocument]()
    for item in going:
        if item.kind == "document":
            thinned.update(_ids(connection, "SELECT batch_id FROM batch_files WHERE document_id = ?", item.id))
            attached = _ids(connection, "SELECT id FROM attachments WHERE document_id = ?", item.id)
            detached += [attachments.get(connection, attachment_id) for attachment_id in attached]
        left_over = removing.used_by(connection, item.id) if item.kind != "document" else ()
        removing.delete(connection, item.kind, item.id)
        _bury(connection, Tombstone(item.id, item.kind, item.label.value, now))
        for document_id in left_over:
            _remove_left_over(connection, document_id, now)
    connection.execute("DELETE FROM manifests WHERE sha256 NOT IN (SELECT manifest FROM extractions)")
    removing.rewrite_indexes(connection)
    left = _titles(connection)
    return Gone(
        count=len(going),
        conversations=tuple((item.id, item.title) for item in going if item.kind == "conversation"),
        batches=tuple((batch_id, title) for batch_id, title in titles.items() if batch_id not in left),
        thinned=tuple(batches.get(connection, batch_id) for batch_id in sorted(thinned & left.keys())),
        detached=tuple(detached),
    )


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
    count, with_documents = 0, removing.knows_documents(connection)
    for stone in known:
        if with_documents or stone.kind == "conversation":
            count += removing.delete(connection, stone.kind, stone.id)
        _bury(connection, stone)
    return count


def _rules(connection: Connection) -> dict[Label, int | None]:
    stored = dict(connection.execute("SELECT label, keep_days FROM retention").fetchall())
    return {label: stored.get(label.value) for label in Label}


def _bury(connection: Connection, stone: Tombstone) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO tombstones (id, kind, label, removed_at) VALUES (?, ?, ?, ?)",
        (stone.id, stone.kind, stone.label, stone.removed_at),
    )


def _remove_left_over(connection: Connection, document_id: str, now: float) -> None:
    row = connection.execute(_NOT_HELD, (document_id,)).fetchone()
    if row is not None:
        removing.delete(connection, "document", document_id)
        _bury(connection, Tombstone(document_id, "document", row[1], now))


def _titles(connection: Connection) -> dict[str, str]:
    """Of the batches that a list shows."""
    return dict(connection.execute("SELECT id, title FROM batches WHERE deleted_at IS NULL").fetchall())


def _ids(connection: Connection, statement: str, of: str) -> list[str]:
    return [row[0] for row in connection.execute(statement, (of,))]


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
