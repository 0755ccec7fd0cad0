"""Tokens on a page to text that keeps the page's layout: lines in reading order, words on a grid of columns.

Pages turned by a quarter, slightly skewed scans, columns of prose and right-to-left lines are put into reading order.
Pure; where tokens come from is the readers' business.
"""

from __future__ import annotations

import itertools
import math
import re
import statistics
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from app.documents.draft import DraftPage, Token
from app.documents.records import Box, is_right_to_left

_UNSEEN: Final = re.compile(
    "[\\x00-\\x20\\x7f-\\x9f\\xad\\ud800-\\udfff\\u200b\\u200e\\u200f\\u202a-\\u202e\\u2066-\\u2069\\ufeff]"
)
_JOINED: Final = re.compile("[\\ufb00-\\ufdff\\ufe70-\\ufefc]")
"""Ligatures and shaped letters that fonts put in the place of the letters that were typed."""
_MAX_COLUMNS: Final = 240
_MIN_PROSE_LINES: Final = 6
_MIN_PROSE_WORDS: Final = 3.0
"""Of a line in a column of prose, on average: labels, amounts and names stay on the grid."""
_MIN_PROSE_FILL: Final = 0.55
_MAX_COLUMN_DEPTH: Final = 3


@dataclass(frozen=True, slots=True)
class Laid:
    """A page's text, and its tokens in the order of the text with the offsets at which they start."""

    text: str
    tokens: tuple[Token, ...]
    starts: tuple[int, ...]


@dataclass(slots=True)
class _Piece:
    """A token in the upright frame."""

    token: Token
    x0: float
    y0: float
    x1: float
    y1: float

    @property
    def middle(self) -> float:
        return (self.y0 + self.y1) / 2

    @property
    def height(self) -> float:
        return self.y1 - self.y0


_Line = list[_Piece]


def lay_out(page: DraftPage) -> Laid:
    """The text of a page."""
    pieces = [_upright(token, page) for token in map(_cleaned, page.tokens) if token.text]
    if not pieces:
        return Laid("", (), ())
    writer = _Writer(page.columns or _column_width(pieces), min(piece.x0 for piece in pieces))
    for block in _blocks(pieces, _MAX_COLUMN_DEPTH):
        writer.block(block)
    return writer.laid()


def _cleaned(token: Token) -> Token:
    """Without what moves a cursor, turns the direction of what follows, or is no character at all; ligatures undone."""
    text = _UNSEEN.sub("", token.text)
    if _JOINED.search(text):
        text = _JOINED.sub(lambda match: unicodedata.normalize("NFKC", match[0]), text)
    return token if text == token.text else replace(token, text=text)


def _upright(token: Token, page: DraftPage) -> _Piece:
    """Turn a box with its page, then take the skew out."""
    box = token.box
    match page.rotation:
        case 90:
            x0, y0, x1, y1 = page.height - box.y1, box.x0, page.height - box.y0, box.x1
        case 180:
            x0, y0, x1, y1 = page.width - box.x1, page.height - box.y1, page.width - box.x0, page.height - box.y0
        case 270:
            x0, y0, x1, y1 = box.y0, page.width - box.x1, box.y1, page.width - box.x0
        case _:
            x0, y0, x1, y1 = box.x0, box.y0, box.x1, box.y1
    if page.skew:
        fall = math.tan(math.radians(page.skew)) * (x0 + x1) / 2
        # The box around a slanted word is taller than its letters by what the word falls over its length.
        grown = min(abs(math.tan(math.radians(page.skew))) * (x1 - x0), (y1 - y0) * 0.6) / 2
        y0, y1 = y0 - fall + grown, y1 - fall - grown
    return _Piece(token, x0, y0, x1, y1)


