"""DOCX, XLSX and PPTX: text and tables in reading order, by python-docx, openpyxl and python-pptx.

A sheet and a slide begin a page. Deleted text of tracked changes is left out, inserted text is in. Formulas show the
value that the program saved last.
"""

from __future__ import annotations

import datetime
import io
import warnings
import zipfile
from collections.abc import Iterator
from typing import Any, Final

from app.documents.faults import DocumentError, damaged
from app.documents.flow import FlowDocument, Grid, Item, NewPage, Paragraph
from app.documents.records import DocumentKind

_W: Final = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_FALLBACK: Final = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_MAX_CELLS: Final = 1_000_000
_MAX_EMPTY_ROWS: Final = 10_000
_MAX_GROUPS: Final = 20
_NAMES: Final = {
    DocumentKind.DOCX: "a Word document",
    DocumentKind.XLSX: "an Excel workbook",
    DocumentKind.PPTX: "a PowerPoint presentation",
}


def open_office(data: bytes, kind: DocumentKind) -> FlowDocument:
    """The document. Raises ``DocumentError``."""
    readers = {DocumentKind.DOCX: _docx, DocumentKind.XLSX: _xlsx, DocumentKind.PPTX: _pptx}
    notes: list[str] = []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # openpyxl tells of what it leaves out, which we do not show anyway
            items = list(readers[kind](data, notes))
    except DocumentError:
        raise
    except (KeyError, ValueError, OSError, AttributeError, IndexError, TypeError, SyntaxError) as error:
        raise damaged(_NAMES[kind], f"{type(error).__name__}: {error}") from error
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise damaged(_NAMES[kind], error) from error
    except Exception as error:
        # zlib.error, lxml's errors and those of the libraries have no common base but this.
        if type(error).__module__.split(".")[0] in ("zlib", "lxml", "docx", "pptx", "openpyxl"):
            raise damaged(_NAMES[kind], error) from error
        raise
    return FlowDocument(kind, items, notes)


def _docx(data: bytes, notes: list[str]) -> Iterator[Item]:
    import docx

    del notes
    document = docx.Document(io.BytesIO(data))
    section = document.sections[0] if len(document.sections) else None
    if section is not None and not section.header.is_linked_to_previous:
        yield from _docx_items(section.header._element)
    yield from _docx_items(document.element.body)
    yield from _docx_notes(document.part)
    if section is not None and not section.footer.is_linked_to_previous:
        yield from _docx_items(section.footer._element)


def _docx_items(parent: Any) -> Iterator[Item]:
    """Paragraphs and tables, also those inside content controls and insertions."""
    for child in parent:
        if child.tag == f"{_W}p":
            yield Paragraph(_docx_text(child))
        elif child.tag == f"{_W}tbl":
            yield Grid([_docx_row(row) for row in child.iter(f"{_W}tr") if _owner(row, "tbl") is child])
        elif child.tag in (f"{_W}sdt", f"{_W}sdtContent", f"{_W}ins", f"{_W}customXml", f"{_W}smartTag"):
            yield from _docx_items(child)


def _docx_notes(part: Any) -> Iterator[Item]:
    """Footnotes and endnotes, after the text that they belong to."""
    from docx.oxml import parse_xml

    for relation in part.rels.values():
        name = relation.reltype.rpartition("/")[2]
        if name in ("footnotes", "endnotes") and not relation.is_external:
            for note in parse_xml(relation.target_part.blob):
                if note.get(f"{_W}type") is None:  # else it is the line that parts them from the text
                    yield from _docx_items(note)


def _docx_row(row: Any) -> list[str]:
    cells: list[str] = []
    for cell in row.iter(f"{_W}tc"):
        if _owner(cell, "tr") is row:
            paragraphs = [_docx_text(p) for p in cell.iter(f"{_W}p")]
            cells.append("\n".join(text for text in paragraphs if text.strip()))
            span = cell.find(f"{_W}tcPr/{_W}gridSpan")
            cells += [""] * (min(int(span.get(f"{_W}val", "1")), 60) - 1 if span is not None else 0)
    return cells


def _owner(element: Any, name: str) -> Any:
    """The nearest ancestor of that name."""
    return next(element.iterancestors(f"{_W}{name}"), None)


def _docx_text(paragraph: Any) -> str:
    parts: list[str] = []
    _gather(paragraph, parts, 0)
    return "".join(parts)


