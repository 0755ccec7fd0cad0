"""The schema's history: named functions, each run in one transaction, never edited after a release.

Imported only while migrating. ``PRAGMA user_version`` always holds the number of the last migration applied.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from sqlite_utils import Database, Migrations

from app.version import version

_KEPT_BACKUPS = 3

_MIGRATIONS = Migrations("gatehouse")


def migrate(connection: sqlite3.Connection, database: Path) -> None:
    """Bring the schema up to date, after a backup when there is something to lose.

    Raises ``sqlite3.Error`` and ``OSError``; the schema is then at the last migration that succeeded.
    """
    before = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if before > 0:
        _back_up(connection, database, before)
    _MIGRATIONS.apply(Database(connection))
    with connection:
        connection.execute("INSERT OR REPLACE INTO facts (name, value) VALUES ('written_by', ?)", (version(),))


def names() -> tuple[str, ...]:
    """The migrations' names, oldest first."""
    return tuple(step.name for step in _MIGRATIONS.pending(Database(memory=True)))


def _back_up(connection: sqlite3.Connection, database: Path, schema: int) -> None:
    folder = database.parent / "backups"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    unfinished = folder / f"schema-{schema:03d}-{stamp}.partial"
    unfinished.unlink(missing_ok=True)
    target = sqlite3.connect(unfinished)
    try:
        connection.backup(target)
    finally:
        target.close()
    unfinished.replace(unfinished.with_suffix(".db"))
    for old in sorted(folder.glob("schema-*.db"), key=lambda path: path.name.split("-")[-1])[:-_KEPT_BACKUPS]:
        old.unlink(missing_ok=True)


def _step(function: Callable[[Database], None]) -> Callable[[Database], None]:
    """Register a migration ``mNNN_verb_noun``; its number becomes the schema's version in the same transaction."""
    number = int(function.__name__[1:4])

    def run(db: Database) -> None:
        function(db)
        db.conn.execute(f"PRAGMA user_version = {number}")

    _MIGRATIONS(name=function.__name__)(run)
    return function


@_step
def m001_create_conversations(db: Database) -> None:
    """Conversations, their trees of messages, full-text search over both, model files used in place."""
    for statement in _M001:
        db.conn.execute(statement)


_M001 = (
    "CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID",
    """
    CREATE TABLE conversations (
        seq INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        title TEXT NOT NULL,
        created_at REAL NOT NULL,
        updated_at REAL NOT NULL,
        pinned INTEGER NOT NULL DEFAULT 0,
        model_id TEXT,
        system_prompt TEXT NOT NULL DEFAULT '',
        deleted_at REAL
    ) STRICT
    """,
    """
    CREATE TABLE messages (
        seq INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        conversation_id TEXT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
        parent_id TEXT REFERENCES messages (id) ON DELETE CASCADE,
        chosen INTEGER NOT NULL,
        role TEXT NOT NULL,
        text TEXT NOT NULL,
        reasoning TEXT NOT NULL,
        status TEXT NOT NULL,
        created_at REAL NOT NULL,
        model_id TEXT,
        error TEXT NOT NULL,
        prompt_tokens INTEGER,
        cached_tokens INTEGER,
        completion_tokens INTEGER,
        ttft_s REAL,
        decode_tok_s REAL,
        total_s REAL,
        finish_reason TEXT,
        device TEXT,
        route TEXT
    ) STRICT
    """,
    "CREATE INDEX messages_by_conversation ON messages (conversation_id)",
    "CREATE INDEX messages_by_parent ON messages (parent_id)",
    "CREATE INDEX messages_unfinished ON messages (status) WHERE status IN ('pending', 'streaming')",
    # Exactly one sibling is on the chosen branch.
    "CREATE UNIQUE INDEX messages_chosen ON messages (conversation_id, ifnull(parent_id, '')) WHERE chosen = 1",
    "CREATE TABLE model_files (path TEXT PRIMARY KEY, added_at REAL NOT NULL) STRICT, WITHOUT ROWID",
    """
    CREATE VIRTUAL TABLE conversations_text USING fts5 (
        title, content = 'conversations', content_rowid = 'seq', tokenize = 'unicode61 remove_diacritics 2'
    )
    """,
    """
    CREATE TRIGGER conversations_text_insert AFTER INSERT ON conversations BEGIN
        INSERT INTO conversations_text (rowid, title) VALUES (new.seq, new.title);
    END
    """,
    """
    CREATE TRIGGER conversations_text_delete AFTER DELETE ON conversations BEGIN
        INSERT INTO conversations_text (conversations_text, rowid, title) VALUES ('delete', old.seq, old.title);
    END
    """,
    """
    CREATE TRIGGER conversations_text_update AFTER UPDATE OF title ON conversations BEGIN
        INSERT INTO conversations_text (conversations_text, rowid, title) VALUES ('delete', old.seq, old.title);
        INSERT INTO conversations_text (rowid, title) VALUES (new.seq, new.title);
    END
    """,
    # A streaming answer is saved each second; it is indexed once, when it ends.
    """
    CREATE VIRTUAL TABLE messages_text USING fts5 (
        text, content = 'messages', content_rowid = 'seq', tokenize = 'unicode61 remove_diacritics 2', prefix = '1 2 3'
    )
    """,
    """
    CREATE TRIGGER messages_text_insert AFTER INSERT ON messages
    WHEN new.status NOT IN ('pending', 'streaming') BEGIN
        INSERT INTO messages_text (rowid, text) VALUES (new.seq, new.text);
    END
    """,
    """
    CREATE TRIGGER messages_text_delete AFTER DELETE ON messages
    WHEN old.status NOT IN ('pending', 'streaming') BEGIN
        INSERT INTO messages_text (messages_text, rowid, text) VALUES ('delete', old.seq, old.text);
    END
    """,
    """
    CREATE TRIGGER messages_text_update AFTER UPDATE OF text, status ON messages BEGIN
        INSERT INTO messages_text (messages_text, rowid, text)
            SELECT 'delete', old.seq, old.text WHERE old.status NOT IN ('pending', 'streaming');
        INSERT INTO messages_text (rowid, text)
            SELECT new.seq, new.text WHERE new.status NOT IN ('pending', 'streaming');
    END
    """,
)
