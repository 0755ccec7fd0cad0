"""Rows of conversations. Functions run in the store lane's threads; messages are ``app.store.messages``'s."""

from __future__ import annotations

from typing import Any

from app.chat.records import Conversation
from app.gate.label import GateMode, Label, strictest
from app.store import unspaced
from app.store.database import Connection
from engine.errors import StoreError

_PREVIEW_CHARACTERS = 160

_SELECT = """
    SELECT c.id, c.title, c.created_at, c.updated_at, c.pinned, c.model_id, c.system_prompt,
        ifnull(o.message_count, (SELECT count(*) FROM messages AS m WHERE m.conversation_id = c.id)),
        ifnull(o.beginning, (SELECT substr(m.text, 1, 600) FROM messages AS m
            WHERE m.conversation_id = c.id AND m.chosen = 1 AND m.text <> '' ORDER BY m.seq DESC LIMIT 1)),
        c.label, c.gate, c.place_id,
        CASE WHEN c.place_id IS NULL THEN NULL ELSE (
            WITH RECURSIVE above (id, parent_id, label) AS (
                SELECT p.id, p.parent_id, p.label FROM places AS p WHERE p.id = c.place_id
                UNION SELECT p.id, p.parent_id, p.label FROM places AS p JOIN above ON p.id = above.parent_id
            ) SELECT group_concat(label) FROM above
        ) END
    FROM conversations AS c LEFT JOIN outlines AS o ON o.conversation_id = c.id
"""


def every(connection: Connection) -> tuple[Conversation, ...]:
    """All that are not deleted: pinned first, then the latest first."""
    rows = connection.execute(
        _SELECT + " WHERE c.deleted_at IS NULL ORDER BY c.pinned DESC, c.updated_at DESC, c.seq DESC"
    )
    return tuple(_conversation(row) for row in rows)


def get(connection: Connection, conversation_id: str) -> Conversation:
    """One that is not deleted. Raises ``StoreError`` when there is none."""
    row = connection.execute(_SELECT + " WHERE c.id = ? AND c.deleted_at IS NULL", (conversation_id,)).fetchone()
    if row is None:
        raise StoreError("no_such_conversation", "This conversation is not there any more.")
    return _conversation(row)


def exists(connection: Connection, conversation_id: str) -> bool:
    """Whether it is there; deleted ones are, until they are purged."""
    return connection.execute("SELECT 1 FROM conversations WHERE id = ?", (conversation_id,)).fetchone() is not None


def insert(connection: Connection, conversation: Conversation) -> None:
    connection.execute(
        "INSERT INTO conversations (id, title, created_at, updated_at, pinned, model_id, system_prompt, label, gate,"
        " place_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            conversation.id,
            conversation.title,
            conversation.created_at,
            conversation.updated_at,
            int(conversation.pinned),
            conversation.model_id,
            conversation.system_prompt,
            conversation.own_label.value,
            conversation.gate.value,
            conversation.place_id,
        ),
    )
    _index_unspaced(connection, conversation.id, conversation.title)


def rename(connection: Connection, conversation_id: str, title: str) -> Conversation:
    connection.execute("UPDATE conversations SET title = ? WHERE id = ?", (title, conversation_id))
    _index_unspaced(connection, conversation_id, title)
    return get(connection, conversation_id)


def pin(connection: Connection, conversation_id: str, pinned: bool) -> Conversation:
    connection.execute("UPDATE conversations SET pinned = ? WHERE id = ?", (int(pinned), conversation_id))
    return get(connection, conversation_id)


def set_system_prompt(connection: Connection, conversation_id: str, text: str) -> Conversation:
    connection.execute("UPDATE conversations SET system_prompt = ? WHERE id = ?", (text, conversation_id))
    return get(connection, conversation_id)


def set_gate(connection: Connection, conversation_id: str, mode: GateMode) -> Conversation:
    connection.execute("UPDATE conversations SET gate = ? WHERE id = ?", (mode.value, conversation_id))
    return get(connection, conversation_id)


