"""Cuts a document's text into passages to be looked up: whole lines of one page, a few hundred characters, overlapping.

Pure. Passages keep their offsets, so that whatever is found opens the page at the place. Rows are
``app.store.passages``'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from app.documents.records import Page, Reading

LENGTH: Final = 700
"""Characters of a passage, about; long enough for a clause, short enough for six of them in a small context."""
_OVERLAP: Final = 120
_MOST: Final = 20_000
"""Passages of one document; what comes after is found by coverage only."""

Cut = tuple[int, int, int, str]
"""Page, start, end, text."""


def cut(reading: Reading) -> tuple[Cut, ...]:
    """The passages of a reading, in the order of its text; together they hold all of it but empty lines."""
    found: list[Cut] = []
    for page in reading.pages:
        for start, end in _of_page(reading.text, page):
            found.append((page.number, start, end, reading.text[start:end]))
            if len(found) == _MOST:
                return tuple(found)
    return tuple(found)


def _of_page(text: str, page: Page) -> Iterator[tuple[int, int]]:
    """Spans of whole lines where lines are short enough, of pieces of lines where they are not."""
    lines = list(_lines(text, page.start, page.end))
    first = 0
    while first < len(lines):
        last = first
        while last + 1 < len(lines) and lines[last + 1][1] - lines[first][0] <= LENGTH:
            last += 1
        yield lines[first][0], lines[last][1]
        if last + 1 == len(lines):
            return
        # The next passage begins within the last lines of this one, but always further on.
        following = last + 1
        while following - 1 > first and lines[last][1] - lines[following - 1][0] <= _OVERLAP:
            following -= 1
        first = following


def _lines(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    at = start
    while at < end:
        stop = text.find("\n", at, end)
        stop = end if stop < 0 else stop
        while stop - at > LENGTH:  # a text without line ends
            space = text.rfind(" ", at + LENGTH // 2, at + LENGTH)
            middle = space if space > at else at + LENGTH
            yield at, middle
            at = middle
        if text[at:stop].strip():
            yield at, stop
        at = stop + 1
