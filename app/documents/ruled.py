"""Ruled tables of a PDF page, by pdfplumber: slow, so only for pages that have lines enough to be a table."""

from __future__ import annotations

import io
import logging
from typing import Final

from app.documents.records import Box, Table

_MAX_CELLS: Final = 4000
_MAX_CELL: Final = 4000
"""Characters."""


def ruled_tables(data: bytes, password: str | None, index: int) -> tuple[Table, ...]:
    """The tables of page ``index`` (from 0) that have at least two rows and two columns; none when it cannot say."""
    import pdfplumber

    logging.getLogger("pdfminer").setLevel(logging.ERROR)
    try:
        with pdfplumber.open(io.BytesIO(data), password=password or "", pages=[index + 1]) as pdf:
            page = pdf.pages[0]
            found = []
            for table in page.find_tables()[:50]:
                rows = tuple(tuple((cell or "").strip()[:_MAX_CELL] for cell in row) for row in table.extract())
                if len(rows) >= 2 and len(rows[0]) >= 2 and len(rows) * len(rows[0]) <= _MAX_CELLS:
                    found.append(Table(Box(*(float(edge) for edge in table.bbox)), rows))
            return tuple(found)
    except Exception:
        # A second opinion from another parser: the words stand without it.
        logging.getLogger(__name__).exception("No tables of page %d.", index + 1)
        return ()
