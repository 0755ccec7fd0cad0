"""The statements of migration m003: documents, batches, values, decisions, passages, documents in conversations.

Never edited after a release. Rows are ``app.store.{documents,batches,extractions,passages,attachments}``'s.
"""

from __future__ import annotations

_LABELS = "('public', 'internal', 'confidential', 'restricted')"

STATEMENTS = (
    # A document is its content: two files with the same bytes are one. How it was read is kept packed in ``reading``.
    f"""
    CREATE TABLE documents (
        seq INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        sha256 TEXT NOT NULL,
        as_words INTEGER NOT NULL DEFAULT 0,
        path TEXT NOT NULL,
        kind TEXT NOT NULL,
        size_bytes INTEGER NOT NULL,
        characters INTEGER NOT NULL,
        pages TEXT NOT NULL,
        notes TEXT NOT NULL DEFAULT '[]',
        label TEXT NOT NULL DEFAULT 'internal' CHECK (label IN {_LABELS}),
        held INTEGER NOT NULL DEFAULT 0,
        read_at REAL NOT NULL,
        reading BLOB NOT NULL,
        UNIQUE (sha256, as_words)
    ) STRICT
    """,
    # The person's own, and changed built-in ones.
    """
    CREATE TABLE schemas (
        name TEXT PRIMARY KEY,
        version INTEGER NOT NULL,
        body TEXT NOT NULL,
        saved_at REAL NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    # ``schema`` is the schema as it was when the batch was made: a later change does not change what is asked of it.
    f"""
    CREATE TABLE batches (
        seq INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        title TEXT NOT NULL,
        schema_name TEXT NOT NULL,
        schema_version INTEGER NOT NULL,
        schema TEXT NOT NULL,
        model_id TEXT,
        state TEXT NOT NULL,
        position INTEGER NOT NULL,
        created_at REAL NOT NULL,
        label TEXT NOT NULL DEFAULT 'internal' CHECK (label IN {_LABELS}),
        as_words INTEGER NOT NULL DEFAULT 0,
        deleted_at REAL
    ) STRICT
    """,
    """
    CREATE TABLE watched_folders (
        batch_id TEXT NOT NULL REFERENCES batches (id) ON DELETE CASCADE,
        path TEXT NOT NULL,
        PRIMARY KEY (batch_id, path)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE batch_files (
        seq INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        batch_id TEXT NOT NULL REFERENCES batches (id) ON DELETE CASCADE,
        path TEXT NOT NULL,
        state TEXT NOT NULL,
        position INTEGER NOT NULL,
        size_bytes INTEGER NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        cause TEXT NOT NULL DEFAULT '',
        sentence TEXT NOT NULL DEFAULT '',
        hint TEXT NOT NULL DEFAULT '',
        document_id TEXT REFERENCES documents (id) ON DELETE SET NULL,
        pages INTEGER NOT NULL DEFAULT 0,
        seconds REAL,
        doubtful_values INTEGER NOT NULL DEFAULT 0,
        decided_values INTEGER NOT NULL DEFAULT 0,
        mean_confidence REAL,
        UNIQUE (batch_id, path)
    ) STRICT
    """,
    "CREATE INDEX batch_files_in_order ON batch_files (batch_id, position)",
    "CREATE INDEX batch_files_by_state ON batch_files (batch_id, state, position)",
    "CREATE INDEX batch_files_by_document ON batch_files (document_id) WHERE document_id IS NOT NULL",
    # What it takes to repeat results: model, prompt, schema, versions. Its name is the hash of its content.
    "CREATE TABLE manifests (sha256 TEXT PRIMARY KEY, body TEXT NOT NULL, at REAL NOT NULL) STRICT, WITHOUT ROWID",
    # At most one for a file: a file is done once, and doing it again replaces what was there.
    """
    CREATE TABLE extractions (
        seq INTEGER PRIMARY KEY,
        file_id TEXT NOT NULL UNIQUE REFERENCES batch_files (id) ON DELETE CASCADE,
        document_id TEXT NOT NULL REFERENCES documents (id) ON DELETE CASCADE,
        manifest TEXT NOT NULL REFERENCES manifests (sha256),
        model TEXT NOT NULL,
        prompt_sha256 TEXT NOT NULL,
        timings TEXT NOT NULL,
        notes TEXT NOT NULL,
        seal TEXT NOT NULL,
        at REAL NOT NULL
    ) STRICT
    """,
    "CREATE INDEX extractions_by_document ON extractions (document_id)",
    """
    CREATE TABLE extraction_values (
        seq INTEGER PRIMARY KEY,
        extraction INTEGER NOT NULL REFERENCES extractions (seq) ON DELETE CASCADE,
        name TEXT NOT NULL,
        type TEXT NOT NULL,
        value TEXT,
        raw TEXT NOT NULL,
        confidence REAL NOT NULL,
        score REAL,
        grounding TEXT NOT NULL,
        currency TEXT NOT NULL,
        problems TEXT NOT NULL,
        alternatives TEXT NOT NULL,
        doubtful INTEGER NOT NULL,
        UNIQUE (extraction, name)
    ) STRICT
    """,
    """
    CREATE TABLE value_evidence (
        seq INTEGER PRIMARY KEY,
        value_seq INTEGER NOT NULL REFERENCES extraction_values (seq) ON DELETE CASCADE,
        page INTEGER NOT NULL,
        x0 REAL, y0 REAL, x1 REAL, y1 REAL,
        start INTEGER NOT NULL,
        stop INTEGER NOT NULL,
        text TEXT NOT NULL
    ) STRICT
    """,
    "CREATE INDEX value_evidence_by_value ON value_evidence (value_seq)",
    # What people decided. The latest one that was not taken back counts; they outlive a new extraction of the file.
    """
    CREATE TABLE reviews (
        seq INTEGER PRIMARY KEY,
        file_id TEXT NOT NULL REFERENCES batch_files (id) ON DELETE CASCADE,
        step INTEGER NOT NULL,
        name TEXT NOT NULL,
        action TEXT NOT NULL,
        value TEXT,
        raw TEXT NOT NULL,
        evidence TEXT NOT NULL,
        problems TEXT NOT NULL,
        type TEXT NOT NULL,
        machine_value TEXT,
        machine_score REAL,
        at REAL NOT NULL
    ) STRICT
    """,
    "CREATE INDEX reviews_by_file ON reviews (file_id, name)",
    """
    CREATE TABLE passages (
        seq INTEGER PRIMARY KEY,
        document_id TEXT NOT NULL REFERENCES documents (id) ON DELETE CASCADE,
        page INTEGER NOT NULL,
        start INTEGER NOT NULL,
        stop INTEGER NOT NULL,
        text TEXT NOT NULL
    ) STRICT
    """,
    "CREATE INDEX passages_by_document ON passages (document_id, start)",
    """
    CREATE VIRTUAL TABLE passages_text USING fts5 (
        text, content = 'passages', content_rowid = 'seq', tokenize = 'porter unicode61 remove_diacritics 2'
    )
    """,
    """
    CREATE TRIGGER passages_text_insert AFTER INSERT ON passages BEGIN
        INSERT INTO passages_text (rowid, text) VALUES (new.seq, new.text);
    END
    """,
    """
    CREATE TRIGGER passages_text_delete AFTER DELETE ON passages BEGIN
        INSERT INTO passages_text (passages_text, rowid, text) VALUES ('delete', old.seq, old.text);
    END
    """,
    # Vectors are little-endian 32-bit floats of length one, as sqlite-vec reads them.
    """
    CREATE TABLE passage_vectors (
        passage INTEGER NOT NULL REFERENCES passages (seq) ON DELETE CASCADE,
        model TEXT NOT NULL,
        vector BLOB NOT NULL,
        PRIMARY KEY (passage, model)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE attachments (
        seq INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        conversation_id TEXT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
        document_id TEXT REFERENCES documents (id) ON DELETE CASCADE,
        path TEXT NOT NULL,
        state TEXT NOT NULL,
        sentence TEXT NOT NULL DEFAULT '',
        added_at REAL NOT NULL
    ) STRICT
    """,
    "CREATE INDEX attachments_by_conversation ON attachments (conversation_id)",
    "CREATE INDEX attachments_by_document ON attachments (document_id) WHERE document_id IS NOT NULL",
    # Numbers that answers cite, one for a place, the same in all turns of a conversation.
    """
    CREATE TABLE citations (
        conversation_id TEXT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
        number INTEGER NOT NULL,
        document_id TEXT NOT NULL REFERENCES documents (id) ON DELETE CASCADE,
        start INTEGER NOT NULL,
        stop INTEGER NOT NULL,
        PRIMARY KEY (conversation_id, number),
        UNIQUE (conversation_id, document_id, start, stop)
    ) STRICT, WITHOUT ROWID
    """,
)
