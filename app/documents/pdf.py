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

from app.documents.draft import MAX_PAGES, MAX_TOKENS_PER_PAGE, DraftPage, Findings, Mark, Token
from app.documents.faults import DocumentError, damaged, password_needed
from app.documents.image import recognise
from app.documents.layout import clipped
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
_MAX_GARBAGE_RATIO: Final = 0.25
_OCR_DPI: Final = 200
_MAX_OCR_SIDE_PX: Final = 3500
_MAX_RENDER_PX: Final = 6000
_MIN_RULES: Final = 3
_MAX_OBJECTS: Final = 20_000
_HYPHEN: Final = 2  # what pdfium says for a hyphen at a line's end
_ANGLE_SAMPLES: Final = 40
_PIECE_BYTES: Final = 1 << 20


_Edges = tuple[float, float, float, float]
_NOWHERE: Final = (0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class _Objects:
    """What else than text is on a page."""

    count: int
    picture_ratio: float
    """Of the page's area, the largest picture's."""
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
                to_page = _Affine.from_device(page)
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
        text, rotation, letters, garbage = _text_layer(page, width, height)
        objects = _look_at_objects(page, width * height)
        fields = _form_fields(page, width, height)
        tokens = text + fields
        if len(tokens) > MAX_TOKENS_PER_PAGE:
            findings.note(f"Page {number} has {len(tokens):,} words; the first {MAX_TOKENS_PER_PAGE:,} were kept.")
            tokens = tokens[:MAX_TOKENS_PER_PAGE]
        if _wants_recognition(letters, garbage, objects):
            return self._recognised(page, number, [] if garbage > _MAX_GARBAGE_RATIO else tokens, findings)
        if not tokens:
            findings.note(f"Page {number} is empty.")
        elif objects.picture_ratio > _LARGE_PICTURE_RATIO:
            findings.note(f"Page {number} has text and a large picture; what is written in the picture was not read.")
        tables: tuple[Table, ...] = ()
        if min(objects.rules) >= _MIN_RULES and rotation == 0:
            tables = ruled_tables(self._data, self._password, number - 1)
        return DraftPage(width, height, "text", tokens, rotation, tables=tables)

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


@dataclass(frozen=True, slots=True)
class _Affine:
    """From one frame to another: rotation, scale and shift."""

    xx: float
    xy: float
    x: float
    yx: float
    yy: float
    y: float

    @classmethod
    def to_shown(cls, page: Any, width: float, height: float) -> _Affine:
        """From the page's own coordinates to points of the page as shown: rotated, cropped, origin top left."""
        fine = 100  # pdfium answers in whole device units
        far = 1000.0
        points = []
        for x, y in ((0.0, 0.0), (far, 0.0), (0.0, far)):
            shown_x, shown_y = ctypes.c_int(), ctypes.c_int()
            extent = (0, 0, round(width * fine), round(height * fine), 0)
            native.FPDF_PageToDevice(page, *extent, x, y, ctypes.byref(shown_x), ctypes.byref(shown_y))
            points.append((shown_x.value / fine, shown_y.value / fine))
        (x0, y0), (x1, y1), (x2, y2) = points
        return cls((x1 - x0) / far, (x2 - x0) / far, x0, (y1 - y0) / far, (y2 - y0) / far, y0)

    @classmethod
    def from_device(cls, page: Any) -> _Affine:
        """From the page as shown back to its own coordinates."""
        m = cls.to_shown(page, *page.get_size())
        determinant = m.xx * m.yy - m.xy * m.yx or 1.0
        xx, xy, yx, yy = m.yy / determinant, -m.xy / determinant, -m.yx / determinant, m.xx / determinant
        return cls(xx, xy, -(xx * m.x + xy * m.y), yx, yy, -(yx * m.x + yy * m.y))

    def edges(self, left: float, bottom: float, right: float, top: float) -> _Edges:
        """The edges around a mapped rectangle."""
        x0, y0 = self.xx * left + self.xy * bottom + self.x, self.yx * left + self.yy * bottom + self.y
        x1, y1 = self.xx * right + self.xy * top + self.x, self.yx * right + self.yy * top + self.y
        if x0 > x1:
            x0, x1 = x1, x0
        return (x0, y0, x1, y1) if y0 <= y1 else (x0, y1, x1, y0)

    def box(self, left: float, bottom: float, right: float, top: float) -> Box:
        """The same as a box."""
        return Box(*self.edges(left, bottom, right, top))


def _text_layer(page: Any, width: float, height: float) -> tuple[list[Token], int, int, float]:
    """Words, rotation of most of them, the number of letters and digits, and the share of garbage."""
    text_page = page.get_textpage()
    try:
        return _Characters(text_page, _Affine.to_shown(page, width, height), width, height).words()
    finally:
        text_page.close()


class _Characters:
    """Gathers characters into words. A space, a line's end or a jump ends a word."""

    def __init__(self, text_page: Any, shown: _Affine, width: float, height: float) -> None:
        self._page = text_page
        self._shown = shown
        self._size = (width, height)
        self._words: list[Token] = []
        self._open: list[str] = []
        self._around = self._last = _NOWHERE

    def words(self) -> tuple[list[Token], int, int, float]:
        count = native.FPDFText_CountChars(self._page)
        rectangle = native.FS_RECTF()
        into = ctypes.byref(rectangle)
        unicode_of: Callable[..., int] = native.FPDFText_GetUnicode
        box_of: Callable[..., int] = native.FPDFText_GetLooseCharBox
        letters = garbage = 0
        pending = 0  # the first half of a surrogate pair
        for index in range(count):
            code = unicode_of(self._page, index)
            if 0xD800 <= code < 0xDC00:
                pending = code
                continue
            if 0xDC00 <= code < 0xE000:
                code = 0x10000 + ((pending - 0xD800) << 10) + (code - 0xDC00) if pending else 0xFFFD
            pending = 0
            character = "-" if code == _HYPHEN else chr(min(code, 0x10FFFF))
            if character.isspace() or (code < 32 and code != _HYPHEN):
                self._finish()
                continue
            letters += character.isalnum()
            garbage += code == 0xFFFD or 0xE000 <= code < 0xF900 or 0x7F <= code < 0xA0
            if not box_of(self._page, index, into):
                continue
            self._add(character, self._shown.edges(rectangle.left, rectangle.bottom, rectangle.right, rectangle.top))
        self._finish()
        return self._words, self._rotation(count), letters, garbage / max(letters + garbage, 1)

    def _add(self, character: str, edges: _Edges) -> None:
        if self._open and _jumps(self._last, edges):
            self._finish()
        if self._open:
            x0, y0, x1, y1 = self._around
            a0, b0, a1, b1 = edges
            self._around = (
                x0 if x0 < a0 else a0,
                y0 if y0 < b0 else b0,
                x1 if x1 > a1 else a1,
                y1 if y1 > b1 else b1,
            )
        else:
            self._around = edges
        self._open.append(character)
        self._last = edges

    def _finish(self) -> None:
        if self._open:
            box = clipped(Box(*self._around), *self._size)
            if box is not None:
                self._words.append(Token("".join(self._open), box))
        self._open = []

    def _rotation(self, count: int) -> int:
        """The quarter turn, clockwise, that makes most characters stand upright."""
        votes = {0: 0, 90: 0, 180: 0, 270: 0}
        step = max(1, count // _ANGLE_SAMPLES)
        upright = self._shown.xx > 0.5, self._shown.yx > 0.5, self._shown.xx < -0.5, self._shown.yx < -0.5
        page_turn = next((quarter * 90 for quarter, holds in enumerate(upright) if holds), 0)
        for index in range(0, count, step):
            angle = native.FPDFText_GetCharAngle(self._page, index)  # radians; negative: unknown
            if angle >= 0:
                # pdfium counts the text's turn clockwise in the page's own frame; the page's turn comes on top.
                turned = (round(angle / 1.5707963) * 90 + page_turn) % 360
                votes[-turned % 360] += 1
        return max(votes, key=lambda quarter: votes[quarter])


def _jumps(last: _Edges, edges: _Edges) -> bool:
    """Whether a character does not stand beside the one before it, in whatever direction the text runs.

    Called for every character of a document: hence bare numbers.
    """
    x0, y0, x1, y1 = last
    a0, b0, a1, b1 = edges
    apart = a0 - x1 if a0 > x1 else x0 - a1
    apart_y = b0 - y1 if b0 > y1 else y0 - b1
    if apart_y > apart:
        apart = apart_y
    if apart <= 0.6:
        return False
    return apart > 0.6 * max(min(y1 - y0, b1 - b0), min(x1 - x0, a1 - a0), 1.0)


def _look_at_objects(page: Any, area: float) -> _Objects:
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
        elif width > 20 and height > 8:  # a box has both
            horizontal += 1
            vertical += 1
        else:
            horizontal += width > 20
            vertical += height > 8
    return _Objects(count, largest / max(area, 1.0), (horizontal, vertical))


def _form_fields(page: Any, width: float, height: float) -> list[Token]:
    """What is filled in: text fields, choices, ticked boxes, and text that was written over the page."""
    form = page.formenv
    shown = _Affine.to_shown(page, width, height)
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
    letter = min(box.width / max(longest, 1), row * 0.6)
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


def _annotate(page: Any, mark: Mark, to_page: _Affine) -> None:
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
