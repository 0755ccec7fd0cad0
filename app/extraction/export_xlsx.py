"""A workbook: a sheet of values, one a table, and one of evidence, to whose rows the cells of the others lead.

Written row by row, so that many documents need little memory. Texts are marked as texts: none becomes a formula.
"""

from __future__ import annotations

import datetime
import re
from pathlib import Path
from typing import Any, Final

from app.extraction.export_cells import box_text, evidence_text, joined_lists, rows_of
from app.extraction.exported import ExportedDocument, ExportedValue, columns_of
from app.extraction.schema import FieldType, Schema
from app.extraction.unfinished import Unfinished

_VALUES: Final = "Values"
_EVIDENCE: Final = "Evidence"
_MOST_CHARACTERS: Final = 32_767
"""Of a cell. Source: Excel's specifications and limits."""
_MOST_ROWS: Final = 1_048_576
_MOST_LINKS: Final = 65_530
"""Of a sheet. Source: Excel's specifications and limits."""
_NOT_XML: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_NOT_IN_TITLES: Final = re.compile(r"[\[\]:*?/\\]")
_COLOURS: Final = {"doubtful": "FFF4CC", "reviewed": "E2F0D9"}
_SURE: Final = 0.9


class XlsxWriter:
    """Through openpyxl, imported when one is made."""

    def __init__(self, path: Path, schema: Schema) -> None:
        from openpyxl import Workbook
        from openpyxl.styles import Font, PatternFill

        self._unfinished = Unfinished(path)
        self._book: Any = Workbook(write_only=True)
        self._fills = {name: PatternFill("solid", fgColor=colour) for name, colour in _COLOURS.items()}
        self._bold = Font(bold=True)
        self._single, self._tables = columns_of(schema)
        self._values = self._sheet(_VALUES, ("file", "status", "error", *self._single))
        self._rows = {
            name: self._sheet(_title(name), ("file", "row", *columns)) for name, columns in self._tables.items()
        }
        head = (
            "file",
            "field",
            "value",
            "confidence",
            "grounding",
            "page",
            "box",
            "start",
            "end",
            "evidence",
            "review",
        )
        self._evidence = self._sheet(_EVIDENCE, (*head, "sha256", "model"))
        self._count = {id(sheet): 1 for sheet in (self._values, *self._rows.values(), self._evidence)}
        self._links = 0

    def add(self, document: ExportedDocument) -> None:
        proof = {value.name: self._prove(document, value) for value in document.values}
        error = ": ".join(document.error) if document.error else ""
        head = [self._text(self._values, text) for text in (document.file, document.status, error)]
        by_name = joined_lists(document.values)
        cells = [(by_name.get(name), proof.get(name, proof.get(f"{name}[0]", 0))) for name in self._single]
        self._append(self._values, head, cells)
        for name, columns in self._tables.items():
            sheet = self._rows[name]
            for number, row in rows_of(document.values, name):
                head = [self._text(sheet, document.file), self._plain(sheet, number + 1)]
                cells = [(row.get(column), proof.get(f"{name}[{number}].{column}", 0)) for column in columns]
                self._append(sheet, head, cells)

    def finish(self) -> None:
        self._book.save(self._unfinished.temporary)
        self._unfinished.take_place()

    def drop(self) -> None:
        for sheet in self._book.worksheets:  # each has a file of its own until the workbook is saved
            sheet.close()
            sheet._writer.cleanup()
        self._unfinished.drop()

    def _prove(self, document: ExportedDocument, value: ExportedValue) -> int:
        """Write a value's row of evidence; returns the row's number, 0 when the sheet is full."""
        place = value.evidence[0] if value.evidence else None
        sheet = self._evidence
        texts = (document.file, value.name, value.value or "")
        cells = [self._text(sheet, text) for text in texts]
        cells.append(self._plain(sheet, round(value.confidence, 4)))
        cells.append(self._text(sheet, value.grounding.value))
        cells += [self._plain(sheet, number) for number in ((place.page,) if place else (None,))]
        cells.append(self._text(sheet, box_text(value)))
        span = (value.evidence[0].start, value.evidence[-1].end) if value.evidence else (None, None)
        cells += [self._plain(sheet, number) for number in span]
        cells += [
            self._text(sheet, text) for text in (evidence_text(value), value.review, document.sha256, document.model)
        ]
        return self._write(sheet, cells)

    def _append(self, sheet: Any, head: list[Any], values: list[tuple[ExportedValue | None, int]]) -> None:
        from openpyxl.utils import get_column_letter
        from openpyxl.worksheet.hyperlink import Hyperlink

        row = self._write(sheet, [*head, *(self._typed(sheet, value) for value, _ in values)])
        for column, (_, proven_at) in enumerate(values, len(head) + 1):
            if row and proven_at and self._links < _MOST_LINKS:
                self._links += 1
                place = f"{get_column_letter(column)}{row}"
                sheet._hyperlinks.append(Hyperlink(ref=place, location=f"'{_EVIDENCE}'!A{proven_at}"))

    def _write(self, sheet: Any, cells: list[Any]) -> int:
        if self._count[id(sheet)] >= _MOST_ROWS:
            return 0
        sheet.append(cells)
        self._count[id(sheet)] += 1
        return self._count[id(sheet)]

    def _sheet(self, title: str, head: tuple[str, ...]) -> Any:
        sheet = self._book.create_sheet(title)
        sheet.freeze_panes = "B2"
        cells = []
        for name in head:
            cell = self._text(sheet, name)
            cell.font = self._bold
            cells.append(cell)
        sheet.append(cells)
        return sheet

    def _typed(self, sheet: Any, value: ExportedValue | None) -> Any:
        """A value as a number, a date or a text, coloured where it is doubtful or was reviewed."""
        if value is None or value.value is None:
            cell = self._plain(sheet, None)
        else:
            cell = self._plain(sheet, _native(value)) if _native(value) is not None else self._text(sheet, value.value)
        if value is not None and value.review:
            cell.fill = self._fills["reviewed"]
        elif value is not None and value.confidence < _SURE:
            cell.fill = self._fills["doubtful"]
        return cell

    def _text(self, sheet: Any, text: str) -> Any:
        from openpyxl.cell import WriteOnlyCell

        cell: Any = WriteOnlyCell(sheet, value=_NOT_XML.sub("\ufffd", text)[:_MOST_CHARACTERS])
        cell.data_type = "s"  # whatever it begins with
        return cell

    def _plain(self, sheet: Any, value: float | datetime.date | bool | None) -> Any:
        from openpyxl.cell import WriteOnlyCell

        return WriteOnlyCell(sheet, value=value)


def _native(value: ExportedValue) -> float | datetime.date | bool | None:
    """The value as a spreadsheet's own; ``None`` when it is a text."""
    text = value.value or ""
    try:
        if value.type in (FieldType.NUMBER, FieldType.AMOUNT):
            return float(text) if len(text) <= 15 else None  # longer ones would lose digits
        if value.type is FieldType.DATE:
            return datetime.date.fromisoformat(text)
    except ValueError:
        return None
    return text == "true" if value.type is FieldType.BOOLEAN and text in ("true", "false") else None


def _title(table: str) -> str:
    """A sheet's title from a table's name."""
    return _NOT_IN_TITLES.sub(" ", table)[:31]
