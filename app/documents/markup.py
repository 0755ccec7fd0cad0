"""Evidence boxes drawn on pictures of pages. PDF files get theirs as annotations, in ``pdf``."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import Final

from PIL import Image, ImageDraw, ImageFont

from app.documents.draft import Mark

_PIECE_BYTES: Final = 1 << 20


def draw_marks(picture: Image.Image, marks: Iterable[Mark], scale: float) -> Image.Image:
    """A copy with a frame and a label for each mark; ``scale``: pixels of the picture to a point of the page."""
    marked = picture.convert("RGB")
    draw = ImageDraw.Draw(marked)
    thickness = max(1, round(max(marked.size) / 700))
    size = max(9, round(max(marked.size) / 110))
    font = ImageFont.load_default(size)
    for mark in marks:
        box = mark.box
        around = (box.x0 * scale - 2, box.y0 * scale - 2, box.x1 * scale + 2, box.y1 * scale + 2)
        draw.rectangle(around, outline=mark.colour, width=thickness)
        if mark.label:
            at = (max(0.0, around[0]), max(0.0, around[1] - size - 2))
            draw.rectangle(draw.textbbox(at, mark.label[:60], font=font), fill="white")
            draw.text(at, mark.label[:60], fill=mark.colour, font=font)
    return marked


def mark_picture(picture: Image.Image, marks: list[Mark], scale: float) -> Iterator[bytes]:
    """A marked picture as PNG."""
    buffer = io.BytesIO()
    draw_marks(picture, marks, scale).save(buffer, "PNG")
    return _pieces(buffer)


def marked_pdf(pages: Iterable[tuple[Image.Image, float]], marks: list[Mark]) -> Iterator[bytes]:
    """Pictures of pages, each with its scale, as one PDF with the marks drawn on them."""
    drawn = [
        draw_marks(picture, [mark for mark in marks if mark.page == number], scale)
        for number, (picture, scale) in enumerate(pages, start=1)
    ]
    buffer = io.BytesIO()
    drawn[0].save(buffer, "PDF", save_all=True, append_images=drawn[1:], resolution=108.0)
    return _pieces(buffer)


def _pieces(buffer: io.BytesIO) -> Iterator[bytes]:
    data = buffer.getvalue()
    for start in range(0, len(data), _PIECE_BYTES):
        yield data[start : start + _PIECE_BYTES]
