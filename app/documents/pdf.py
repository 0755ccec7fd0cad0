"""PDF by pypdfium2: words with boxes from the text layer, form fields, and recognition of pages that have none.

Ruled tables of the few pages that have them are found by pdfplumber (``ruled``). Runs in a reader child only.
"""

from __future__ import annotations

import ctypes
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pypdfium2
import pypdfium2.raw as native

from app.documents.draft import MAX_PAGES, MAX_SIDE, MAX_TOKENS_PER_PAGE, DraftPage, Findings, Mark, Token
from app.documents.faults import DocumentError, damaged, password_needed
from app.documents.image import recognise
from app.documents.layout import clipped
from app.documents.pdf_text import Affine, text_layer
from app.documents.records import Box, DocumentKind, Table
from app.documents.ruled import ruled_tables

if TYPE_CHECKING:
    from PIL.Image import Image

_MIN_LETTERS: Final = 8
"""Fewer letters and digits than this are no text layer when there is anything else on the page."""
_FEW_LETTERS: Final = 60
"""So few beside a picture that fills the page are a stamp upon a scan."""
_SCAN_RATIO: Final = 0.5
_LARGE_PICTURE_RATIO: Final = 0.2
_MAX_PICTURES: Final = 20
_MAX_PICTURE_PAGES: Final = 12
"""Of a document, on which pictures beside text are looked into: it takes seconds a page, as brochures would show."""
_MAX_GARBAGE_RATIO: Final = 0.25
_OCR_DPI: Final = 200
_MAX_OCR_SIDE_PX: Final = 3500
_MAX_RENDER_PX: Final = 6000
_MIN_RULES: Final = 3
_MAX_OBJECTS: Final = 20_000
_PIECE_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class _Objects:
    """What else than text is on a page."""

    count: int
    picture_ratio: float
    """Of the page's area, the largest picture's."""
    pictures: tuple[Box, ...]
    """The large ones, on the page as shown."""
    rules: tuple[int, int]
    """Horizontal and vertical lines."""


class PdfDocument:
    """An open PDF."""

    kind = DocumentKind.PDF

    def __init__(self, data: bytes, password: str | None) -> None:
        self._data = data
        self._password = password
        self._pdf = _open(data, password)
        self.encrypted = password is not None and native.FPDF_GetSecurityHandlerRevision(self._pdf) >= 0
        self.page_count = min(len(self._pdf), MAX_PAGES)
        self._pictures_left = _MAX_PICTURE_PAGES
        self._pdf.init_forms()

    def pages(self, findings: Findings) -> Iterator[DraftPage]:
        count = len(self._pdf)
        if count == 0:
            raise damaged("a PDF", "it has no pages")
        if count > MAX_PAGES:
            findings.note(f"The file has {count:,} pages; the first {MAX_PAGES:,} were read.")
        for index in range(min(count, MAX_PAGES)):
            try:
                page = self._pdf[index]
            except pypdfium2.PdfiumError:
                findings.note(f"Page {index + 1} is damaged and was left out.")
                yield DraftPage(595.0, 842.0, "text", [])
                continue
            try:
                yield self._page(page, index + 1, findings)
            finally:
                page.close()

    def picture(self, number: int, width_px: int) -> Image:
        page = self._load(number)
        try:
            scale = (width_px - 0.01) / max(page.get_width(), 1.0)  # pdfium rounds up
            scale = min(scale, _MAX_RENDER_PX / max(page.get_width(), page.get_height(), 1.0))
            return _render(page, scale)
        finally:
            page.close()

    def marked(self, marks: list[Mark]) -> Iterator[bytes]:
        for number in sorted({mark.page for mark in marks}):
            page = self._load(number)
            try:
                to_page = Affine.from_device(page)
                for mark in marks:
                    if mark.page == number:
                        _annotate(page, mark, to_page)
            finally:
                page.close()
        buffer = io.BytesIO()
        self._pdf.save(buffer)
        view = buffer.getbuffer()
        for start in range(0, len(view), _PIECE_BYTES):
            yield bytes(view[start : start + _PIECE_BYTES])

    def close(self) -> None:
        self._pdf.close()

    def _load(self, number: int) -> Any:
        if not 1 <= number <= len(self._pdf):
            raise DocumentError("no_such_page", f"The document has {len(self._pdf)} pages; {number} is none of them.")
        try:
            return self._pdf[number - 1]
        except pypdfium2.PdfiumError as error:
            raise damaged("a PDF", f"page {number}") from error

    def _page(self, page: Any, number: int, findings: Findings) -> DraftPage:
        width, height = page.get_size()
        if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
            findings.note(f"Page {number} says that it is {width:g} × {height:g} points large, and was left out.")
            return DraftPage(595.0, 842.0, "text", [])
        text, rotation, letters, garbage = text_layer(page, width, height)
        objects = _look_at_objects(page, width, height)
        fields = _form_fields(page, width, height)
        tokens = text + fields
        if len(tokens) > MAX_TOKENS_PER_PAGE:
            findings.note(f"Page {number} has {len(tokens):,} words; the first {MAX_TOKENS_PER_PAGE:,} were kept.")
            tokens = tokens[:MAX_TOKENS_PER_PAGE]
        if _wants_recognition(letters, garbage, objects):
            return self._recognised(page, number, [] if garbage > _MAX_GARBAGE_RATIO else tokens, findings)
        if not tokens:
            findings.note(f"Page {number} is empty.")
        elif objects.pictures:
            tokens = tokens + self._in_pictures(page, number, objects.pictures, tokens, findings)
        tables: tuple[Table, ...] = ()
        if min(objects.rules) >= _MIN_RULES and rotation == 0:
            tables = ruled_tables(self._data, self._password, number - 1)
        return DraftPage(width, height, "text", tokens, rotation, tables=tables)

    def _in_pictures(
        self, page: Any, number: int, pictures: tuple[Box, ...], known: list[Token], findings: Findings
    ) -> list[Token]:
        """Words in large pictures of a page that has text besides, as in a letter with a receipt pasted in."""
        if self._pictures_left <= 0:
            findings.note(f"Page {number} has text and a large picture; what is written in the picture was not read.")
            return []
        self._pictures_left -= 1
        width, height = page.get_size()
        scale = min(_OCR_DPI / 72, _MAX_OCR_SIDE_PX / max(width, height, 1.0))
        around = pictures[0]
        for box in pictures[1:]:
            around = around.union(box)
        edges = (around.x0 * scale, around.y0 * scale, around.x1 * scale, around.y1 * scale)
        seen = recognise(_render(page, scale).crop(tuple(round(edge) for edge in edges)))
        found = []
        for token in seen.tokens:
            at = token.box
            x0, y0, x1, y1 = (round(value / scale, 3) for value in (at.x0, at.y0, at.x1, at.y1))
            place = clipped(Box(around.x0 + x0, around.y0 + y0, around.x0 + x1, around.y0 + y1), width, height)
            if place is not None and not any(place.overlap_ratio(other.box) > 0.3 for other in known):
                found.append(Token(token.text, place, token.score))
        if found:
            words = "1 word" if len(found) == 1 else f"{len(found):,} words"
            findings.note(f"Page {number} has text and a large picture; {words} in the picture were recognised.")
        return found

    def _recognised(self, page: Any, number: int, layer: list[Token], findings: Findings) -> DraftPage:
        """The page through OCR; words of its text layer stay where they are."""
        width, height = page.get_size()
        scale = min(_OCR_DPI / 72, _MAX_OCR_SIDE_PX / max(width, height, 1.0))
        seen = recognise(_render(page, scale))
        found = []
        for token in seen.tokens:
            box = Box(*(round(value / scale, 3) for value in (token.box.x0, token.box.y0, token.box.x1, token.box.y1)))
            if not any(box.overlap_ratio(known.box) > 0.4 for known in layer):
                found.append(Token(token.text, box, token.score))
        if not found and not layer:
            findings.note(f"No text was found on page {number}.")
        return DraftPage(width, height, "ocr", layer + found, seen.rotation, seen.skew)