def set_label(connection: Connection, conversation_id: str, label: Label) -> Conversation:
    connection.execute("UPDATE conversations SET label = ? WHERE id = ?", (label.value, conversation_id))
    return get(connection, conversation_id)


def move(connection: Connection, conversation_id: str, place_id: str | None) -> Conversation:
    """It keeps at least the label that it had where it was; lowering that is an act of its own."""
    kept = get(connection, conversation_id).label
    connection.execute(
        "UPDATE conversations SET place_id = ?, label = ? WHERE id = ?", (place_id, kept.value, conversation_id)
    )
    return get(connection, conversation_id)


def touch(connection: Connection, conversation_id: str, now: float, model_id: str | None = None) -> None:
    """Note activity, and the model that was used."""
    connection.execute(
        "UPDATE conversations SET updated_at = max(updated_at, ?), model_id = ifnull(?, model_id) WHERE id = ?",
        (now, model_id, conversation_id),
    )


def delete(connection: Connection, conversation_id: str, now: float) -> str:
    """Hide it until ``undelete`` or ``purge``; returns its title."""
    title = get(connection, conversation_id).title
    connection.execute("UPDATE conversations SET deleted_at = ? WHERE id = ?", (now, conversation_id))
    return title


def undelete(connection: Connection, conversation_id: str) -> Conversation:
    connection.execute("UPDATE conversations SET deleted_at = NULL WHERE id = ?", (conversation_id,))
    return get(connection, conversation_id)


# Untied first: deleting a parent deletes its children one inside the other, and SQLite goes no deeper than 1,000.
_EMPTY = (
    """
    UPDATE messages SET parent_id = NULL, chosen = 0
    WHERE conversation_id IN (SELECT id FROM conversations WHERE deleted_at IS NOT NULL AND held = 0)
    """,
    "DELETE FROM messages WHERE conversation_id IN"
    " (SELECT id FROM conversations WHERE deleted_at IS NOT NULL AND held = 0)",
)
# Until then the index only notes that words are gone, and still holds them.
_REWRITE_INDEX = (
    "INSERT INTO messages_text (messages_text) VALUES ('optimize')",
    "INSERT INTO conversations_text (conversations_text) VALUES ('optimize')",
    "INSERT INTO messages_characters (messages_characters) VALUES ('optimize')",
    "INSERT INTO conversations_characters (conversations_characters) VALUES ('optimize')",
)


def purge(connection: Connection) -> int:
    """Destroy what was deleted, with its messages and its words in the index; returns how many conversations.

    What is under legal hold stays hidden.
    """
    for statement in _EMPTY:
        connection.execute(statement)
    destroyed = connection.execute("DELETE FROM conversations WHERE deleted_at IS NOT NULL AND held = 0").rowcount
    if destroyed:
        for statement in _REWRITE_INDEX:
            connection.execute(statement)
    return destroyed


def preview(text: str) -> str:
    """The beginning of a text as one line."""
    return " ".join(text.split())[:_PREVIEW_CHARACTERS]


def _index_unspaced(connection: Connection, conversation_id: str, title: str) -> None:
    """For search; triggers index the words of all titles, and take both away."""
    if not unspaced.holds(title):
        return
    rows = connection.execute("SELECT seq, title FROM conversations WHERE id = ?", (conversation_id,)).fetchall()
    unspaced.add(connection, "conversations_characters", rows)


def _conversation(row: tuple[Any, ...]) -> Conversation:
    return Conversation(
        id=row[0],
        title=row[1],
        created_at=row[2],
        updated_at=row[3],
        pinned=bool(row[4]),
        model_id=row[5],
        system_prompt=row[6],
        message_count=row[7],
        preview=preview(row[8] or ""),
        label=strictest((Label(row[9]), *(Label(name) for name in (row[12] or "").split(",") if name))),
        gate=GateMode(row[10]),
        own_label=Label(row[9]),
        place_id=row[11],
    )
