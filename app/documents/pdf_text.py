"""The text layer of a PDF page: its characters gathered into words, in the frame of the page as shown.

Runs in a reader child only.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import pypdfium2.raw as native

from app.documents.draft import Token
from app.documents.layout import clipped
from app.documents.records import Box

_Edges = tuple[float, float, float, float]
_NOWHERE: Final = (0.0, 0.0, 0.0, 0.0)
_HYPHEN: Final = 2  # what pdfium says for a hyphen at a line's end
_ANGLE_SAMPLES: Final = 40


@dataclass(frozen=True, slots=True)
class Affine:
    """From one frame to another: rotation, scale and shift."""

    xx: float
    xy: float
    x: float
    yx: float
    yy: float
    y: float

    @classmethod
    def to_shown(cls, page: Any, width: float, height: float) -> Affine:
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
    def from_device(cls, page: Any) -> Affine:
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


def text_layer(page: Any, width: float, height: float) -> tuple[list[Token], int, int, float]:
    """Words, rotation of most of them, the number of letters and digits, and the share of garbage."""
    text_page = page.get_textpage()
    try:
        return _Characters(text_page, Affine.to_shown(page, width, height), width, height).words()
    finally:
        text_page.close()


class _Characters:
    """Gathers characters into words. A space, a line's end or a jump ends a word."""

    def __init__(self, text_page: Any, shown: Affine, width: float, height: float) -> None:
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
