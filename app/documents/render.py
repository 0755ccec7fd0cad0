"""Draws pages that were set by ``flow``, for which there is no picture but ours. Runs in a reader child only."""

from __future__ import annotations

from functools import cache
from typing import Final

from PIL import Image, ImageDraw, ImageFont

from app.documents.draft import DraftPage, Token

_MAX_SIDE_PX: Final = 6000
_FONTS: Final = ("DejaVuSans.ttf", "NotoSans-Regular.ttf", "LiberationSans-Regular.ttf", "Arial.ttf", "arial.ttf")
_INK: Final = "#1c1c1c"

_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def draw_page(page: DraftPage, width_px: int) -> Image.Image:
    """The page as a picture ``width_px`` wide: each word fills its box, tables have a frame."""
    scale = min(width_px / page.width, _MAX_SIDE_PX / max(page.width, page.height))
    size = max(1, round(page.width * scale)), max(1, round(page.height * scale))
    picture = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(picture)
    for table in page.tables:
        box = table.box
        edges = ((box.x0 - 3) * scale, (box.y0 - 3) * scale, (box.x1 + 3) * scale, (box.y1 + 3) * scale)
        draw.rectangle(edges, outline="#c8c8c8")
    if page.title:
        draw.text((36 * scale, 14 * scale), page.title[:120], fill="#808080", font=_font(max(6, round(9 * scale))))
    for token in page.tokens:
        _draw_word(draw, token, scale)
    return picture


def _draw_word(draw: ImageDraw.ImageDraw, token: Token, scale: float) -> None:
    box = token.box
    size = max(4, round(box.height * scale * 0.9))
    wanted = box.width * scale
    length = draw.textlength(token.text, font=_font(size))
    if length > wanted > 0:
        size = max(4, int(size * wanted / length))
    top = box.y0 * scale + max(0.0, box.height * scale - size * 1.15) / 2
    draw.text((box.x0 * scale, top), token.text, fill=_INK, font=_font(size))


@cache
def _font(size: int) -> _Font:
    for name in _FONTS:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return ImageFont.load_default(size)