def _column_width(pieces: Sequence[_Piece]) -> float:
    """The usual width of a character."""
    widths = [(piece.x1 - piece.x0) / len(piece.token.text) for piece in pieces if len(piece.token.text) > 1]
    usual = statistics.median(widths or [piece.x1 - piece.x0 for piece in pieces])
    span = max(piece.x1 for piece in pieces) - min(piece.x0 for piece in pieces)
    return max(usual, span / _MAX_COLUMNS, 1e-3)


def _lines(pieces: Iterable[_Piece]) -> list[_Line]:
    """Pieces whose middles are at one height, from top to bottom, each line in reading order."""
    lines: list[_Line] = []
    edges: list[float] = []  # how far each line reaches; most pieces come in the order of reading and lie beyond
    for piece in sorted(pieces, key=lambda p: p.y0 + p.y1):
        middle, height = piece.middle, piece.height
        for index in range(len(lines) - 1, max(len(lines) - 4, -1), -1):
            recent = lines[index][-4:]
            apart = abs(sum(p.middle for p in recent) / len(recent) - middle)
            if apart > 0.5 * min(sum(p.height for p in recent) / len(recent), height):
                continue
            if piece.x0 >= edges[index] or not _collides(lines[index], piece):
                lines[index].append(piece)
                edges[index] = max(edges[index], piece.x1)
                break
        else:
            lines.append([piece])
            edges.append(piece.x1)
    lines.sort(key=lambda line: statistics.median(p.middle for p in line))
    return [_ordered(line) for line in lines]


def _collides(line: _Line, piece: _Piece) -> bool:
    """Whether most of the piece lies over (and so under or above) one that is in the line already."""
    return any(
        min(p.x1, piece.x1) - max(p.x0, piece.x0) > 0.5 * min(p.x1 - p.x0, piece.x1 - piece.x0) for p in line[-40:]
    )


def _ordered(line: _Line) -> _Line:
    """In reading order: from the right for a right-to-left line, with runs of the other direction kept whole."""
    line.sort(key=lambda p: p.x0)
    directions = [is_right_to_left(p.token.text) for p in line]
    if not any(directions):
        return line
    backward = _reads_backward(line)
    if backward:
        line.reverse()
        directions.reverse()
    ordered: _Line = []
    run: _Line = []
    for piece, direction in zip(line, directions, strict=True):
        other = direction != backward and any(c.isalpha() for c in piece.token.text)
        if other:
            run.append(piece)
            continue
        ordered += reversed(run)
        run = []
        ordered.append(piece)
    return ordered + run[::-1]


def _reads_backward(line: _Line) -> bool:
    return is_right_to_left(character for piece in line for character in piece.token.text)


def _blocks(pieces: list[_Piece], depth: int) -> list[list[_Line]]:
    """Blocks of lines in reading order: columns of prose one after the other, all else as it stands."""
    lines = _lines(pieces)
    gutter = _gutter(lines) if depth and len(lines) >= _MIN_PROSE_LINES else None
    if gutter is None:
        return [lines]
    blocks: list[list[_Line]] = []
    grid: list[_Line] = []
    for crossing, group in itertools.groupby(lines, key=lambda line: _crosses(line, gutter)):
        band = list(group)
        columns = [] if crossing else _columns(band, gutter, depth)
        if not columns:
            grid += band
            continue
        blocks += [grid] if grid else []
        blocks += columns
        grid = []
    return [*blocks, grid] if grid else blocks


def _columns(band: list[_Line], gutter: float, depth: int) -> list[list[_Line]]:
    """Two columns, one after the other, if both are prose; nothing if not."""
    left = [p for line in band for p in line if p.x1 <= gutter]
    right = [p for line in band for p in line if p.x0 >= gutter]
    if not (_is_prose(left) and _is_prose(right)):
        return []
    first, second = (right, left) if _reads_backward(left + right) else (left, right)
    return _blocks(first, depth - 1) + _blocks(second, depth - 1)


def _crosses(line: _Line, gutter: float) -> bool:
    return any(p.x0 < gutter < p.x1 for p in line) or _spaced_across(line, gutter)


