"""Colours of code, worked out in small slices so that no frame is late.

``Highlighter`` holds one code block's colours by line. A pass runs lazily over the finished lines; when more lines came
meanwhile, the next pass starts again and the old colours stay until then. Lexers are imported by another thread: the
first Python block would otherwise cost three frames.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from PySide6.QtCore import QThreadPool

if TYPE_CHECKING:
    from pygments.lexer import Lexer

TokenKind = Literal["text", "keyword", "string", "number", "comment", "function", "type"]
Paint = tuple[int, int, TokenKind]
"""Start and length within a line, and what it is."""

MAX_CHARS = 200_000
"""Beyond this a block stays plain."""
_PATIENCE = 32
"""Tokens between two looks at the clock."""


class LexerShelf:
    """Lexers by language, fetched by a pool thread once each. Asked from Qt's thread."""

    def __init__(self) -> None:
        self._lexers: dict[str, Lexer | None] = {}
        self._asked: set[str] = set()

    def ready(self, language: str) -> bool:
        """Whether the answer is known; if not, it is being fetched."""
        if language in self._lexers:
            return True
        if language not in self._asked:
            self._asked.add(language)
            QThreadPool.globalInstance().start(partial(self._fetch, language))
        return False

    def lexer(self, language: str) -> Lexer | None:
        """The lexer of a language that is ``ready``; ``None`` when it has none."""
        return self._lexers[language]

    def _fetch(self, language: str) -> None:
        # A single assignment: the other thread sees it or does not yet.
        self._lexers[language] = find_lexer(language)


def find_lexer(language: str) -> Lexer | None:
    """The lexer of a language, or ``None``; looks among Pygments' own only."""
    from pygments.lexers import LEXERS, get_lexer_by_name

    known = any(language in aliases for _, _, aliases, _, _ in LEXERS.values())
    return get_lexer_by_name(language) if known and language not in ("text", "output") else None


class Highlighter:
    """The colours of one growing code block."""

    def __init__(self, lexer: Lexer) -> None:
        self._lexer = lexer
        self._text = ""
        self._starts: list[int] = [0]
        self._complete = True
        self._tokens: Iterator[tuple[int, Any, str]] | None = None
        self._line = 0
        self._row: list[Paint] = []
        self.lines: list[tuple[Paint, ...]] = []

    def set_text(self, text: str) -> None:
        """The finished lines so far; a running pass goes on with what it has."""
        if len(text) <= MAX_CHARS and text != self._text:
            self._text = text
            self._complete = False

    @property
    def idle(self) -> bool:
        return self._complete and self._tokens is None

    def work(self, deadline: float) -> tuple[int, int] | None:
        """Colour until ``time.perf_counter()`` says ``deadline``; returns the lines that changed, as a range."""
        if self.idle:
            return None
        if self._tokens is None:
            self._begin()
        assert self._tokens is not None
        first: int | None = None
        last = 0
        for count, (offset, kind, text) in enumerate(self._tokens, 1):
            name = kind_of(kind)
            for changed in self._place(offset, text, name):
                first = changed if first is None else first
                last = changed + 1
            if count % _PATIENCE == 0 and time.perf_counter() > deadline:
                break
        else:
            self._tokens = None
            if self._end_line():
                first, last = (self._line - 1 if first is None else first), self._line
        return None if first is None else (first, last)

    def _begin(self) -> None:
        text = self._text
        self._complete = True
        self._starts = _line_starts(text)
        self._tokens = self._lexer.get_tokens_unprocessed(text + "\n")
        self._line, self._row = 0, []

    def _place(self, offset: int, text: str, kind: TokenKind) -> Iterator[int]:
        """Put a token into its lines; yields the finished lines whose colours changed."""
        end = offset + len(text)
        line = bisect_right(self._starts, offset) - 1
        while self._line < line:
            if self._end_line():
                yield self._line - 1
        while True:
            next_start = self._starts[line + 1] if line + 1 < len(self._starts) else end + 1
            if kind != "text" and offset < min(end, next_start):
                self._row.append((offset - self._starts[line], min(end, next_start) - offset, kind))
            if end < next_start or line + 1 >= len(self._starts):
                return
            if self._end_line():
                yield self._line - 1
            line += 1
            offset = next_start

    def _end_line(self) -> bool:
        """Keep the line's colours; whether they are others than before."""
        row = tuple(self._row)
        self._row = []
        if self._line < len(self.lines):
            changed = self.lines[self._line] != row
            self.lines[self._line] = row
        else:
            changed = bool(row)
            self.lines.append(row)
        self._line += 1
        return changed


def _line_starts(text: str) -> list[int]:
    starts = [0]
    position = text.find("\n")
    while position >= 0:
        starts.append(position + 1)
        position = text.find("\n", position + 1)
    return starts


_KINDS: dict[Any, TokenKind] = {}


def kind_of(token: Any) -> TokenKind:
    """Which of our seven colours a Pygments token type gets."""
    kind = _KINDS.get(token)
    if kind is None:
        kind = _KINDS[token] = _sort(token)
    return kind


def _sort(token: Any) -> TokenKind:
    from pygments.token import Comment, Generic, Keyword, Literal, Name, Number, Operator, String

    groups: tuple[tuple[tuple[Any, ...], TokenKind], ...] = (
        ((Comment, Generic.Output), "comment"),
        ((Keyword.Type, Name.Class, Name.Builtin, Name.Exception, Name.Namespace, Name.Attribute), "type"),
        ((Keyword, Operator.Word, Name.Tag, Generic.Heading), "keyword"),
        ((Number, Name.Constant, Keyword.Constant), "number"),
        ((String, Literal, Generic.Inserted), "string"),
        ((Name.Function, Name.Decorator, Name.Variable.Magic), "function"),
    )
    for types, kind in groups:
        if any(token in group for group in types):
            return kind
    return "text"
