"""Rows of fingerprints: of every restricted text, so that it is known again wherever it was pasted.

What is printed and how is ``app.gate.quotes``'s. A text that changes loses its print (a trigger), one that is removed
takes it along. Functions run in the store lane's threads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath

from app.documents import packing
from app.gate.label import Label
from app.store.database import Connection

UNTITLED = "a chat without a title"

_RESTRICTED = Label.RESTRICTED.value
# Conversations by their own label or by where they lie, whatever became of them; then single messages and documents.
_SOURCES = f"""
    WITH RECURSIVE closed (id) AS (
        SELECT id FROM places WHERE label = '{_RESTRICTED}'
        UNION SELECT p.id FROM places AS p JOIN closed ON p.parent_id = closed.id
    ), sealed (id) AS (
        SELECT id FROM conversations WHERE label = '{_RESTRICTED}' OR place_id IN (SELECT id FROM closed)
    ), message_source (seq) AS (
        SELECT m.seq FROM sealed JOIN messages AS m ON m.conversation_id = sealed.id
        UNION ALL SELECT seq FROM messages WHERE label = '{_RESTRICTED}'
    ), document_source (seq) AS (SELECT seq FROM documents WHERE label = '{_RESTRICTED}')
"""  # noqa: S608 - constants of this module
_ANY = f"{_SOURCES} SELECT EXISTS (SELECT 1 FROM message_source) OR EXISTS (SELECT 1 FROM document_source)"  # noqa: S608
_UNPRINTED = f"""
    {_SOURCES}
    SELECT seq, NULL FROM message_source WHERE seq NOT IN (SELECT message FROM prints WHERE message IS NOT NULL)
    UNION ALL SELECT NULL, seq FROM document_source
        WHERE seq NOT IN (SELECT document FROM prints WHERE document IS NOT NULL)
"""  # noqa: S608
_PRINTED = f"""
    {_SOURCES}
    SELECT p.blocks, 'c' || c.title FROM prints AS p JOIN messages AS m ON m.seq = p.message
        JOIN conversations AS c ON c.id = m.conversation_id WHERE p.message IN message_source
    UNION ALL SELECT p.blocks, 'd' || d.path FROM prints AS p JOIN documents AS d ON d.seq = p.document
        WHERE p.document IN document_source
"""  # noqa: S608
_BLOCKS = f"""
    {_SOURCES}
    SELECT blocks FROM prints WHERE message IN message_source
    UNION ALL SELECT blocks FROM prints WHERE document IN document_source
"""  # noqa: S608
# Rows are only added, under numbers that are not used twice, and removed. The rest is what is restricted now.
_STATE = f"""
    {_SOURCES}
    SELECT (SELECT count(*) FROM prints), (SELECT ifnull(max(seq), 0) FROM prints),
        (SELECT group_concat(id, ' ') FROM sealed), (SELECT group_concat(seq) FROM document_source),
        (SELECT group_concat(seq) FROM messages WHERE label = '{_RESTRICTED}')
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Source:
    """A restricted text, by its row."""

    message: int | None
    document: int | None


@dataclass(frozen=True, slots=True)
class Printed:
    """A restricted text's print."""

    name: str
    """Of the conversation or the document."""
    blocks: bytes = field(repr=False)


def key(connection: Connection) -> bytes:
    """What fingerprints are made with; it stays with the store, sealed with it."""
    return bytes.fromhex(connection.execute("SELECT value FROM facts WHERE name = 'prints_key'").fetchone()[0])


def is_any(connection: Connection) -> bool:
    """Whether anything is restricted."""
    return bool(connection.execute(_ANY).fetchone()[0])


def unprinted(connection: Connection) -> tuple[Source, ...]:
    """Restricted texts that have no print yet."""
    return tuple(Source(message, document) for message, document in connection.execute(_UNPRINTED))


def texts(connection: Connection, sources: Sequence[Source]) -> tuple[str, ...]:
    """Of each; empty when it is not there any more. Raises ``StoreError`` for a document that cannot be unpacked."""
    return tuple(_text(connection, one) for one in sources)


def keep(connection: Connection, made: Iterable[tuple[Source, str, bytes]]) -> None:
    """Store prints of texts that are still what they were; of others nothing, so that they are looked at again."""
    for one, text, blocks in made:
        if _text(connection, one) == text and _is_there(connection, one):
            connection.execute(
                "INSERT OR REPLACE INTO prints (message, document, blocks) VALUES (?, ?, ?)",
                (one.message, one.document, blocks),
            )


def state(connection: Connection) -> tuple[object, ...]:
    """The same as long as :func:`every_block` would be the same."""
    return tuple(connection.execute(_STATE).fetchone())


def every_block(connection: Connection) -> bytes:
    """The prints of everything that is restricted now, joined."""
    return b"".join(row[0] for row in connection.execute(_BLOCKS))


def every(connection: Connection) -> Iterator[Printed]:
    """The same one by one, with what they are of."""
    for blocks, name in connection.execute(_PRINTED):
        yield Printed(PurePath(name[1:]).name if name[0] == "d" else name[1:] or UNTITLED, blocks)


def _text(connection: Connection, one: Source) -> str:
    if one.message is not None:
        found = connection.execute("SELECT text || char(10) || reasoning FROM messages WHERE seq = ?", (one.message,))
        row = found.fetchone()
        return str(row[0]) if row else ""
    row = connection.execute("SELECT reading FROM documents WHERE seq = ?", (one.document,)).fetchone()
    return packing.unpack(row[0]).text if row else ""


def _is_there(connection: Connection, one: Source) -> bool:
    statement = "SELECT EXISTS (SELECT 1 FROM messages WHERE seq = ?) OR EXISTS (SELECT 1 FROM documents WHERE seq = ?)"
    return bool(connection.execute(statement, (one.message, one.document)).fetchone()[0])
