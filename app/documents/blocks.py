"""Cuts a document into the places that answers cite: a few lines each, none twice, wide gaps of a layout made small.

Pure. Passages to be looked up overlap and are ``passages``'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from app.documents.records import Reading
from app.extraction.view import Line, lines_of

_LENGTH: Final = 420
"""Characters of a block, about: a paragraph, or a handful of lines of a form."""
_MARK_CHARACTERS: Final = 8
"""That the number before it takes."""


@dataclass(frozen=True, slots=True)
class Block:
    """A place of a document; the offsets are of ``Reading.text``."""

    page: int
    start: int
    end: int
    text: str

    @property
    def size(self) -> int:
        """Characters that it takes in a prompt."""
        return len(self.text) + _MARK_CHARACTERS


def blocks_of(reading: Reading) -> tuple[Block, ...]:
    """All lines that are not empty, in order; a block ends with its page."""
    found: list[Block] = []
    waiting: list[Line] = []
    page = 0

    def close() -> None:
        if waiting:
            start, end = waiting[0].offset(0), waiting[-1].offset(len(waiting[-1].text) - 1) + 1
            found.append(Block(page, start, end, "\n".join(line.text for line in waiting)))
            waiting.clear()

    for line in lines_of(reading.text):
        here = reading.page_at(line.offset(0)).number if reading.pages else 1
        if here != page or sum(len(one.text) for one in waiting) + len(line.text) > _LENGTH:
            close()
            page = here
        waiting.append(line)
    close()
    return tuple(found)
