"""Documents without pages of their own (text, office files, mails): their text set on pages of a fixed grid.

So every word has a place, and evidence can be shown on a picture like any other. What the text is, is the readers'
business; ``render`` draws the pages.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Final

from app.documents.draft import MAX_PAGES, DraftPage, Findings, Mark, Token
from app.documents.faults import DocumentError
from app.documents.records import Box, DocumentKind, Table, is_right_to_left

if TYPE_CHECKING:
    from PIL.Image import Image

COLUMN: Final = 5.0
"""Points from one character to the next."""
_ROW: Final = 12.0
_LETTER: Final = 10.0
_MARGIN: Final = 36.0
_COLUMNS: Final = 104
_ROWS: Final = 64
_CELL: Final = 44
"""Characters of a cell before it is wrapped."""
_MAX_COLUMN: Final = 100_000
"""Further to the right, cells lie upon one another."""
_MAX_GRID_CELLS: Final = 4000
"""Cells of a table that is also handed over as one."""
_MAX_CELL: Final = 4000
"""Characters of a cell of such a table."""
_WORD: Final = re.compile(r"\S+")


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Text; its own line ends and indents are kept, long lines are wrapped."""

    text: str


@dataclass(frozen=True, slots=True)
class Grid:
    """A table: rows of cells."""

    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class NewPage:
    """What follows begins a page: a sheet, a slide, a message."""

    title: str = ""


Item = Paragraph | Grid | NewPage


class FlowDocument:
    """Items set on pages."""

    encrypted = False

    def __init__(self, kind: DocumentKind, items: Iterable[Item], notes: Sequence[str] = ()) -> None:
        self.kind = kind
        self._items = items if isinstance(items, list) else list(items)
        self._notes = notes

    def pages(self, findings: Findings) -> Iterator[DraftPage]:
        for note in self._notes:
            findings.note(note)
        number = 0
        for number, page in enumerate(set_pages(self._items), start=1):
            if number > MAX_PAGES:
                findings.note(f"The text is longer than {MAX_PAGES:,} pages; the rest was left out.")
                return
            yield page
        if number == 0:
            findings.note("The document holds no text.")
            yield DraftPage(595.0, 842.0, "text", [], columns=COLUMN)

    def picture(self, number: int, width_px: int) -> Image:
        from app.documents.render import draw_page

        return draw_page(self._page(number), width_px)

    def marked(self, marks: list[Mark]) -> Iterator[bytes]:
        from app.documents.markup import marked_pdf
        from app.documents.render import draw_page

        pages = self.pages(Findings())
        scale = 1.5
        return marked_pdf(((draw_page(page, round(page.width * scale)), scale) for page in pages), marks)

    def close(self) -> None:
        """Nothing is open."""

    def _page(self, number: int) -> DraftPage:
        count = 0
        for count, page in enumerate(self.pages(Findings()), start=1):
            if count == number:
                return page
        raise DocumentError("no_such_page", f"The document has {count} pages; {number} is none of them.")


def set_pages(items: Iterable[Item]) -> Iterator[DraftPage]:
    """Pages of at most so many rows."""
    page = _Setting("")
    for item in items:
        if isinstance(item, NewPage):
            if page.used:
                yield page.done()
            page = _Setting(item.title)
            continue
        for block in _page_long(_blocks(item)):
            if page.row + len(block) > _ROWS and page.used:
                yield page.done()
                page = _Setting(page.title)
            page.add(block)
        page.close(item)
    if page.used:
        yield page.done()


_Row = list[tuple[int, str]]
"""Words and the columns at which they begin."""


def _blocks(item: Paragraph | Grid) -> Iterator[list[_Row]]:
    """Rows that stay on one page together: single lines of text, whole rows of a table."""
    if isinstance(item, Paragraph):
        for line in item.text.expandtabs(4).splitlines() or [""]:
            for part in _wrapped(line):
                yield [[(match.start(), match[0]) for match in _WORD.finditer(part)]]
        return
    widths = _widths(item.rows)
    for row in item.rows:
        cells = [[part for line in cell.splitlines() for part in _wrapped(line, _CELL)] for cell in row]
        yield [_grid_row(parts, widths) for parts in zip_longest(*cells, fillvalue="")] or [[]]


