"""The schema's history: named functions, each run in one transaction, never edited after a release.

Imported only while migrating. ``PRAGMA user_version`` always holds the number of the last migration applied.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from sqlite_utils import Database, Migrations

from app.store import migration_characters, migration_documents, migration_prints
from app.store.connection import connect_to, touch_private
from app.store.driver import Connection, connect
from app.version import version

_KEPT_BACKUPS = 3

_MIGRATIONS = Migrations("gatehouse")


def migrate(connection: Connection, database: Path, key: bytes | None = None) -> None:
    """Bring the schema up to date, after a backup when there is something to lose.

    Raises ``Error`` and ``OSError``; the schema is then at the last migration that succeeded.
    """
    before = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if before > 0:
        _back_up(connection, database, key, before)
    _MIGRATIONS.apply(Database(connection))
    with connection:
        connection.execute("INSERT OR REPLACE INTO facts (name, value) VALUES ('written_by', ?)", (version(),))


def names() -> tuple[str, ...]:
    """The migrations' names, oldest first."""
    return tuple(step.name for step in _MIGRATIONS.pending(Database(memory=True)))


def acts() -> frozenset[tuple[str, str]]:
    """What a store does by itself, as names and statements: its triggers. It has no views."""
    made = Database(connect(":memory:", isolation_level=None))  # the store's SQLite: Python's own may be too old for it
    try:
        _MIGRATIONS.apply(made)
        return acts_of(made.conn)
    finally:
        made.close()


def acts_of(connection: Connection) -> frozenset[tuple[str, str]]:
    """The same of a store that is there."""
    rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE type IN ('trigger', 'view')").fetchall()
    return frozenset((str(name), str(sql)) for name, sql in rows)


def _back_up(connection: Connection, database: Path, key: bytes | None, schema: int) -> None:
    folder = database.parent / "backups"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    unfinished = folder / f"schema-{schema:03d}-{stamp}.partial"
    unfinished.unlink(missing_ok=True)
    touch_private(unfinished)
    target = connect_to(unfinished, key)
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


@_step
def m002_open_gate(db: Database) -> None:
    """Labels, gate modes, flags, placeholders, providers, the ledger, budgets, the glossary, retention."""
    for statement in _M002:
        db.conn.execute(statement)


_LABELS = "('public', 'internal', 'confidential', 'restricted')"

