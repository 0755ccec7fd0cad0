"""Rows of the gate: places with their labels, placeholders, the glossary, canaries. Functions run in the store lane.

The ledger's rows are ``app.store.ledger``'s, providers' are ``app.store.providers``'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from app.gate.label import Label, strictest
from app.gate.records import Place, Term
from app.store.database import Connection
from engine.errors import StoreError


def places(connection: Connection) -> tuple[Place, ...]:
    """Workspaces in the order in which they were made, each followed by its folders."""
    rows = connection.execute("SELECT id, parent_id, name, label FROM places ORDER BY seq").fetchall()
    below: dict[str | None, list[tuple[str, str, Label]]] = {}
    for place_id, parent_id, name, label in rows:
        below.setdefault(parent_id, []).append((place_id, name, Label(label)))
    found: list[Place] = []
    waiting = [(None, Label.PUBLIC, entry) for entry in reversed(below.get(None, []))]
    stack: list[tuple[str | None, Label, tuple[str, str, Label]]] = list(waiting)
    while stack:
        parent_id, above, (place_id, name, own) = stack.pop()
        effective = strictest((above, own))
        found.append(Place(place_id, parent_id, name, own, effective))
        stack += [(place_id, effective, entry) for entry in reversed(below.get(place_id, []))]
    return tuple(found)


def place(connection: Connection, place_id: str) -> Place:
    """Raises ``StoreError`` when there is none."""
    found = next((one for one in places(connection) if one.id == place_id), None)
    if found is None:
        raise StoreError("no_such_place", "This workspace or folder is not there any more.")
    return found


def insert_place(connection: Connection, made: Place, now: float) -> Place:
    if made.parent_id is not None:
        place(connection, made.parent_id)
    connection.execute(
        "INSERT INTO places (id, parent_id, name, label, created_at) VALUES (?, ?, ?, ?, ?)",
        (made.id, made.parent_id, made.name, made.label.value, now),
    )
    return place(connection, made.id)


def change_place(connection: Connection, place_id: str, name: str | None, label: Label | None) -> None:
    place(connection, place_id)
    connection.execute(
        "UPDATE places SET name = ifnull(?, name), label = ifnull(?, label) WHERE id = ?",
        (name, None if label is None else label.value, place_id),
    )


def remove_place(connection: Connection, place_id: str) -> None:
    """Take a place away. What lay in it moves up and keeps at least the label that it had there."""
    gone = place(connection, place_id)
    inside = connection.execute("SELECT id, label FROM conversations WHERE place_id = ?", (place_id,)).fetchall()
    for conversation_id, label in inside:
        kept = strictest((Label(label), gone.effective))
        connection.execute(
            "UPDATE conversations SET label = ?, place_id = ? WHERE id = ?",
            (kept.value, gone.parent_id, conversation_id),
        )
    for folder_id, label in connection.execute(
        "SELECT id, label FROM places WHERE parent_id = ?", (place_id,)
    ).fetchall():
        kept = strictest((Label(label), gone.effective))
        connection.execute(
            "UPDATE places SET label = ?, parent_id = ? WHERE id = ?", (kept.value, gone.parent_id, folder_id)
        )
    connection.execute("DELETE FROM places WHERE id = ?", (place_id,))


def placeholders(connection: Connection, conversation_id: str) -> dict[str, str]:
    """A conversation's whole map, placeholder to string."""
    rows = connection.execute(
        "SELECT placeholder, text FROM placeholders WHERE conversation_id = ?", (conversation_id,)
    )
    return {str(placeholder): str(text) for placeholder, text in rows}


def keep_placeholders(
    connection: Connection, conversation_id: str, known: Mapping[str, str], kinds: Sequence[str]
) -> None:
    """Add what is new. Raises ``StoreError`` when a placeholder stands for something else by now."""
    stored = placeholders(connection, conversation_id)
    if any(stored.get(placeholder, text) != text for placeholder, text in known.items()):
        raise StoreError(
            "placeholders_changed",
            "Another request of this conversation gave out the same placeholders meanwhile, so nothing was sent.",
            "Open the sheet again.",
        )
    connection.executemany(
        "INSERT OR IGNORE INTO placeholders (conversation_id, placeholder, kind, text) VALUES (?, ?, ?, ?)",
        [
            (conversation_id, placeholder, kind, text)
            for (placeholder, text), kind in zip(known.items(), kinds, strict=True)
        ],
    )


def terms(connection: Connection) -> tuple[Term, ...]:
    """The glossary, in alphabetical order."""
    rows = connection.execute("SELECT id, text, kind FROM glossary ORDER BY text COLLATE NOCASE, id")
    return tuple(Term(*row) for row in rows)


def add_term(connection: Connection, text: str, kind: str, now: float) -> Term:
    """A word that is there already gets the new kind."""
    connection.execute(
        "INSERT INTO glossary (text, kind, added_at) VALUES (?, ?, ?)"
        " ON CONFLICT (text) DO UPDATE SET kind = excluded.kind",
        (text, kind, now),
    )
    return Term(*connection.execute("SELECT id, text, kind FROM glossary WHERE text = ?", (text,)).fetchone())


def remove_term(connection: Connection, term_id: int) -> None:
    connection.execute("DELETE FROM glossary WHERE id = ?", (term_id,))


def canaries(connection: Connection) -> tuple[str, ...]:
    """Strings that must never leave."""
    return tuple(str(row[0]) for row in connection.execute("SELECT text FROM canaries ORDER BY text"))


def plant(connection: Connection, texts: Iterable[str], note: str = "") -> None:
    """Add strings that must never leave."""
    connection.executemany(
        "INSERT OR IGNORE INTO canaries (text, note) VALUES (?, ?)", [(text, note) for text in texts if text.strip()]
    )
