"""What a reading is: pages of words with boxes and scores, one text, and the way from each character to its place.

Boxes are in points (1/72 inch) of the page as any viewer shows it, origin top left. Offsets count characters (code
points) of ``Reading.text``. How a reading is made is ``pool``'s business.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class DocumentKind(StrEnum):
    """What a file is, by its content."""

    PDF = "pdf"
    IMAGE = "image"
    DOCX = "docx"
    XLSX = "xlsx"
    PPTX = "pptx"
    HTML = "html"
    MAIL = "eml"
    CSV = "csv"
    MARKDOWN = "markdown"
    TEXT = "text"
    WORDS = "words"
    """A list of words with boxes, as recognised elsewhere."""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle on a page, in points from its top left corner; ``x0 <= x1`` and ``y0 <= y1``."""

    x0: float
    y0: float
    x1: float
    y1: float

    @property
    def width(self) -> float:
        return self.x1 - self.x0

    @property
    def height(self) -> float:
        return self.y1 - self.y0

    def union(self, other: Box) -> Box:
        """The smallest box around both."""
        return Box(min(self.x0, other.x0), min(self.y0, other.y0), max(self.x1, other.x1), max(self.y1, other.y1))

    def overlap_ratio(self, other: Box) -> float:
        """Common area by the smaller area, 0 to 1."""
        width = min(self.x1, other.x1) - max(self.x0, other.x0)
        height = min(self.y1, other.y1) - max(self.y0, other.y0)
        smaller = min(self.width * self.height, other.width * other.height)
        return 0.0 if width <= 0 or height <= 0 or smaller <= 0 else width * height / smaller


@dataclass(frozen=True, slots=True)
class Word:
    """A word as it stands on the page; ``Reading.text[start:end] == text``."""

    text: str
    box: Box
    score: float
    """How sure the recogniser was, 0 to 1; 1 for a born-digital text."""
    start: int
    end: int


PageSource = Literal["text", "ocr", "words"]


@dataclass(frozen=True, slots=True)
class Table:
    """A table with ruled or declared cells: rows of cell texts, all rows equally long."""

    box: Box
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Page:
    """One page (a sheet of a workbook, a slide, a frame of a picture); ``number`` counts from 1."""

    number: int
    width: float
    height: float
    source: PageSource
    words: tuple[Word, ...]
    start: int = 0
    end: int = 0
    """The page's part of ``Reading.text``."""
    rotation: int = 0
    """By how many degrees clockwise (0, 90, 180, 270) the picture must be turned for its text to stand upright."""
    title: str = ""
    """A sheet's name, or the attachment that the page is of."""
    tables: tuple[Table, ...] = ()


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file within the file. What could be read of it are the pages from ``first_page`` on."""

    name: str
    kind: str
    """A ``DocumentKind``, or empty when it could not be read."""
    sha256: str
    size_bytes: int
    first_page: int = 0
    page_count: int = 0
    fault: str = ""
    """Why it was not read, in a sentence; empty when it was."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands."""

    page: int
    box: Box


@dataclass(frozen=True, slots=True)
class Reading:
    """A document as read. ``notes`` are sentences for the person: what was left out or looks odd."""

    kind: DocumentKind
    sha256: str
    text: str
    pages: tuple[Page, ...]
    notes: tuple[str, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    size_bytes: int = 0
    password: bool = False
    """It is encrypted, and a password opened it."""

    def page_at(self, offset: int) -> Page:
        """The page of a character. Raises ``IndexError`` outside the text of a document without pages."""
        return self.pages[max(0, bisect.bisect_right(self.pages, offset, key=lambda page: page.start) - 1)]

    def words_in(self, start: int, end: int) -> tuple[Word, ...]:
        """The words that have a character in ``[start, end)``."""
        if start >= end:
            return ()
        found: list[Word] = []
        first_page = bisect.bisect_right(self.pages, start, key=lambda page: page.end)
        last_page = bisect.bisect_left(self.pages, end, key=lambda page: page.start)
        for page in self.pages[first_page:last_page]:
            first = bisect.bisect_right(page.words, start, key=lambda word: word.end)
            last = bisect.bisect_left(page.words, end, key=lambda word: word.start)
            found += page.words[first:last]
        return tuple(found)

    def locate(self, offset: int) -> Place:
        """Page and box of one character. A space belongs to the word before it, or else to the one after it.

        Raises: ``IndexError`` outside the text.
        """
        if not 0 <= offset < len(self.text):
            raise IndexError(offset)
        page = self.page_at(offset)
        index = bisect.bisect_right(page.words, offset, key=lambda word: word.start) - 1
        if not page.words:
            return Place(page.number, Box(0.0, 0.0, 0.0, 0.0))
        word = page.words[max(0, index)]
        inside = word.start <= offset < word.end
        return Place(page.number, part_of(word, offset, offset + 1, page.rotation) if inside else word.box)

    def places(self, start: int, end: int) -> tuple[Place, ...]:
        """Where the characters of ``[start, end)`` stand: one box for each line of each page."""
        found: list[Place] = []
        for word in self.words_in(start, end):
            page = self.page_at(word.start)
            box = part_of(word, start, end, page.rotation)
            last = found[-1] if found else None
            if last is not None and last.page == page.number and _same_line(last.box, box, page.rotation):
                found[-1] = Place(page.number, last.box.union(box))
            else:
                found.append(Place(page.number, box))
        return tuple(found)


def part_of(word: Word, start: int, end: int, rotation: int = 0) -> Box:
    """The part of a word's box that the characters of ``[start, end)`` take, all characters being equally wide.

    The direction of writing is the page's; a word of a right-to-left script is given whole.
    """
    length = word.end - word.start
    first, last = max(start, word.start) - word.start, min(end, word.end) - word.start
    if length == 0 or (first <= 0 and last >= length) or is_right_to_left(word.text):
        return word.box
    box, low, high = word.box, first / length, last / length
    if rotation in (180, 90):  # read from right to left, or from bottom to top
        low, high = 1 - high, 1 - low
    if rotation in (90, 270):
        return Box(box.x0, box.y0 + box.height * low, box.x1, box.y0 + box.height * high)
    return Box(box.x0 + box.width * low, box.y0, box.x0 + box.width * high, box.y1)


def is_right_to_left(text: Iterable[str]) -> bool:
    """Whether the letters are mostly of Hebrew, Arabic and their like."""
    balance = 0
    for character in text:
        if "\u0590" <= character <= "\u08ff" or "\ufb1d" <= character <= "\ufdff" or "\ufe70" <= character <= "\ufefc":
            balance += 1
        elif character.isalpha():
            balance -= 1
    return balance > 0


def _same_line(one: Box, other: Box, rotation: int) -> bool:
    if rotation in (90, 270):
        common, smaller = min(one.x1, other.x1) - max(one.x0, other.x0), min(one.width, other.width)
    else:
        common, smaller = min(one.y1, other.y1) - max(one.y0, other.y0), min(one.height, other.height)
    return common > 0.5 * smaller