_M002 = (
    # Workspaces (without a parent) and folders. A place is not destroyed under what lies in it: that would take its
    # label away from it.
    f"""
    CREATE TABLE places (
        seq INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        parent_id TEXT REFERENCES places (id),
        name TEXT NOT NULL,
        label TEXT NOT NULL DEFAULT 'internal' CHECK (label IN {_LABELS}),
        created_at REAL NOT NULL
    ) STRICT
    """,
    f"ALTER TABLE conversations ADD COLUMN label TEXT NOT NULL DEFAULT 'internal' CHECK (label IN {_LABELS})",
    "ALTER TABLE conversations ADD COLUMN gate TEXT NOT NULL DEFAULT 'local' CHECK (gate IN ('local', 'ask', 'open'))",
    "ALTER TABLE conversations ADD COLUMN place_id TEXT REFERENCES places (id)",
    # Kept whatever the retention of its label says.
    "ALTER TABLE conversations ADD COLUMN held INTEGER NOT NULL DEFAULT 0",
    f"ALTER TABLE messages ADD COLUMN label TEXT CHECK (label IS NULL OR label IN {_LABELS})",
    "ALTER TABLE messages ADD COLUMN flag_tier TEXT",
    "ALTER TABLE messages ADD COLUMN flag_reasons TEXT NOT NULL DEFAULT '[]'",
    "ALTER TABLE messages ADD COLUMN flag_kept INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE messages ADD COLUMN cost_usd REAL",
    "ALTER TABLE messages ADD COLUMN provider TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE messages ADD COLUMN request_id TEXT NOT NULL DEFAULT ''",
    "CREATE INDEX conversations_by_place ON conversations (place_id) WHERE place_id IS NOT NULL",
    # Which string each placeholder of a conversation stands for.
    """
    CREATE TABLE placeholders (
        conversation_id TEXT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
        placeholder TEXT NOT NULL,
        kind TEXT NOT NULL,
        text TEXT NOT NULL,
        PRIMARY KEY (conversation_id, placeholder)
    ) STRICT, WITHOUT ROWID
    """,
    # Strings that must never leave, e.g. planted in what is restricted; the check of the final bytes looks for them.
    "CREATE TABLE canaries (text TEXT PRIMARY KEY, note TEXT NOT NULL DEFAULT '') STRICT, WITHOUT ROWID",
    """
    CREATE TABLE glossary (
        id INTEGER PRIMARY KEY,
        text TEXT NOT NULL UNIQUE,
        kind TEXT NOT NULL,
        added_at REAL NOT NULL
    ) STRICT
    """,
    # Keys are not in here, but where app.vault keeps them.
    """
    CREATE TABLE providers (
        seq INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        name TEXT NOT NULL UNIQUE,
        base_url TEXT NOT NULL,
        model TEXT NOT NULL,
        trust TEXT NOT NULL CHECK (trust IN ('cloud', 'team')),
        n_ctx INTEGER,
        input_usd_per_mtok REAL,
        output_usd_per_mtok REAL,
        has_key INTEGER NOT NULL DEFAULT 0,
        created_at REAL NOT NULL,
        used_at REAL
    ) STRICT
    """,
    "CREATE TABLE budgets (period TEXT PRIMARY KEY CHECK (period IN ('day', 'month')), limit_usd REAL) STRICT",
    # One row before a request's first byte leaves, one after it. No reference to conversations: rows outlive them.
    """
    CREATE TABLE ledger (
        seq INTEGER PRIMARY KEY,
        request_id TEXT NOT NULL,
        part TEXT NOT NULL CHECK (part IN ('begun', 'ended')),
        at REAL NOT NULL,
        purpose TEXT NOT NULL,
        host TEXT NOT NULL,
        conversation_id TEXT,
        provider TEXT NOT NULL,
        model TEXT NOT NULL,
        label TEXT,
        mode TEXT,
        consent TEXT NOT NULL,
        bytes_out INTEGER NOT NULL,
        bytes_in INTEGER NOT NULL,
        prompt_tokens INTEGER,
        completion_tokens INTEGER,
        redactions TEXT NOT NULL,
        cost_usd REAL,
        body_sha256 TEXT NOT NULL,
        outcome TEXT NOT NULL,
        mac TEXT NOT NULL,
        UNIQUE (request_id, part)
    ) STRICT
    """,
    "CREATE INDEX ledger_by_time ON ledger (at)",
    """
    CREATE TRIGGER ledger_is_not_changed BEFORE UPDATE ON ledger BEGIN
        SELECT RAISE(ABORT, 'The ledger is append-only.');
    END
    """,
    """
    CREATE TRIGGER ledger_is_not_deleted BEFORE DELETE ON ledger BEGIN
        SELECT RAISE(ABORT, 'The ledger is append-only.');
    END
    """,
    f"""
    CREATE TABLE retention (
        label TEXT PRIMARY KEY CHECK (label IN {_LABELS}),
        keep_days INTEGER CHECK (keep_days IS NULL OR keep_days > 0)
    ) STRICT, WITHOUT ROWID
    """,
    # What retention removed: that it was there, never what it said. A restored copy is cleaned of it again.
    f"""
    CREATE TABLE tombstones (
        id TEXT PRIMARY KEY,
        kind TEXT NOT NULL,
        label TEXT NOT NULL CHECK (label IN {_LABELS}),
        removed_at REAL NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
)


@_step
def m003_keep_documents(db: Database) -> None:
    """Documents with their readings, batches, values with evidence, people's decisions, passages, attachments."""
    for statement in migration_documents.STATEMENTS:
        db.conn.execute(statement)


@_step
def m004_sum_up_conversations(db: Database) -> None:
    """What a list shows of each conversation, so that it needs no look at 100,000 messages, each on a sealed page."""
    for statement in _M004:
        db.conn.execute(statement)


_M004 = (
    """
    CREATE TABLE outlines (
        conversation_id TEXT PRIMARY KEY REFERENCES conversations (id) ON DELETE CASCADE,
        message_count INTEGER NOT NULL,
        beginning TEXT NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    # Whoever changes messages: an outline that is there is right. One that is not is made from the messages.
    """
    CREATE TRIGGER outlines_insert AFTER INSERT ON messages BEGIN
        DELETE FROM outlines WHERE conversation_id = new.conversation_id;
    END
    """,
    """
    CREATE TRIGGER outlines_update AFTER UPDATE OF text, chosen, conversation_id ON messages BEGIN
        DELETE FROM outlines WHERE conversation_id IN (old.conversation_id, new.conversation_id);
    END
    """,
    """
    CREATE TRIGGER outlines_delete AFTER DELETE ON messages BEGIN
        DELETE FROM outlines WHERE conversation_id = old.conversation_id;
    END
    """,
    """
    INSERT INTO outlines (conversation_id, message_count, beginning)
    SELECT c.id, (SELECT count(*) FROM messages AS m WHERE m.conversation_id = c.id),
        ifnull((SELECT substr(m.text, 1, 600) FROM messages AS m
            WHERE m.conversation_id = c.id AND m.chosen = 1 AND m.text <> '' ORDER BY m.seq DESC LIMIT 1), '')
    FROM conversations AS c
    """,
)


@_step
def m005_print_restricted_texts(db: Database) -> None:
    """Fingerprints of what is restricted, to know it again where it was pasted; ``app.store.prints``."""
    for statement in migration_prints.STATEMENTS:
        db.conn.execute(statement)


@_step
def m006_split_unspaced_texts(db: Database) -> None:
    """Indexes for writing without spaces, filled from what is there; ``app.store.unspaced``."""
    migration_characters.apply(db.conn)
