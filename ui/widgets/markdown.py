"""Markdown of an answer to leaves, also while it is still being written.

Nothing here knows Qt. Raw HTML stays text; images become links with their description; maths stays as it was written.

``MarkdownStream`` takes text in pieces and parses only what can still change: a block is frozen as soon as the first
line of the block after it is complete. An open code fence is not parsed again at all, its lines are appended.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ui.widgets.leaves import Code, Leaf, Nest, Prose
from ui.widgets.markdown_tokens import Walker, language_of, parser

LONG_PARAGRAPH_CHARS = 3_000
"""A paragraph beyond twice this is shown in pieces, so that one more word never lays out all of it again."""


def warm_up() -> None:
    """Import and build what the first answer would otherwise wait for; for another thread."""
    parser(plain=False)
    parser(plain=True)


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
        walker = Walker(parser(self._plain).parse(shown, env), self._next_number, self._continues)
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

    def _start_after(self, walker: Walker, number: int) -> None:
        self._next_number = walker.marks[number].list_number
        self._continues = False

    def _cut_paragraph(self, walker: Walker) -> list[Leaf] | None:
        only = walker.leaves[0] if len(walker.leaves) == 1 else None
        long = isinstance(only, Prose) and not only.level and not only.nest
        if not long or len(self._tail) < 2 * LONG_PARAGRAPH_CHARS:
            return walker.leaves
        cut = max(self._tail.rfind(sign, 0, LONG_PARAGRAPH_CHARS) for sign in (". ", "。", "\n"))
        if cut < LONG_PARAGRAPH_CHARS // 2:
            cut = self._tail.rfind(" ", 0, LONG_PARAGRAPH_CHARS)
        cut = cut + 1 if cut > 0 else LONG_PARAGRAPH_CHARS
        env: dict[str, Any] = {"references": self._references}
        piece = Walker(parser(self._plain).parse(self._tail[:cut], env), None, self._continues)
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


def _offset(text: str, line: int) -> int:
    """The offset at which the given line begins."""
    position = 0
    for _ in range(line):
        position = text.find("\n", position) + 1
        if position == 0:
            return len(text)
    return position


_FENCE_LINE = re.compile(r"^( {0,3})(`{3,}|~{3,})[ \t]*([^\n]*)\n")


def _open_fence(tail: str, walker: Walker) -> _Fence | None:
    """The fence that the tail ends in, when it is at the top level and its opening line is complete."""
    if not walker.marks or not walker.ends_in_fence:
        return None
    begin = _offset(tail, walker.marks[-1].line)
    match = _FENCE_LINE.match(tail[begin:])
    if match is None:
        return None
    fence = _Fence(match[2][0], len(match[2]), len(match[1]), language_of(match[3]), (), [])
    body = tail[begin + match.end() :].splitlines(keepends=True)
    return None if any(fence.closes(line) for line in body if line.endswith("\n")) else fence


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
