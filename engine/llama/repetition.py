"""How far counted repetitions multiply in an expression or a grammar: the bound against ``(a{1000}){1000}``. Pure.

Estimates from above that read no syntax but brackets, escapes, names and counts; what is no expression at all is for
the compiler to refuse.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

MAX_REPEATED_CHARS: Final = 10_000

_MOST: Final = 10**12
_PIECE: Final = re.compile(
    r"\\[pPxu]\{[^}]*\}"  # \\p{Letter}
    r"|\\."
    r"|\[\^?\]?(?:\\.|[^\]\\])*\]?"  # a class
    r"|\{(?P<least>\d{1,9})(?:,(?P<most>\d{0,9}))?\}"
    r"|(?P<other>.)",
    re.DOTALL,
)
_TERM: Final = re.compile(
    r'"(?P<text>(?:\\.|[^"\\])*)"|/(?P<expression>(?:\\.|[^/\\])*)/'
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|\{(?P<least>\d{1,9})(?:,(?P<most>\d{0,9}))?\}"
    r"|(?P<other>\S)",
    re.DOTALL,
)
_RULE: Final = re.compile(r"^(?P<name>[A-Za-z_][A-Za-z0-9_]*)\s*:", re.MULTILINE)


def repeated_chars(pattern: str) -> int:
    """The characters of a regular expression with its counts written out, ``*`` and ``+`` counting once."""
    return _written_out(_pieces(pattern))


def repeated_terms(lark: str) -> int:
    """The characters of the largest terminal of a Lark grammar, written out. Rules that are no terminals count as one
    character: the parser does not write them out.

    Raises: ``RecursionError`` when terminals are nested very deeply.
    """
    starts = list(_RULE.finditer(lark))
    ends = [*(match.start() for match in starts[1:]), len(lark)]
    bodies = {match["name"]: lark[match.end() : end] for match, end in zip(starts, ends, strict=False)}
    sizes: dict[str, int] = {}

    def size(name: str) -> int:
        if not name.isupper() or name not in bodies:
            return 1
        if name not in sizes:
            sizes[name] = 1  # a terminal cannot hold itself; if it did, it would end here
            sizes[name] = _written_out(terms(bodies[name]))
        return sizes[name]

    def terms(body: str) -> Iterator[int | str | tuple[int, int]]:
        for match in _TERM.finditer(body):
            if match["least"] is not None:
                yield int(match["least"]), int(match["most"] or 0)
            elif match["name"] is not None:
                yield size(match["name"])
            elif match["other"] is not None:
                yield match["other"]
            else:
                yield len(match["text"]) if match["text"] is not None else repeated_chars(match["expression"])

    return max((_written_out(terms(body)) for body in bodies.values()), default=0)


def _pieces(pattern: str) -> Iterator[int | str | tuple[int, int]]:
    for match in _PIECE.finditer(pattern):
        if match["least"] is not None:
            yield int(match["least"]), int(match["most"] or 0)
        elif match["other"] is not None and match["other"] in "()*+?|^$":
            yield match["other"]
        else:
            yield 1


def _written_out(pieces: Iterator[int | str | tuple[int, int]]) -> int:
    """Sum of a sequence of sizes, brackets and counts; other signs weigh nothing."""
    totals = [0]
    """For each open group, the characters so far."""
    last = 0
    """Size of the item before the next count."""
    for piece in pieces:
        if isinstance(piece, tuple):
            times = max(*piece, 1)
            totals[-1] = min(_MOST, totals[-1] + last * (times - 1))
            last = min(_MOST, last * times)
        elif isinstance(piece, int):
            last = piece
            totals[-1] = min(_MOST, totals[-1] + piece)
        elif piece == "(":
            totals.append(0)
            last = 0
        elif piece == ")" and len(totals) > 1:
            last = totals.pop()
            totals[-1] = min(_MOST, totals[-1] + last)
    return min(_MOST, sum(totals))
