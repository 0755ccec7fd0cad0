"""The statements of migration m006: texts written without spaces, indexed character by character.

Never edited after a release. What stands in the tables is ``app.store.unspaced``'s.
"""

from __future__ import annotations

from app.store import unspaced
from app.store.driver import Connection

# Without a content of their own: the text stands in its table. A mark of vowel or tone is part of a character.
_TABLE = (
    "CREATE VIRTUAL TABLE {} USING fts5 (text, content = '', contentless_delete = 1,"
    " tokenize = \"unicode61 remove_diacritics 2 categories 'L* N* Co M*'\")"
)

_STATEMENTS = (
    _TABLE.format("messages_characters"),
    _TABLE.format("conversations_characters"),
    _TABLE.format("passages_characters"),
    # Whoever changes a text: what is there is right. An answer that is still streaming has no row to be dropped.
    """
    CREATE TRIGGER messages_characters_delete AFTER DELETE ON messages
    WHEN old.status NOT IN ('pending', 'streaming') BEGIN
        DELETE FROM messages_characters WHERE rowid = old.seq;
    END
    """,
    """
    CREATE TRIGGER messages_characters_update AFTER UPDATE OF text, status ON messages
    WHEN old.status NOT IN ('pending', 'streaming') BEGIN
        DELETE FROM messages_characters WHERE rowid = old.seq;
    END
    """,
    """
    CREATE TRIGGER conversations_characters_delete AFTER DELETE ON conversations BEGIN
        DELETE FROM conversations_characters WHERE rowid = old.seq;
    END
    """,
    """
    CREATE TRIGGER conversations_characters_update AFTER UPDATE OF title ON conversations BEGIN
        DELETE FROM conversations_characters WHERE rowid = old.seq;
    END
    """,
    """
    CREATE TRIGGER passages_characters_delete AFTER DELETE ON passages BEGIN
        DELETE FROM passages_characters WHERE rowid = old.seq;
    END
    """,
)

_SOURCES: tuple[tuple[unspaced.Table, str], ...] = (
    ("messages_characters", "SELECT seq, text FROM messages WHERE status NOT IN ('pending', 'streaming')"),
    ("conversations_characters", "SELECT seq, title FROM conversations"),
    ("passages_characters", "SELECT seq, text FROM passages"),
)
_AT_ONCE = 500


def apply(connection: Connection) -> None:
    """Make the tables, and index what the store has already, a few hundred rows at a time."""
    for statement in _STATEMENTS:
        connection.execute(statement)
    for table, source in _SOURCES:
        rows = connection.execute(source)
        while part := rows.fetchmany(_AT_ONCE):
            unspaced.add(connection, table, part)
