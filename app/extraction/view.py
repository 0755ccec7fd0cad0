"""A document as the model sees it: lines without the wide gaps of a layout, each character knowing where it came from.

Pure. Long documents are cut into windows of whole lines that overlap by a few, so that nothing falls between two.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

_WIDE_GAP: Final = re.compile(r"[ \t]{2,}")
_OVERLAP_LINES: Final = 3
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


def lines_of(text: str) -> list[Line]:
    """The lines that are not empty; gaps of two or more spaces become two."""
    found: list[Line] = []
    position = 0
    for whole in text.split("\n"):
        found += _pieces_of(whole, position)
        position += len(whole) + 1
    return found


def _pieces_of(whole: str, position: int) -> Iterator[Line]:
    while len(whole) > MAX_LINE_CHARS:
        cut = whole.rfind(" ", MAX_LINE_CHARS // 2, MAX_LINE_CHARS)
        cut = cut if cut > 0 else MAX_LINE_CHARS
        yield from _line(whole[:cut], position)
        whole, position = whole[cut:], position + cut
    yield from _line(whole, position)


def _line(raw: str, position: int) -> Iterator[Line]:
    stripped = raw.strip()
    if not stripped:
        return
    at = position + raw.index(stripped[0])
    text, pieces, done = "", [(0, at)], 0
    for gap in _WIDE_GAP.finditer(stripped):
        text += stripped[done : gap.start()] + "  "
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