def _open(data: bytes, password: str | None) -> Any:
    try:
        return pypdfium2.PdfDocument(data, password=password)
    except pypdfium2.PdfiumError as error:
        if getattr(error, "err_code", None) == native.FPDF_ERR_PASSWORD:
            raise password_needed(password is not None) from error
        if getattr(error, "err_code", None) == native.FPDF_ERR_SECURITY:
            said = "The PDF is encrypted in a way that is not supported."
            raise DocumentError("unsupported_kind", said, "Save it without encryption.") from error
        raise damaged("a PDF", error) from error


def _wants_recognition(letters: int, garbage: float, objects: _Objects) -> bool:
    """Whether the text layer is too little or too broken to stand for what is seen."""
    if letters == 0 and objects.count == 0:
        return False
    if garbage > _MAX_GARBAGE_RATIO:
        return True
    if letters < _MIN_LETTERS:
        return objects.count > 0
    return letters < _FEW_LETTERS and objects.picture_ratio >= _SCAN_RATIO


def _look_at_objects(page: Any, page_width: float, page_height: float) -> _Objects:
    area = max(page_width * page_height, 1.0)
    shown = Affine.to_shown(page, page_width, page_height)
    pictures: list[Box] = []
    count = native.FPDFPage_CountObjects(page)
    edges = [ctypes.c_float() for _ in range(4)]
    largest = 0.0
    horizontal = vertical = 0
    for index in range(min(count, _MAX_OBJECTS)):
        item = native.FPDFPage_GetObject(page, index)
        kind = native.FPDFPageObj_GetType(item)
        if kind not in (native.FPDF_PAGEOBJ_IMAGE, native.FPDF_PAGEOBJ_PATH, native.FPDF_PAGEOBJ_FORM):
            continue
        if not native.FPDFPageObj_GetBounds(item, *(ctypes.byref(edge) for edge in edges)):
            continue
        left, bottom, right, top = (edge.value for edge in edges)
        width, height = right - left, top - bottom
        if kind != native.FPDF_PAGEOBJ_PATH:
            largest = max(largest, width * height)
            box = clipped(shown.box(left, bottom, right, top), page_width, page_height)
            if (
                kind == native.FPDF_PAGEOBJ_IMAGE
                and box is not None
                and box.width * box.height > _LARGE_PICTURE_RATIO * area
            ):
                pictures.append(box)
        elif width > 20 and height > 8:  # a box has both
            horizontal += 1
            vertical += 1
        else:
            horizontal += width > 20
            vertical += height > 8
    return _Objects(count, largest / area, tuple(pictures[:_MAX_PICTURES]), (horizontal, vertical))


