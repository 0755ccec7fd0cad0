"""Tokens of markdown-it to leaves; holds the parsers themselves. Knows nothing of text that still grows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from ui.widgets.leaves import MAX_NEST, Code, Leaf, Prose, Rule, Run, Span, Style, Table

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token


@dataclass(frozen=True, slots=True)
class Mark:
    """The beginning of a top-level block or top-level list item: a place where parsing may start again."""

    line: int
    leaf: int
    list_number: int | None


def language_of(info: str) -> str:
    words = info.strip().split()
    return words[0].strip("{}.").lower()[:32] if words else ""


class Walker:
    """Tokens of markdown-it to leaves."""

    def __init__(self, tokens: Sequence[Token], next_number: int | None, continues: bool) -> None:
        self.leaves: list[Leaf] = []
        self.marks: list[Mark] = []
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
            self._add(Code(token.content.removesuffix("\n"), language_of(token.info)))
        elif token.type == "hr":
            self._add(Rule())
        elif token.type == "maths_block":
            self._add(Prose(Run(token.content, (Span(0, len(token.content), Style.MATHS),))))

    def _mark(self, token: Token) -> None:
        assert token.map is not None
        self.marks.append(Mark(token.map[0], len(self.leaves), None))

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
            self.marks.append(Mark(token.map[0], len(self.leaves), number))
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
def parser(plain: bool) -> MarkdownIt:
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