def _gather(element: Any, parts: list[str], depth: int) -> None:
    for child in element:
        tag = child.tag
        if tag == f"{_W}t":
            parts.append(child.text or "")
        elif tag in (f"{_W}tab", f"{_W}ptab"):
            parts.append("\t")
        elif tag in (f"{_W}br", f"{_W}cr"):
            parts.append("\n")
        elif tag == f"{_W}noBreakHyphen":
            parts.append("-")
        elif tag in (f"{_W}del", f"{_W}moveFrom", f"{_W}pPr", _FALLBACK) or depth > 200:
            continue
        else:
            if tag == f"{_W}p" and parts:
                parts.append("\n")  # of a text box
            _gather(child, parts, depth + 1)


def _xlsx(data: bytes, notes: list[str]) -> Iterator[Item]:
    import openpyxl

    book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True, keep_links=False)
    try:
        left = _MAX_CELLS
        for sheet in book.worksheets:
            yield NewPage(sheet.title)
            if sheet.sheet_state != "visible":
                notes.append(f"The sheet {sheet.title!r} is hidden in the workbook; it was read as well.")
            rows, left = _xlsx_rows(sheet, left)
            if rows:
                yield Grid(rows)
            if left <= 0:
                notes.append(f"The workbook has more than {_MAX_CELLS:,} cells; the rest was left out.")
                return
    finally:
        book.close()


def _xlsx_rows(sheet: Any, left: int) -> tuple[list[list[str]], int]:
    rows: list[list[str]] = []
    empty = 0
    for row in sheet.iter_rows():
        cells = [_shown(cell.value, getattr(cell, "number_format", "")) for cell in row]
        while cells and not cells[-1]:
            cells.pop()
        empty = 0 if cells else empty + 1
        if empty > _MAX_EMPTY_ROWS or left <= 0:
            break
        left -= len(cells) + 1
        if cells or empty == 1:
            rows.append(cells)
    while rows and not rows[-1]:
        rows.pop()
    return rows, left


def _shown(value: Any, number_format: str) -> str:
    """A cell as the program would show it, as far as numbers, percentages and dates go."""
    match value:
        case None:
            shown = ""
        case bool():
            shown = "TRUE" if value else "FALSE"
        case datetime.datetime() if value.time() == datetime.time():
            shown = value.date().isoformat()
        case datetime.datetime():
            shown = value.isoformat(" ", "minutes" if value.second == 0 else "seconds")
        case datetime.date() | datetime.time():
            shown = value.isoformat()
        case int() | float():
            shown = _number(value, number_format or "General")
        case _:
            shown = str(value)
    return shown


def _number(value: float, number_format: str) -> str:
    plain = number_format.split(";")[0]
    percent = "%" in plain
    digits = plain.partition(".")[2]
    decimals = len(digits) - len(digits.lstrip("0"))
    shown = value * 100 if percent else value
    thousands = "," if "#,##" in plain else ""
    if decimals or percent or thousands:
        return f"{shown:{thousands}.{min(decimals, 10)}f}{'%' if percent else ''}"
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else f"{value:.12g}"


def _pptx(data: bytes, notes: list[str]) -> Iterator[Item]:
    import pptx

    del notes
    for number, slide in enumerate(pptx.Presentation(io.BytesIO(data)).slides, start=1):
        yield NewPage(f"Slide {number}")
        yield from _shapes(slide.shapes, 0)
        if slide.has_notes_slide and (frame := slide.notes_slide.notes_text_frame) is not None and frame.text.strip():
            yield Paragraph("")
            yield Paragraph(f"Notes: {frame.text}")


def _shapes(shapes: Any, depth: int) -> Iterator[Item]:
    """From the top down, shapes of about one height from the left."""
    for shape in sorted(shapes, key=lambda s: ((s.top or 0) // 360_000, s.left or 0)):
        if hasattr(shape, "shapes"):
            if depth < _MAX_GROUPS:
                yield from _shapes(shape.shapes, depth + 1)
        elif getattr(shape, "has_table", False) and shape.has_table:
            yield Grid([[cell.text for cell in row.cells] for row in shape.table.rows])
        elif shape.has_text_frame and shape.text_frame.text.strip():
            yield Paragraph(shape.text_frame.text.replace("\v", "\n"))
            yield Paragraph("")
