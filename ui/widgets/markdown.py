"""Markdown of an answer to flat, immutable leaves, also while it is still being written.

A leaf is what gets one layout on screen: a paragraph, a heading, a code block, a table, a rule. Nesting (lists, quotes)
is a property of the leaf, so the painter never walks a tree. Nothing here knows Qt. Raw HTML stays text; images become
links with their description; maths stays as it was written.

``MarkdownStream`` takes text in pieces and parses only what can still change: a block is frozen as soon as the first
line of the block after it is complete. An open code fence is not parsed again at all, its lines are appended.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntFlag
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

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
LONG_PARAGRAPH_CHARS = 3_000
"""A paragraph beyond twice this is shown in pieces, so that one more word never lays out all of it again."""


def parse(text: str, *, plain: bool = False) -> tuple[Leaf, ...]:
    """All leaves of a finished text."""
    stream = MarkdownStream(plain=plain)
    stream.append(text)
    stream.finish()
    return tuple(stream.leaves)


class MarkdownStream:
    """The leaves of a growing text.

    ``leaves`` is the current picture; ``append`` and ``finish`` return the index of the first leaf that changed.
    ``plain`` is for what a person typed: only fenced code and links are read, the rest is shown as it is.
    """

    def __init__(self, *, plain: bool = False) -> None:
        self._plain = plain
        self.leaves: list[Leaf] = []
        self._frozen = 0
        self._tail = ""
        self._fence: _Fence | None = None
        self._references: dict[str, Any] = {}
        self._next_number: int | None = None
        self._continues = False

    def append(self, text: str) -> int:
        """Take more text."""
        self._tail += text.replace("\r\n", "\n").replace("\x00", "\N{REPLACEMENT CHARACTER}")
        return self._advance(finished=False)

    def finish(self) -> int:
        """No more text will come; nothing is held back any longer."""
        return self._advance(finished=True)

    def _advance(self, finished: bool) -> int:
        before = self.leaves[self._frozen :]
        first = self._frozen
        while True:
            live = self._grow_fence(finished) if self._fence is not None else self._parse_tail(finished)
            if live is not None:
                break
        self.leaves[self._frozen :] = live
        changed = first
        for old, new in zip(before, self.leaves[first:], strict=False):
            if old != new:
                break
            changed += 1
        return changed

    def _freeze(self, leaves: Sequence[Leaf], consumed: int) -> None:
        self.leaves[self._frozen :] = leaves
        self._frozen += len(leaves)
        self._tail = self._tail[consumed:]

    # An open fence.

    def _grow_fence(self, finished: bool) -> list[Leaf] | None:
        """Move complete lines into the open code block; ``None`` when it closed and the rest is to be parsed."""
        fence = self._fence
        assert fence is not None
        end = self._tail.rfind("\n") + 1
        lines = self._tail[:end].splitlines(keepends=True)
        for index, line in enumerate(lines):
            if fence.closes(line):
                self._fence = None
                self._freeze([fence.leaf("", closed=True)], sum(map(len, lines[: index + 1])))
                return None
            fence.take(line)
        self._tail = self._tail[end:]
        rest = self._tail
        if finished:
            self._fence = None
            self._freeze([fence.leaf("" if fence.closes(rest) else rest, closed=True)], len(rest))
            return []
        return [fence.leaf("" if fence.may_close(rest) else rest, closed=False)]

    # Everything else.

    def _parse_tail(self, finished: bool) -> list[Leaf] | None:
        shown = self._tail if finished else _hold_back(self._tail)
        if not shown.strip():
            return []
        env: dict[str, Any] = {"references": self._references}
        if not finished and not self._plain:
            shown = _close_inline(shown)
        walker = _Walker(_parser(self._plain).parse(shown, env), self._next_number, self._continues)
        walker.walk()
        self._references = env["references"]
        if finished:
            return walker.leaves
        fence = _open_fence(self._tail, walker)
        if fence is not None:
            mark = walker.marks[-1]
            self._fence = fence
            self._start_after(walker, len(walker.marks) - 1)
            self._freeze(walker.leaves[: mark.leaf], _offset(self._tail, mark.line + 1))
            return None
        complete_lines = self._tail.count("\n")
        for number in range(len(walker.marks) - 1, 0, -1):
            mark = walker.marks[number]
            if mark.line < complete_lines:
                self._start_after(walker, number)
                self._freeze(walker.leaves[: mark.leaf], _offset(self._tail, mark.line))
                return walker.leaves[mark.leaf :]
        return self._cut_paragraph(walker)

    def _start_after(self, walker: _Walker, number: int) -> None:
        self._next_number = walker.marks[number].list_number
        self._continues = False

    def _cut_paragraph(self, walker: _Walker) -> list[Leaf] | None:
        only = walker.leaves[0] if len(walker.leaves) == 1 else None
        long = isinstance(only, Prose) and not only.level and not only.nest
        if not long or len(self._tail) < 2 * LONG_PARAGRAPH_CHARS:
            return walker.leaves
        cut = max(self._tail.rfind(sign, 0, LONG_PARAGRAPH_CHARS) for sign in (". ", "。", "\n"))
        if cut < LONG_PARAGRAPH_CHARS // 2:
            cut = self._tail.rfind(" ", 0, LONG_PARAGRAPH_CHARS)
        cut = cut + 1 if cut > 0 else LONG_PARAGRAPH_CHARS
        env: dict[str, Any] = {"references": self._references}
        piece = _Walker(_parser(self._plain).parse(self._tail[:cut], env), None, self._continues)
        piece.walk()
        self._continues = True
        self._freeze(piece.leaves, cut)
        return None


@dataclass(slots=True)
class _Fence:
    sign: str
    length: int
    indent: int
    language: str
    nest: Nest
    pieces: list[str]

    def take(self, line: str) -> None:
        blank = len(line) - len(line.lstrip(" "))
        self.pieces.append(line[min(blank, self.indent) :])

    def closes(self, line: str) -> bool:
        text = line.strip()
        indent = len(line) - len(line.lstrip(" "))
        return indent < 4 and len(text) >= self.length and not text.strip(self.sign)

    def may_close(self, rest: str) -> bool:
        """Whether an unfinished line may still become the closing fence: then it is not shown yet."""
        return bool(rest) and not rest.strip().strip(self.sign)

    def leaf(self, rest: str, closed: bool) -> Code:
        if len(self.pieces) > 1:
            self.pieces = ["".join(self.pieces)]
        text = (self.pieces[0] if self.pieces else "") + rest
        return Code(text.removesuffix("\n") if closed or not rest else text, self.language, closed, self.nest)


@dataclass(frozen=True, slots=True)
class _Mark:
    """The beginning of a top-level block or top-level list item: a place where parsing may start again."""

    line: int
    leaf: int
    list_number: int | None


def _offset(text: str, line: int) -> int:
    """The offset at which the given line begins."""
    position = 0
    for _ in range(line):
        position = text.find("\n", position) + 1
        if position == 0:
            return len(text)
    return position


_FENCE_LINE = re.compile(r"^( {0,3})(`{3,}|~{3,})[ \t]*([^\n]*)\n")


def _open_fence(tail: str, walker: _Walker) -> _Fence | None:
    """The fence that the tail ends in, when it is at the top level and its opening line is complete."""
    if not walker.marks or not walker.ends_in_fence:
        return None
    begin = _offset(tail, walker.marks[-1].line)
    match = _FENCE_LINE.match(tail[begin:])
    if match is None:
        return None
    fence = _Fence(match[2][0], len(match[2]), len(match[1]), _language(match[3]), (), [])
    body = tail[begin + match.end() :].splitlines(keepends=True)
    return None if any(fence.closes(line) for line in body if line.endswith("\n")) else fence


def _language(info: str) -> str:
    words = info.strip().split()
    return words[0].strip("{}.").lower()[:32] if words else ""


_ONLY_SIGNS = re.compile(r"[\s\-=*_#>|+~`:0-9.)\\$!\[]*")


def _hold_back(tail: str) -> str:
    """The tail without a last line that would look like something else in a moment."""
    end = tail.rfind("\n") + 1
    last = tail[end:]
    digits = last.strip().isdigit()
    if (digits and tail[:end].endswith("\n\n")) or (last and not digits and _ONLY_SIGNS.fullmatch(last)):
        tail = tail[:end]
    # A table's first row reads as a paragraph of bars until its second row is there.
    blocks = tail.rsplit("\n\n", 1)
    block = blocks[-1].lstrip("\n")
    if block.startswith("|") and block.count("\n") < 2 and not block.endswith("|\n\n"):
        rows = block.split("\n")
        if len(rows) < 2 or not re.fullmatch(r"[|\s:\-]+", rows[1]) or "-" not in rows[1]:
            return tail[: len(tail) - len(block)]
    return tail


def _close_inline(text: str) -> str:
    """Close emphasis or code that is open at the end, so that its signs do not flash by."""
    start = text.rfind("\n\n") + 1
    block = text[start:]
    if "```" in block or "~~~" in block:
        return text
    if block.count("`") % 2:
        return text + "`"
    without_code = re.sub(r"`[^`]*`", "", block)
    stripped = text.rstrip("*")
    if stripped != text and without_code.count("**") % 2:
        return stripped
    if without_code.count("**") % 2 and not text.endswith(" "):
        return text + ("*" if text.endswith("*") else "**")
    return text


class _Walker:
    """Tokens of markdown-it to leaves."""

    def __init__(self, tokens: Sequence[Token], next_number: int | None, continues: bool) -> None:
        self.leaves: list[Leaf] = []
        self.marks: list[_Mark] = []
        self.ends_in_fence = False
        self._tokens = tokens
        self._nest: list[Literal["list", "quote"]] = []
        self._counters: list[int | None] = []
        self._marker = ""
        self._next_number = next_number
        self._continues = continues

    def walk(self) -> None:
        index = 0
        while index < len(self._tokens):
            index = self._take(index)

    def _take(self, index: int) -> int:
        token = self._tokens[index]
        kind = token.type
        if token.level == 0 and token.map is not None and token.nesting >= 0 and not kind.endswith("_list_open"):
            self._mark(token)
        if kind == "table_open":
            return self._table(index)
        if kind.endswith(("list_open", "list_close")) or kind.startswith(("blockquote", "list_item")):
            self._nesting(token)
        elif kind == "inline":
            self._inline(index)
        elif token.nesting == 0:
            self._single(token)
        if token.nesting >= 0:
            self.ends_in_fence = kind == "fence" and token.level == 0
        return index + 1

    def _nesting(self, token: Token) -> None:
        if token.type == "list_item_open":
            self._item(token)
        elif token.type == "list_item_close":
            if self._marker:
                self._add(Prose(Run("")))
        elif token.nesting > 0:
            self._open(token)
        else:
            self._close(token.type)

    def _single(self, token: Token) -> None:
        if token.type in ("fence", "code_block"):
            self._add(Code(token.content.removesuffix("\n"), _language(token.info)))
        elif token.type == "hr":
            self._add(Rule())
        elif token.type == "maths_block":
            self._add(Prose(Run(token.content, (Span(0, len(token.content), Style.MATHS),))))

    def _mark(self, token: Token) -> None:
        assert token.map is not None
        self.marks.append(_Mark(token.map[0], len(self.leaves), None))

    def _open(self, token: Token) -> None:
        if token.type == "blockquote_open":
            self._nest.append("quote")
            return
        self._nest.append("list")
        number: int | None = None
        if token.type == "ordered_list_open":
            start = token.attrGet("start")
            number = int(start) if start is not None else 1
            if token.level == 0 and not self.marks and self._next_number is not None:
                number = self._next_number
        self._counters.append(number)

    def _close(self, kind: str) -> None:
        self._nest.pop()
        if kind != "blockquote_close":
            self._counters.pop()

    def _item(self, token: Token) -> None:
        number = self._counters[-1]
        if token.level == 1 and token.map is not None and len(self._nest) == 1:
            self.marks.append(_Mark(token.map[0], len(self.leaves), number))
        if number is None:
            self._marker = "•◦▪"[min(self._nest.count("list"), 3) - 1]
        else:
            self._marker = f"{number}."
            self._counters[-1] = number + 1

    def _inline(self, index: int) -> None:
        opener = self._tokens[index - 1]
        level = int(opener.tag[1]) if opener.type == "heading_open" else 0
        run = _run(self._tokens[index].children or [])
        marker, self._marker = self._task(run.text)
        if marker:
            run = Run(run.text[4:], tuple(_shift(span, -4) for span in run.spans))
            self._marker = marker
        leaf = Prose(run, level, continues=self._continues)
        self._add(leaf)

    def _task(self, text: str) -> tuple[str, str]:
        box = text[:4]
        if self._marker and box in ("[ ] ", "[x] ", "[X] "):
            return ("☐" if box == "[ ] " else "☑"), self._marker
        return "", self._marker

    def _table(self, index: int) -> int:
        header: tuple[Run, ...] = ()
        rows: list[tuple[Run, ...]] = []
        cells: list[Run] = []
        alignments: list[Literal["left", "center", "right"]] = []
        in_head = True
        while self._tokens[index].type != "table_close":
            token = self._tokens[index]
            if token.type == "inline":
                cells.append(_run(token.children or []))
            elif token.type == "th_open":
                alignments.append(_alignment(str(token.attrGet("style") or "")))
            elif token.type == "tr_close":
                if in_head:
                    header = tuple(cells)
                else:
                    rows.append(tuple(cells[: len(header)]) + (Run(""),) * (len(header) - len(cells)))
                cells = []
            elif token.type == "thead_close":
                in_head = False
            index += 1
        self._add(Table(header, tuple(rows), tuple(alignments)))
        self.ends_in_fence = False
        return index + 1

    def _add(self, leaf: Leaf) -> None:
        self.leaves.append(replace(leaf, nest=tuple(self._nest[:MAX_NEST]), marker=self._marker))
        self._marker = ""
        self._continues = False


def _alignment(style: str) -> Literal["left", "center", "right"]:
    if style.endswith("center"):
        return "center"
    return "right" if style.endswith("right") else "left"


def _shift(span: Span, by: int) -> Span:
    return replace(span, start=max(0, span.start + by), end=max(0, span.end + by))


_OPEN = {"strong_open": Style.BOLD, "em_open": Style.ITALIC, "s_open": Style.STRIKE, "link_open": Style.LINK}
_CLOSE = {"strong_close": Style.BOLD, "em_close": Style.ITALIC, "s_close": Style.STRIKE, "link_close": Style.LINK}


_BREAKS = {"softbreak": " ", "hardbreak": "\N{LINE SEPARATOR}"}
_EXTRA = {"code_inline": Style.CODE, "maths_inline": Style.MATHS}


def _run(children: Sequence[Token]) -> Run:
    pieces: list[str] = []
    spans: list[Span] = []
    length = 0
    style = Style.PLAIN
    address = ""
    for child in children:
        if child.nesting:
            style = style | _OPEN[child.type] if child.type in _OPEN else style & ~_CLOSE.get(child.type, Style.PLAIN)
            if child.type.startswith("link"):
                address = str(child.attrGet("href") or "")
            continue
        text, extra, target = _BREAKS.get(child.type, child.content), _EXTRA.get(child.type, Style.PLAIN), address
        if child.type == "image":
            text, extra, target = _picture(child)
        if not text:
            continue
        if style | extra:
            spans.append(Span(length, length + len(text), style | extra, target))
        pieces.append(text)
        length += len(text)
    return Run("".join(pieces), tuple(spans))


def _picture(token: Token) -> tuple[str, Style, str]:
    """A picture is never fetched: its description becomes a link to its address."""
    return f"[picture: {token.content or 'no description'}]", Style.LINK, str(token.attrGet("src") or "")


@lru_cache(maxsize=2)
def _parser(plain: bool) -> MarkdownIt:
    # Imported when the first answer is shown: the idle window does without.
    from markdown_it import MarkdownIt

    from ui.widgets.maths import keep_maths

    options = {"html": False, "linkify": True}
    if plain:
        parser = MarkdownIt("zero", options).enable(["fence", "linkify"])
    else:
        parser = MarkdownIt("commonmark", options).enable(["table", "strikethrough", "linkify"])
        keep_maths(parser)
    if parser.linkify is not None:
        parser.linkify.set({"fuzzy_link": False, "fuzzy_email": False, "fuzzy_ip": False})
    return parser