def _page_long(blocks: Iterable[list[_Row]]) -> Iterator[list[_Row]]:
    """Blocks that are longer than a page, in parts."""
    for block in blocks:
        for start in range(0, len(block), _ROWS):
            yield block[start : start + _ROWS]


def _wrapped(line: str, width: int = _COLUMNS) -> list[str]:
    """Parts of a line of at most ``width`` characters, broken at spaces where there are any; its indent is kept.

    Linear in the line's length, whatever it is made of: a megabyte without a space is an ordinary thing in the wild.
    """
    if len(line) <= width:
        return [line]
    indent = min(len(line) - len(line.lstrip()), width // 3)
    parts: list[str] = []
    part = " " * indent
    used = False
    for match in _WORD.finditer(line):
        word = match[0]
        for start in range(0, len(word), width - indent):
            piece = word[start : start + width - indent]
            if used and len(part) + 1 + len(piece) > width:
                parts.append(part)
                part, used = " " * indent, False
            part += f" {piece}" if used else piece
            used = True
    return [*parts, part]


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
    widths: list[int] = []
    for row in rows:
        widths += [0] * (len(row) - len(widths))
        for column, cell in enumerate(row):
            if len(cell) > widths[column]:
                widths[column] = min(len(cell), _CELL)
    return widths


def _grid_row(parts: Sequence[str], widths: Sequence[int]) -> _Row:
    row: _Row = []
    column = 0
    for part, width in zip(parts, widths, strict=False):
        row += [(column + match.start(), match[0]) for match in _WORD.finditer(part)]
        column = min(column + width + 2, _MAX_COLUMN)
    return row


class _Setting:
    """One page being set."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.row = 0
        self.used = bool(title)
        self._tokens: list[Token] = []
        self._tables: list[Table] = []
        self._item_start = 0

    def add(self, rows: list[_Row]) -> None:
        for row in rows:
            self._set(row)
            self.row += 1
        self.used = True

    def close(self, item: Item) -> None:
        """End of an item: a table that is wholly on this page becomes one of its tables."""
        tokens = self._tokens[self._item_start :]
        self._item_start = len(self._tokens)
        if isinstance(item, Grid):
            self.row += 1
            cells = sum(len(row) for row in item.rows)
            small = all(len(cell) <= _MAX_CELL for row in item.rows[:_ROWS] for cell in row)
            if tokens and len(item.rows) <= _ROWS and cells <= _MAX_GRID_CELLS and small:
                box = tokens[0].box
                for token in tokens:
                    box = box.union(token.box)
                width = max(len(row) for row in item.rows)
                rows = tuple(tuple(row) + ("",) * (width - len(row)) for row in item.rows)
                self._tables.append(Table(box, rows))

    def done(self) -> DraftPage:
        right = max((token.box.x1 for token in self._tokens), default=0.0) + _MARGIN
        bottom = self.row * _ROW + 2 * _MARGIN
        return DraftPage(
            max(595.0, right),
            max(842.0, bottom),
            "text",
            self._tokens,
            title=self.title,
            tables=tuple(self._tables),
            columns=COLUMN,
        )

    def _set(self, row: _Row) -> None:
        y = _MARGIN + self.row * _ROW
        mirrored = is_right_to_left(character for _, word in row for character in word)
        edge = _MARGIN + _COLUMNS * COLUMN
        for column, word in row:
            x0, x1 = _MARGIN + column * COLUMN, _MARGIN + (column + len(word)) * COLUMN
            if mirrored and column + len(word) <= _COLUMNS:
                x0, x1 = edge - column * COLUMN - len(word) * COLUMN, edge - column * COLUMN
            self._tokens.append(Token(word, Box(x0, y, x1, y + _LETTER)))
