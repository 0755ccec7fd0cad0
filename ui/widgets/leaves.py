"""What Markdown becomes: flat, immutable leaves, each of which gets one layout on screen.

A leaf is a paragraph, a heading, a code block, a table, or a rule. Nesting (lists, quotes) is a property of the leaf,
so the painter never walks a tree.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag
from typing import Literal

Nest = tuple[Literal["list", "quote"], ...]


class Style(IntFlag):
    """How a run of characters looks."""

    PLAIN = 0
    BOLD = 1
    ITALIC = 2
    STRIKE = 4
    CODE = 8
    LINK = 16
    MATHS = 32


@dataclass(frozen=True, slots=True)
class Span:
    """A styled run of characters ``[start, end)`` of its leaf's text."""

    start: int
    end: int
    style: Style
    address: str = ""
    """Where a link leads."""


@dataclass(frozen=True, slots=True)
class Run:
    """Text with its spans: a paragraph, or one cell of a table."""

    text: str
    spans: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True)
class Prose:
    """A paragraph, or a heading when ``level`` is 1 to 6."""

    run: Run
    level: int = 0
    nest: Nest = ()
    marker: str = ""
    """The bullet or number to draw in front of the first line."""
    continues: bool = False
    """True for the second piece of a very long paragraph: no gap before it."""


@dataclass(frozen=True, slots=True)
class Code:
    """A code block; ``closed`` is false while its fence is still open."""

    text: str
    language: str = ""
    closed: bool = True
    nest: Nest = ()
    marker: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table; every row has as many cells as the header."""

    header: tuple[Run, ...]
    rows: tuple[tuple[Run, ...], ...]
    alignments: tuple[Literal["left", "center", "right"], ...]
    nest: Nest = ()
    marker: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """A horizontal line."""

    nest: Nest = ()
    marker: str = ""


Leaf = Prose | Code | Table | Rule

MAX_NEST = 8
"""Deeper lists and quotes are drawn at this depth."""
