"""Marks what a search found inside a text, and reads such marks. Pure.

SQLite marks what its index of words found; what is found in writing without spaces (``app.store.unspaced``) is marked
here, over a part of the text of about the same length.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from itertools import islice
from typing import Final

from app.store import unspaced

OPEN, CLOSE = "\x02", "\x03"
"""Mark a match inside a text; control characters, which no person types."""

_LENGTH: Final = 96
"""Characters of a part: of writing without spaces, what 24 words take."""
_BEFORE: Final = 24
_MOST_MATCHES: Final = 100
_ACCENTED: Final = re.compile("[\u00c0-\u024f\u0370-\u052f\u1e00-\u1fff]")
_CUT: Final = "…"

_Span = tuple[int, int, int]
"""Start, end, and which of the words."""


class Marker:
    """Marks the words of one search in texts that hold them."""

    def __init__(self, words: Sequence[str], *, unfinished: bool) -> None:
        """``unfinished``: the last word may go on."""
        self._words = tuple(words)
        self._unfinished = unfinished
        self._pattern: re.Pattern[str] | None = None

    def __call__(self, text: str, *, whole: bool) -> str:
        """``text``, or the part of it that holds most of the words, with each match between marks."""
        spans = self._spans(text)
        start, end = (0, len(text)) if whole else _part(text, spans)
        pieces, at = [_CUT if start else ""], start
        for first, last, _ in spans:
            if at <= first and last <= end:
                pieces += [text[at:first], OPEN, text[first:last], CLOSE]
                at = last
        return "".join([*pieces, text[at:end], _CUT if end < len(text) else ""])

    def _spans(self, text: str) -> list[_Span]:
        if self._pattern is None:  # only a hit needs it
            self._pattern = _compiled(self._words, unfinished=self._unfinished)
        folded, places = unspaced.fold_with_places(text)
        found = islice(self._pattern.finditer(_bare(folded)), _MOST_MATCHES)
        return [
            (places[one.start()], places[one.end()], one.lastindex or 0) for one in found if one.end() > one.start()
        ]


def _compiled(words: Sequence[str], *, unfinished: bool) -> re.Pattern[str]:
    phrases = [unspaced.tokens(_bare(unspaced.fold(word))) for word in words]
    last = len(phrases) - 1
    return re.compile(
        "|".join(
            f"({unspaced.pattern(phrase, unfinished=unfinished and place == last)})"
            for place, phrase in enumerate(phrases)
        ),
        re.IGNORECASE,
    )


def _bare(folded: str) -> str:
    """Without accents, character by character, as the index has it."""
    return _ACCENTED.sub(lambda accented: unicodedata.normalize("NFD", accented[0])[0], folded)


def _part(text: str, spans: Sequence[_Span]) -> tuple[int, int]:
    """The part that holds the most different words; of equal ones, the first."""
    best, most, wanted = (0, 0), 0, len({word for _, _, word in spans})
    for first, last, _ in spans:
        words = {word for start, end, word in spans if first <= start and end <= first + _LENGTH - _BEFORE}
        if len(words) > most:
            best, most = (first, last), len(words)
        if most == wanted:
            break
    start = _uncut(text, best[0] - _BEFORE)
    return start, max(_uncut(text, start + _LENGTH), best[1])


def _uncut(text: str, place: int) -> int:
    """The same place, or one a little before it, where no word and no character is cut."""
    if not 0 < place < len(text):
        return min(max(place, 0), len(text))
    for back in range(place, max(place - _BEFORE, 0), -1):
        before, after = text[back - 1], text[back]
        stands_apart = unspaced.holds(before + after) and unicodedata.category(after)[0] != "M"
        if stands_apart or before.isspace() or after.isspace():
            return back
    return place


def unmark(marked: str) -> tuple[str, tuple[tuple[int, int], ...]]:
    """A marked text as one plain line, and the spans of its matches."""
    characters: list[str] = []
    spans: list[tuple[int, int]] = []
    start: int | None = None
    for character in marked:
        if character == OPEN:
            start = len(characters)
        elif character == CLOSE:
            if start is not None and start < len(characters):
                spans.append((start, len(characters)))
            start = None
        elif not character.isspace():
            characters.append(character)
        elif not characters or characters[-1] != " ":
            characters.append(" ")
    return "".join(characters), tuple(spans)
