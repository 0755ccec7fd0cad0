"""The statements of migration m005: fingerprints of what is restricted. Never edited after a release.

Rows are ``app.store.prints``'s.
"""

from __future__ import annotations

STATEMENTS = (
    """
    CREATE TABLE prints (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        message INTEGER UNIQUE REFERENCES messages (seq) ON DELETE CASCADE,
        document INTEGER UNIQUE REFERENCES documents (seq) ON DELETE CASCADE,
        blocks BLOB NOT NULL,
        CHECK ((message IS NULL) <> (document IS NULL))
    ) STRICT
    """,
    "CREATE INDEX messages_restricted ON messages (label) WHERE label = 'restricted'",
    """
    CREATE TRIGGER prints_of_messages AFTER UPDATE OF text, reasoning ON messages BEGIN
        DELETE FROM prints WHERE message = new.seq;
    END
    """,
    """
    CREATE TRIGGER prints_of_documents AFTER UPDATE OF reading ON documents BEGIN
        DELETE FROM prints WHERE document = new.seq;
    END
    """,
    # Fingerprints under another key say nothing of the same text.
    "INSERT OR IGNORE INTO facts (name, value) VALUES ('prints_key', lower(hex(randomblob(32))))",
)
