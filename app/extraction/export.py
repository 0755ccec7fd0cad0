"""Writers of tables: which one for a format, and whole files or none. CSV and JSONL are written here.

A cell of a table never becomes a formula of whoever opens it: texts that begin as one get an apostrophe in CSV, and are
marked as texts in XLSX.
"""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import IO, Final

from app.documents.review_records import ExportFormat
from app.extraction.export_cells import box_text, evidence_text, joined_lists, rows_of
from app.extraction.exported import ExportedDocument, ExportedValue, Writer, columns_of, json_line
from app.extraction.schema import Schema
from app.extraction.unfinished import Unfinished

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_PLAIN_NUMBER: Final = re.compile(r"-?\d+(\.\d+)?")


def writer_for(kind: ExportFormat, path: Path, schema: Schema) -> Writer:
    """A writer to ``path``. Raises ``OSError``."""
    match kind:
        case ExportFormat.CSV:
            return CsvWriter(path, schema)
        case ExportFormat.JSONL:
            return JsonlWriter(path)
        case ExportFormat.XLSX:
            from app.extraction.export_xlsx import XlsxWriter

            return XlsxWriter(path, schema)
        case ExportFormat.SQLITE:
            from app.store.export_file import SqliteWriter

            return SqliteWriter(path)


def safe_text(text: str) -> str:
    """``text`` so that no program takes it for a formula; plain numbers stay numbers."""
    if text.startswith(_FORMULA) and not _PLAIN_NUMBER.fullmatch(text):
        return f"'{text}"
    return text


class JsonlWriter:
    """One line a document."""

    def __init__(self, path: Path) -> None:
        self._unfinished = Unfinished(path)
        self._file = self._unfinished.temporary.open("w", encoding="utf-8", errors="replace", newline="\n")

    def add(self, document: ExportedDocument) -> None:
        self._file.write(json_line(document) + "\n")

    def finish(self) -> None:
        self._file.close()
        self._unfinished.take_place()

    def drop(self) -> None:
        self._file.close()
        self._unfinished.drop()


class CsvWriter:
    """One row a document with proof beside each value; each table of the schema goes to a file ``NAME.TABLE.csv``."""

    def __init__(self, path: Path, schema: Schema) -> None:
        self._single, self._tables = columns_of(schema)
        self._main = _Sheet(path, ("file", "sha256", "status", "model", "error", *_columns(self._single)))
        self._rows = {
            name: _Sheet(path.with_name(f"{path.stem}.{name}.csv"), ("file", "row", *_columns(columns)))
            for name, columns in self._tables.items()
        }

    def add(self, document: ExportedDocument) -> None:
        by_name = joined_lists(document.values)
        error = ": ".join(document.error) if document.error else ""
        cells = [cell for name in self._single for cell in _proof(by_name.get(name))]
        self._main.add([document.file, document.sha256, document.status, document.model, error, *cells])
        for name, columns in self._tables.items():
            for number, row in rows_of(document.values, name):
                cells = [cell for column in columns for cell in _proof(row.get(column))]
                self._rows[name].add([document.file, str(number + 1), *cells])

    def finish(self) -> None:
        for sheet in (*self._rows.values(), self._main):
            sheet.finish()

    def drop(self) -> None:
        for sheet in (self._main, *self._rows.values()):
            sheet.drop()


class _Sheet:
    """One CSV file, as spreadsheets read it: UTF-8 with its mark."""

    def __init__(self, path: Path, head: tuple[str, ...]) -> None:
        self._unfinished = Unfinished(path)
        self._file: IO[str] = io.TextIOWrapper(
            self._unfinished.temporary.open("wb"), encoding="utf-8-sig", errors="replace", newline=""
        )
        self._csv = csv.writer(self._file)
        self.add(list(head))

    def add(self, cells: list[str]) -> None:
        self._csv.writerow([safe_text(cell.replace("\0", "")) for cell in cells])

    def finish(self) -> None:
        self._file.close()
        self._unfinished.take_place()

    def drop(self) -> None:
        self._file.close()
        self._unfinished.drop()


def _columns(names: tuple[str, ...]) -> list[str]:
    parts = ("", "_confidence", "_grounding", "_page", "_box", "_evidence", "_review")
    return [f"{name}{part}" for name in names for part in parts]


def _proof(value: ExportedValue | None) -> list[str]:
    """The cells of one value."""
    if value is None:
        return [""] * 7
    place = value.evidence[0] if value.evidence else None
    box = "" if place is None or place.box is None else box_text(value)
    return [
        value.value or "",
        f"{value.confidence:.4f}",
        value.grounding.value,
        str(place.page) if place else "",
        box,
        evidence_text(value),
        value.review,
    ]
