"""Which finding stands where several detectors found something in one place. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from app.gate.records import Finding

_RANKS = {"glossary": 3, "checksum": 2}
_BROAD = frozenset({"URL", "KEY", "ADDRESS"})
"""Kinds that may hold others: an address in the web with a token in it is hidden as a whole."""


def settled(found: Iterable[Finding], text: str) -> tuple[Finding, ...]:
    """Findings in order, without overlaps: the surest first, then the longest; nothing that was found is left bare.

    A finding that reaches beyond the one that stands is kept for the rest of it, when that says anything.
    """
    taken: list[Finding] = []
    for one in sorted(found, key=_worth, reverse=True):
        pieces = [(one.start, one.end)]
        for other in taken:
            pieces = [left for piece in pieces for left in _outside(piece, (other.start, other.end))]
        for start, end in pieces:
            start, end = _trimmed(text, start, end)
            if (start, end) == (one.start, one.end):
                taken.append(one)
            elif sum(character.isalnum() for character in text[start:end]) >= 3:
                taken.append(Finding(one.kind, start, end, text[start:end], one.detector, one.score))
    return tuple(sorted(taken, key=lambda one: one.start))


def _worth(one: Finding) -> tuple[int, int, float]:
    length = one.end - one.start
    rank = _RANKS.get(one.detector, 2 if one.kind in _BROAD and length > 24 else 1)
    return rank, length, one.score


def _outside(piece: tuple[int, int], taken: tuple[int, int]) -> list[tuple[int, int]]:
    start, end = piece
    if taken[1] <= start or taken[0] >= end:
        return [piece]
    return [left for left in ((start, taken[0]), (taken[1], end)) if left[0] < left[1]]


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and not (text[start].isalnum() or text[start] in "+(#"):
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end
