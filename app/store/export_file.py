"""An export as a SQLite file of its own, unencrypted, as the person asked: documents, values, evidence."""

from __future__ import annotations

from pathlib import Path

from app.extraction.exported import ExportedDocument
from app.extraction.unfinished import Unfinished
from app.store.driver import connect

_TABLES = (
    "CREATE TABLE documents (id INTEGER PRIMARY KEY, file TEXT NOT NULL, sha256 TEXT NOT NULL, status TEXT NOT NULL,"
    " model TEXT NOT NULL, error TEXT)",
    "CREATE TABLE extracted (id INTEGER PRIMARY KEY, document INTEGER NOT NULL REFERENCES documents (id),"
    " name TEXT NOT NULL, type TEXT NOT NULL, value TEXT, raw TEXT NOT NULL, currency TEXT NOT NULL,"
    " confidence REAL NOT NULL, grounding TEXT NOT NULL, review TEXT NOT NULL)",
    "CREATE TABLE evidence (extracted INTEGER NOT NULL REFERENCES extracted (id), page INTEGER NOT NULL,"
    " x0 REAL, y0 REAL, x1 REAL, y1 REAL, start INTEGER NOT NULL, stop INTEGER NOT NULL, text TEXT NOT NULL)",
    "CREATE INDEX extracted_by_name ON extracted (name, document)",
    "CREATE INDEX evidence_by_value ON evidence (extracted)",
)


class SqliteWriter:
    """Any program that knows SQLite can read what it writes."""

    def __init__(self, path: Path) -> None:
        self._unfinished = Unfinished(path)
        self._database = connect(self._unfinished.temporary, isolation_level=None, check_same_thread=False)
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute("BEGIN")
        for statement in _TABLES:
            self._database.execute(statement)

    def add(self, document: ExportedDocument) -> None:
        error = ": ".join(document.error) if document.error else None
        number = self._database.execute(
            "INSERT INTO documents (file, sha256, status, model, error) VALUES (?, ?, ?, ?, ?)",
            (document.file, document.sha256, document.status, document.model, error),
        ).lastrowid
        for value in document.values:
            row = self._database.execute(
                "INSERT INTO extracted (document, name, type, value, raw, currency, confidence, grounding, review)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    number,
                    value.name,
                    value.type.value,
                    value.value,
                    value.raw,
                    value.currency,
                    value.confidence,
                    value.grounding.value,
                    value.review,
                ),
            ).lastrowid
            for place in value.evidence:
                box = place.box
                edges = (None,) * 4 if box is None else (box.x0, box.y0, box.x1, box.y1)
                self._database.execute(
                    "INSERT INTO evidence (extracted, page, x0, y0, x1, y1, start, stop, text)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (row, place.page, *edges, place.start, place.end, place.text),
                )

    def finish(self) -> None:
        self._database.execute("COMMIT")
        self._database.close()
        self._unfinished.take_place()

    def drop(self) -> None:
        self._database.close()
        self._unfinished.drop()
