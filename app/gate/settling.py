"""Which finding stands where several detectors found something in one place. Pure."""

from __future__ import annotations

import re
from bisect import bisect_right, insort
from collections.abc import Iterable
from itertools import zip_longest

from app.gate.records import Finding

_RANKS = {"glossary": 3, "checksum": 2}
_BROAD = frozenset({"URL", "KEY", "ADDRESS"})
"""Kinds that may hold others: an address in the web with a token in it is hidden as a whole."""


_WITHIN = re.compile(r"[\s,;]{0,12}(?:\b[A-Z]{2,3}\b[\s,]{0,12})?(?:\b\d{1,6}(?:-\d{3,4})?\b[\s,]{0,12})?")
"""What may stand between two pieces of one address: a region's letters, a number."""
_AFTER = re.compile(r"[\s,]{0,12}(?:\b[A-Z]{2}\b[\s,]{0,12})?\b\d{3,6}(?:[- ]\d{2,4})?\b(?![\d:/-]|\.\d)")
"""What may end an address: a postcode."""
_CAPITAL = r"[^\W\d_a-zß-öø-ÿ]"
_LINE = rf"[ \t]*[,\n][\s,]{{0,12}}{_CAPITAL}[\w.'’-]*(?: {_CAPITAL}[\w.'’-]*){{0,3}}"
_BLOCK = re.compile(rf"(?:{_LINE}){{1,3}}[\s,]{{1,12}}\d{{3,6}}(?:-\d{{3,4}})?\b(?![\d:/-]|\.\d)")
"""Town, region and country in lines of their own, with a postcode at the end."""
_BEFORE = re.compile(r"(?<![\w.,:/-])\d{1,6}[ ]\Z")
"""What may begin one: a number."""


def settled(found: Iterable[Finding], text: str) -> tuple[Finding, ...]:
    """Findings in order, without overlaps: the surest first, then the longest; nothing that was found is left bare.

    A finding that reaches beyond the one that stands is kept for the rest of it, when that says anything.
    """
    taken: list[Finding] = []  # in order
    for one in sorted(found, key=_worth, reverse=True):
        for start, end in _left_of(one, taken):
            if (start, end) == (one.start, one.end):
                insort(taken, one, key=_start)
                continue
            start, end = _trimmed(text, start, end)
            if sum(character.isalnum() for character in text[start:end]) >= 3:
                rest = Finding(one.kind, start, end, text[start:end], one.detector, one.score)
                insort(taken, rest, key=_start)
    return tuple(taken)


def joined(found: Iterable[Finding], text: str) -> tuple[Finding, ...]:
    """Neighbouring pieces of an address as one finding, with the numbers at its ends. ``found`` is in order."""
    whole: list[Finding] = []
    for one in found:
        last = whole[-1] if whole else None
        if last is not None and _are_one_address(last, one, text):
            whole[-1] = _address(text, last.start, one.end, last, one)
        elif one.kind == "ADDRESS" and (number := _BEFORE.search(text, last.end if last else 0, one.start)):
            whole.append(_address(text, number.start(), one.end, one, one))
        else:
            whole.append(one)
    return tuple(_with_postcode(one, text, after) for one, after in zip_longest(whole, whole[1:]))


def _are_one_address(first: Finding, second: Finding, text: str) -> bool:
    kinds = {first.kind, second.kind}
    between = text[first.end : second.start]
    return "ADDRESS" in kinds and kinds <= {"ADDRESS", "PLACE"} and _WITHIN.fullmatch(between) is not None


def _with_postcode(one: Finding, text: str, after: Finding | None) -> Finding:
    if one.kind != "ADDRESS":
        return one
    end = after.start if after else len(text)
    code = _AFTER.match(text, one.end, end) or _BLOCK.match(text, one.end, end)
    return _address(text, one.start, code.end(), one, one) if code else one


def _address(text: str, start: int, end: int, first: Finding, second: Finding) -> Finding:
    return Finding("ADDRESS", start, end, text[start:end], first.detector, min(first.score, second.score))


def _worth(one: Finding) -> tuple[int, int, float]:
    length = one.end - one.start
    rank = _RANKS.get(one.detector, 2 if one.kind in _BROAD and length > 24 else 1)
    return rank, length, one.score


def _start(one: Finding) -> int:
    return one.start


def _left_of(one: Finding, taken: list[Finding]) -> list[tuple[int, int]]:
    """The pieces of a finding between those that stand, which are in order and don't overlap."""
    at, pieces = one.start, []
    for place in range(max(bisect_right(taken, one.start, key=_start) - 1, 0), len(taken)):
        other = taken[place]
        if other.start >= one.end:
            break
        if other.start > at:
            pieces.append((at, other.start))
        at = max(at, other.end)
    return [*pieces, (at, one.end)] if at < one.end else pieces


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and not (text[start].isalnum() or text[start] in "+(#"):
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end