def _spaced_across(line: _Line, gutter: float) -> bool:
    """Whether words stand so close on both sides that the line just happens to have a space there."""
    before = [p.x1 for p in line if p.x1 <= gutter]
    after = [p.x0 for p in line if p.x0 >= gutter]
    if not before or not after:
        return False
    return min(after) - max(before) < 0.6 * statistics.median(p.height for p in line)


def _gutter(lines: list[_Line]) -> float | None:
    """The middle of the widest vertical strip that most lines with words on both sides leave free."""
    x0, x1 = min(p.x0 for line in lines for p in line), max(p.x1 for line in lines for p in line)
    best, best_count = None, _MIN_PROSE_LINES - 1
    candidates = [x0 + (x1 - x0) * step / 60 for step in range(14, 47)]
    for x in candidates:
        count = 0
        for line in lines:
            if line[0].x0 < x < max(p.x1 for p in line) and not _crosses(line, x):
                count += 1
        if count > best_count:
            best, best_count = x, count
    return best


def _is_prose(pieces: list[_Piece]) -> bool:
    lines = _lines(pieces)
    if len(lines) < _MIN_PROSE_LINES:
        return False
    width = max(p.x1 for p in pieces) - min(p.x0 for p in pieces)
    fill = statistics.median(sum(p.x1 - p.x0 for p in line) / max(width, 1e-3) for line in lines)
    return fill >= _MIN_PROSE_FILL and len(pieces) / len(lines) >= _MIN_PROSE_WORDS


class _Writer:
    """Writes lines on a grid and remembers where each token begins."""

    def __init__(self, column: float, left: float) -> None:
        self._column = column
        self._left = left
        self._parts: list[str] = []
        self._length = 0
        self._tokens: list[Token] = []
        self._starts: list[int] = []

    def block(self, lines: list[_Line]) -> None:
        if self._parts:
            self._write("\n")
        previous: _Line | None = None
        left = min(p.x0 for line in lines for p in line)
        right = max(p.x1 for line in lines for p in line)
        for line in lines:
            if previous is not None and _far_apart(previous, line):
                self._write("\n")
            self._line(line, left, right)
            previous = line

    def laid(self) -> Laid:
        return Laid("".join(self._parts).removesuffix("\n"), tuple(self._tokens), tuple(self._starts))

    def _line(self, line: _Line, left: float, right: float) -> None:
        backward = _reads_backward(line)
        column = 0
        previous: _Piece | None = None
        for piece in line:
            offset = right - piece.x1 if backward else piece.x0 - left
            wanted = min(round(offset / self._column), _MAX_COLUMNS)
            beside = previous is not None and _beside(previous, piece)
            spaces = 1 if beside else max(wanted - column, 1 if column else 0)
            previous = piece
            self._write(" " * spaces)
            self._tokens.append(piece.token)
            self._starts.append(self._length)
            self._write(piece.token.text)
            column += spaces + len(piece.token.text)
        self._write("\n")

    def _write(self, text: str) -> None:
        self._parts.append(text)
        self._length += len(text)


def _beside(one: _Piece, other: _Piece) -> bool:
    """Whether no more than a word space is between two words."""
    gap = max(other.x0 - one.x1, one.x0 - other.x1)
    return gap < 0.7 * min(one.height, other.height)


def _far_apart(above: _Line, below: _Line) -> bool:
    gap = min(p.y0 for p in below) - max(p.y1 for p in above)
    return gap > 0.9 * statistics.median(p.height for p in below)


def clipped(box: Box, width: float, height: float) -> Box | None:
    """The part of a box that is on the page; ``None`` when nothing is."""
    x0, x1 = sorted((box.x0, box.x1))
    y0, y1 = sorted((box.y0, box.y1))
    if not all(map(math.isfinite, (x0, y0, x1, y1))) or x1 <= 0 or y1 <= 0 or x0 >= width or y0 >= height:
        return None
    return Box(max(0.0, x0), max(0.0, y0), min(width, x1), min(height, y1))
