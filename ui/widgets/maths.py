r"""Markdown rules that keep maths as it was written.

Without them ``\(a_1 b_1\)`` would lose its backslashes and gain emphasis. Known forms: ``\(…\)``, ``\[…\]``, ``$$…$$``
and ``$…$`` (the last as Pandoc reads it, so that "5$ or 6$" stays money).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_block import StateBlock
    from markdown_it.rules_inline import StateInline

_PAIRS = (("\\(", "\\)"), ("\\[", "\\]"), ("$$", "$$"))


def keep_maths(parser: MarkdownIt) -> None:
    """Add the two rules to a parser."""
    parser.inline.ruler.before("escape", "maths_inline", _inline)
    parser.block.ruler.before("fence", "maths_block", _block, {"alt": ["paragraph", "blockquote", "list"]})


def _inline(state: StateInline, silent: bool) -> bool:
    begin = state.pos
    if state.src[begin] not in "\\$":
        return False
    end = _end_of_pair(state.src, begin, state.posMax) or _end_of_dollar(state.src, begin, state.posMax)
    if end is None:
        return False
    if not silent:
        token = state.push("maths_inline", "", 0)
        token.content = state.src[begin:end].replace("\n", " ")
    state.pos = end
    return True


def _end_of_pair(text: str, begin: int, limit: int) -> int | None:
    for opening, closing in _PAIRS:
        if text.startswith(opening, begin):
            end = text.find(closing, begin + 2, limit)
            return end + 2 if end > begin + 2 else None
    return None


def _end_of_dollar(text: str, begin: int, limit: int) -> int | None:
    if text[begin] != "$" or begin + 2 >= limit or text[begin + 1].isspace() or text[begin + 1] == "$":
        return None
    end = text.find("$", begin + 1, limit)
    if end < 0 or text[end - 1].isspace() or "\n" in text[begin:end]:
        return None
    followed_by_digit = end + 1 < limit and text[end + 1].isdigit()
    return None if followed_by_digit else end + 1


def _block(state: StateBlock, start_line: int, end_line: int, silent: bool) -> bool:
    first = state.src[state.bMarks[start_line] + state.tShift[start_line] : state.eMarks[start_line]].strip()
    closing = {"\\[": "\\]", "$$": "$$"}.get(first[:2])
    if closing is None or state.is_code_block(start_line):
        return False
    line = start_line
    ended = first[2:].endswith(closing)
    while not ended and line + 1 < end_line:
        line += 1
        text = state.src[state.bMarks[line] : state.eMarks[line]].strip()
        if not text:
            return False
        ended = text.endswith(closing)
    if not ended:
        return False
    if not silent:
        token = state.push("maths_block", "", 0)
        token.content = state.getLines(start_line, line + 1, state.blkIndent, False).strip("\n")
        token.map = [start_line, line + 1]
    state.line = line + 1
    return True