def _form_fields(page: Any, width: float, height: float) -> list[Token]:
    """What is filled in: text fields, choices, ticked boxes, and text that was written over the page."""
    form = page.formenv
    shown = Affine.to_shown(page, width, height)
    tokens: list[Token] = []
    for index in range(native.FPDFPage_GetAnnotCount(page)):
        note = native.FPDFPage_GetAnnot(page, index)
        if not note:
            continue
        try:
            text = _annotation_text(form, note)
            rectangle = native.FS_RECTF()
            if text and native.FPDFAnnot_GetRect(note, ctypes.byref(rectangle)):
                around = shown.box(rectangle.left, rectangle.bottom, rectangle.right, rectangle.top)
                box = clipped(around, width, height)
                tokens += _spread(text, box) if box is not None else []
        finally:
            native.FPDFPage_CloseAnnot(note)
    return tokens


def _annotation_text(form: Any, note: Any) -> str:
    kind = native.FPDFAnnot_GetSubtype(note)
    if kind == native.FPDF_ANNOT_FREETEXT:
        return _string(lambda buffer, size: native.FPDFAnnot_GetStringValue(note, b"Contents", buffer, size))
    if kind != native.FPDF_ANNOT_WIDGET or form is None:
        return ""
    field = native.FPDFAnnot_GetFormFieldType(form, note)
    if field in (native.FPDF_FORMFIELD_CHECKBOX, native.FPDF_FORMFIELD_RADIOBUTTON):
        return "[x]" if native.FPDFAnnot_IsChecked(form, note) else "[ ]"
    if field in (native.FPDF_FORMFIELD_TEXTFIELD, native.FPDF_FORMFIELD_COMBOBOX, native.FPDF_FORMFIELD_LISTBOX):
        return _string(lambda buffer, size: native.FPDFAnnot_GetFormFieldValue(form, note, buffer, size))
    return ""


def _string(ask: Callable[[Any, int], int]) -> str:
    """A string that pdfium gives as UTF-16 with its length in bytes."""
    size = ask(None, 0)
    if not 2 < size <= 1 << 20:
        return ""
    buffer = (ctypes.c_ushort * (size // 2))()
    ask(buffer, size)
    return bytes(buffer).decode("utf-16-le", "replace").rstrip("\0")


def _spread(text: str, box: Box) -> list[Token]:
    """A field's text over its box: lines one under another, words as wide as their letters."""
    lines = [line.split() for line in text.splitlines() if line.strip()]
    if text in ("[x]", "[ ]"):
        return [Token(text, box)]
    longest = max((len(" ".join(words)) for words in lines), default=0)
    tokens = []
    row = min(box.height / max(len(lines), 1), 14.0)
    letter = min(box.width / max(longest, 1), row * 0.42)
    for number, words in enumerate(lines):
        x, y = box.x0, box.y0 + number * row
        for word in words:
            tokens.append(Token(word, Box(x, y, x + letter * len(word), y + row)))
            x += letter * (len(word) + 1)
    return tokens


def _render(page: Any, scale: float) -> Image:
    bitmap = page.render(scale=scale, may_draw_forms=True, rev_byteorder=True)
    try:
        picture: Image = bitmap.to_pil().convert("RGB")
    finally:
        bitmap.close()
    return picture


def _annotate(page: Any, mark: Mark, to_page: Affine) -> None:
    """Draw a frame as an annotation: it lies over the page, says its label, and can be taken away again."""
    note = native.FPDFPage_CreateAnnot(page, native.FPDF_ANNOT_SQUARE)
    if not note:
        raise damaged("a PDF", f"page {mark.page} takes no marks")
    try:
        box = to_page.box(mark.box.x0 - 1, mark.box.y0 - 1, mark.box.x1 + 1, mark.box.y1 + 1)
        native.FPDFAnnot_SetRect(note, native.FS_RECTF(left=box.x0, bottom=box.y0, right=box.x1, top=box.y1))
        red, green, blue = (int(mark.colour[start : start + 2], 16) for start in (1, 3, 5))
        native.FPDFAnnot_SetColor(note, native.FPDFANNOT_COLORTYPE_Color, red, green, blue, 255)
        native.FPDFAnnot_SetBorder(note, 0, 0, 1.5)
        label = mark.label.encode("utf-16-le") + b"\0\0"
        native.FPDFAnnot_SetStringValue(
            note, b"Contents", (ctypes.c_ushort * (len(label) // 2)).from_buffer_copy(label)
        )
    finally:
        native.FPDFPage_CloseAnnot(note)
