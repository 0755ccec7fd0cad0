"""A document as the model sees it: lines without the wide gaps of a layout, each character knowing where it came from.

Pure. Long documents are cut into windows of whole lines that overlap by a few, so that nothing falls between two.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from app.documents.records import Reading

_WIDE_GAP: Final = re.compile(r"[ \t]{2,}")
_OVERLAP_LINES: Final = 3
_NARROW_LETTERS: Final = 1.6
MAX_LINE_CHARS: Final = 2000
"""A longer line is cut at a space: paragraphs of a text without line ends."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the view; ``pieces`` are (offset in ``text``, offset in the document), rising, one a gap."""

    text: str
    pieces: tuple[tuple[int, int], ...]

    def offset(self, index: int) -> int:
        """Where the character at ``index`` stands in the document."""
        start, origin = next(piece for piece in reversed(self.pieces) if piece[0] <= index)
        return origin + index - start

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The document's span of a non-empty span of the line."""
        return self.offset(start), self.offset(end - 1) + 1


@dataclass(frozen=True, slots=True)
class Window:
    """Consecutive lines of a document."""

    lines: tuple[Line, ...]
    number: int = 1
    count: int = 1

    @property
    def text(self) -> str:
        return "\n".join(line.text for line in self.lines)


def lines_of(text: str, narrow: frozenset[int] = frozenset()) -> list[Line]:
    """The lines that are not empty; gaps of two or more spaces become two, and one where they begin in ``narrow``."""
    found: list[Line] = []
    position = 0
    for whole in text.split("\n"):
        found += _pieces_of(whole, position, narrow)
        position += len(whole) + 1
    return found


def document_lines(reading: Reading) -> list[Line]:
    """The lines of a document. Gaps between words of large letters are wide in the text and not on the page."""
    return lines_of(reading.text, frozenset(_narrow_gaps(reading)))


def view_text(reading: Reading) -> str:
    """The text of a document as the model sees it, for an ``Example``."""
    return "\n".join(line.text for line in document_lines(reading))


def _narrow_gaps(reading: Reading) -> Iterator[int]:
    """Where gaps begin that are hardly wider than a letter of the words around them."""
    for page in reading.pages:
        for word, following in pairwise(page.words):
            if following.start - word.end < 2:
                continue
            gap = max(following.box.x0 - word.box.x1, word.box.x0 - following.box.x1)
            letter = (word.box.width + following.box.width) / max(1, len(word.text) + len(following.text))
            if 0 < gap <= _NARROW_LETTERS * letter:
                yield word.end


def _pieces_of(whole: str, position: int, narrow: frozenset[int]) -> Iterator[Line]:
    while len(whole) > MAX_LINE_CHARS:
        cut = whole.rfind(" ", MAX_LINE_CHARS // 2, MAX_LINE_CHARS)
        cut = cut if cut > 0 else MAX_LINE_CHARS
        yield from _line(whole[:cut], position, narrow)
        whole, position = whole[cut:], position + cut
    yield from _line(whole, position, narrow)


def _line(raw: str, position: int, narrow: frozenset[int]) -> Iterator[Line]:
    stripped = raw.strip()
    if not stripped:
        return
    at = position + raw.index(stripped[0])
    text, pieces, done = "", [(0, at)], 0
    for gap in _WIDE_GAP.finditer(stripped):
        text += stripped[done : gap.start()] + (" " if at + gap.start() in narrow else "  ")
        done = gap.end()
        pieces.append((len(text), at + done))
    yield Line(text + stripped[done:], tuple(pieces))


def windows_of(lines: Sequence[Line], max_chars: int) -> list[Window]:
    """All lines, in as many windows as needed; at least one."""
    cuts: list[tuple[int, int]] = []
    start = size = 0
    for index, line in enumerate(lines):
        size += len(line.text) + 1
        if size > max_chars and index > start:
            cuts.append((start, index))
            start = max(start + 1, index - _OVERLAP_LINES)
            size = sum(len(kept.text) + 1 for kept in lines[start : index + 1])
    cuts.append((start, len(lines)))
    return [Window(tuple(lines[a:b]), number, len(cuts)) for number, (a, b) in enumerate(cuts, 1)]
