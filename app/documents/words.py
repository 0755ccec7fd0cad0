"""Words with boxes as another program recognised them: ``x1,y1,...,x4,y4,text`` a line, in pixels of a picture.

That is the form of the SROIE competition: a folder ``box`` of such files beside a folder ``img`` of pictures. A pixel
counts as a point.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from app.documents.draft import MAX_TOKENS_PER_PAGE, DraftPage, Findings, Mark, Token
from app.documents.encoding import decode
from app.documents.faults import DocumentError
from app.documents.line_words import split_line
from app.documents.records import Box, DocumentKind
from app.documents.source import Source, load

if TYPE_CHECKING:
    from PIL.Image import Image

_CORNERS: Final = 8
_PICTURES: Final = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".bmp")


class WordsDocument:
    """A list of words, with the picture that it belongs to where that lies beside it."""

    kind = DocumentKind.WORDS
    encrypted = False

    def __init__(self, source: Source) -> None:
        self._tokens = _parse(decode(source.data)[0])
        self._picture = picture_beside(source.path) if source.path else None

    def pages(self, findings: Findings) -> Iterator[DraftPage]:
        if not self._tokens:
            findings.note("The list of words is empty.")
        yield self._page()

    def picture(self, number: int, width_px: int) -> Image:
        if self._picture is not None:
            from app.documents.image import ImageDocument

            return ImageDocument(load(self._picture).data).picture(number, width_px)
        from app.documents.render import draw_page

        return draw_page(self._page(), width_px)

    def marked(self, marks: list[Mark]) -> Iterator[bytes]:
        from app.documents.markup import mark_picture

        width = self._page().width
        return mark_picture(self.picture(1, round(width)), marks, 1.0)

    def close(self) -> None:
        """Nothing is open."""

    def _page(self) -> DraftPage:
        width = max((token.box.x1 for token in self._tokens), default=1.0)
        height = max((token.box.y1 for token in self._tokens), default=1.0)
        if self._picture is not None:
            from app.documents.image import ImageDocument

            shown = ImageDocument(load(self._picture).data)
            width, height = shown.size(1)
        return DraftPage(float(width), float(height), "words", self._tokens)


def words_beside(path: Path) -> Path:
    """The list of words for ``path``: itself, or the one for a picture. Raises ``DocumentError``."""
    if path.suffix.lower() in (".csv", ".txt"):
        return path
    for folder in (path.parent, path.parent / "box", path.parent.parent / "box"):
        for suffix in (".csv", ".txt"):
            found = folder / (path.stem + suffix)
            if found.is_file():
                return found
    raise DocumentError("no_words", f"There is no list of words for {path.name}.", "It would be box/*.csv beside it.")


def picture_beside(path: Path) -> Path | None:
    """The picture that a list of words belongs to."""
    for folder in (path.parent, path.parent.parent / "img"):
        for suffix in _PICTURES:
            found = folder / (path.stem + suffix)
            if found.is_file():
                return found
    return None


def _parse(text: str) -> list[Token]:
    tokens: list[Token] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        *corners, words = line.split(",", _CORNERS)
        try:
            values = [float(corner) for corner in corners]
        except ValueError:
            values = []
        if len(values) != _CORNERS or not all(abs(value) < 1e6 for value in values):
            raise DocumentError(
                "damaged", f"Line {number} of the list of words is not eight numbers and a text: {line[:60]!r}."
            )
        xs, ys = values[::2], values[1::2]
        tokens += split_line(words, Box(min(xs), min(ys), max(xs), max(ys)), 1.0)
        if len(tokens) > MAX_TOKENS_PER_PAGE:
            raise DocumentError("too_large", f"The list has more than {MAX_TOKENS_PER_PAGE:,} words.")
    return tokens
