"""How far a regular expression's counted repetitions multiply: the bound against ``(a{1000}){1000}``. Pure."""

from __future__ import annotations

import re
from typing import Final

MAX_REPEATED_CHARS: Final = 10_000

_COUNT: Final = re.compile(r"\{(\d{1,9})(?:,(\d{0,9}))?\}")
_MOST: Final = 10**12


def repeated_chars(pattern: str) -> int:
    """The characters of the pattern's longest repetition written out, ``*`` and ``+`` counting once.

    An estimate from above that reads no syntax but brackets, escapes and counts; what is no expression at all is for
    the compiler to refuse.
    """
    totals = [0]
    """For each open group, the characters so far."""
    last = 0
    """Size of the item before the next quantifier."""
    at = 0
    while at < len(pattern):
        char = pattern[at]
        count = _COUNT.match(pattern, at) if char == "{" else None
        if count is not None:
            times = max(int(count[1]), int(count[2] or 0), 1)
            totals[-1] = min(_MOST, totals[-1] + last * (times - 1))
            last *= times
            at = count.end()
            continue
        if char == "(":
            totals.append(0)
            last = 0
        elif char == ")" and len(totals) > 1:
            last = totals.pop()
            totals[-1] = min(_MOST, totals[-1] + last)
        elif char not in "*+?|^$":
            at = _end_of_item(pattern, at)
            last = 1
            totals[-1] += 1
            continue
        at += 1
    return min(_MOST, sum(totals))


def _end_of_item(pattern: str, at: int) -> int:
    """Where a character, an escape or a class ends."""
    if pattern[at] == "\\":
        named = re.compile(r"\\[pPxu]\{[^}]*\}").match(pattern, at)
        return named.end() if named else at + 2
    if pattern[at] != "[":
        return at + 1
    at += 1
    if at < len(pattern) and pattern[at] == "^":
        at += 1
    if at < len(pattern) and pattern[at] == "]":
        at += 1
    while at < len(pattern) and pattern[at] != "]":
        at += 2 if pattern[at] == "\\" else 1
    return at + 1
