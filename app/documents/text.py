"""Plain text, Markdown and CSV: their lines taken as they are."""

from __future__ import annotations

import csv
import io
from typing import Final

from app.documents.draft import MAX_TEXT
from app.documents.encoding import decode
from app.documents.faults import damaged
from app.documents.flow import FlowDocument, Grid, Item, Paragraph
from app.documents.identify import delimiter_of
from app.documents.records import DocumentKind

_SAMPLE_BYTES: Final = 1 << 20
_MAX_FIELD: Final = 1 << 20


def open_text(data: bytes, kind: DocumentKind) -> FlowDocument:
    """Text, Markdown or CSV. Raises ``DocumentError``."""
    text, encoding = decode(data)
    notes = []
    if encoding == "cp1252":
        notes.append("The text does not say its encoding; it was read as Windows Western (cp1252).")
    if "\ufffd" in text:
        notes.append("Some bytes of the text are no characters; they are shown as \ufffd.")
    if len(text) > MAX_TEXT:
        notes.append(f"The text has {len(text):,} characters; the first {MAX_TEXT:,} were read.")
        text = text[:MAX_TEXT]
    text = text.replace("\0", "")
    items: list[Item] = [_table(text)] if kind is DocumentKind.CSV else [Paragraph(text)] if text.strip() else []
    return FlowDocument(kind, items, notes)


def _table(text: str) -> Grid:
    delimiter = delimiter_of(text[:_SAMPLE_BYTES], named=True) or ","
    before = csv.field_size_limit(_MAX_FIELD)
    try:
        return Grid([[cell.strip() for cell in row] for row in csv.reader(io.StringIO(text), delimiter=delimiter)])
    except csv.Error as error:
        raise damaged("a CSV table", error) from error
    finally:
        csv.field_size_limit(before)
