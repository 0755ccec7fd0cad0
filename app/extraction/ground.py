"""Finds a value in the document it is said to come from, or says that it is not there.

In order: character by character; but for case, spaces, punctuation, number and date formats; with what scans confuse
made one; nearly, within a limit. Evidence is what stands in the document, never what the model wrote. Pure but for
rapidfuzz.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from app.documents.records import Reading
from app.extraction.finding import find
from app.extraction.normalise import canonical, fold, fold_lookalikes
from app.extraction.records import Evidence, Grounding
from app.extraction.schema import FieldType
from app.extraction.view import Line

TYPED: Final = (FieldType.DATE, FieldType.NUMBER, FieldType.AMOUNT)
FUZZY_LEAST: Final = 88.0
"""Of 100, as rapidfuzz counts."""
_FUZZY_LEAST_CHARS: Final = 6
_FUZZY_MOST_CHARS: Final = 400

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Found:
    """Where a value stands: spans of the document, one a line, and how well it fits."""

    grounding: Grounding
    spans: tuple[Span, ...]


NOT_FOUND: Final = Found(Grounding.UNPROVEN, ())


class Source:
    """The lines of a document, ready to be searched."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self.lines = lines
        self._folded: tuple[str, list[Span]] | None = None
        self._alike = ""

    def find(self, kind: FieldType, text: str) -> Found:
        """The first best place of a value."""
        text = text.strip()
        if not text:
            return NOT_FOUND
        exact = self._exact(text)
        if exact is not None:
            return exact
        if kind in TYPED:
            return self._typed(kind, text)
        return self._normalised(text) or self._fuzzy(text)

    def _exact(self, text: str) -> Found | None:
        for line in self.lines:
            at = _word_index(line.text, text)
            if at >= 0:
                return Found(Grounding.EXACT, (line.span(at, at + len(text)),))
        return self._exact_over_lines(text)

    def _exact_over_lines(self, text: str) -> Found | None:
        """Over the ends of lines, which count as a space."""
        for first in range(len(self.lines)):
            spans: list[Span] = []
            rest, number = text, first
            while number < len(self.lines):
                here = self.lines[number].text
                common = _tail_begins(here, rest) if number == first else (0 if rest.startswith(here + " ") else -1)
                if common < 0:
                    break
                spans.append(self.lines[number].span(common, len(here)))
                rest = rest[len(here) - common :].removeprefix(" ").removeprefix("\n")
                number += 1
                if number < len(self.lines) and _begins_with_words(self.lines[number].text, rest):
                    spans.append(self.lines[number].span(0, len(rest)))
                    return Found(Grounding.EXACT, tuple(spans))
        return None

    def _typed(self, kind: FieldType, text: str) -> Found:
        wanted = canonical(kind, text)
        if wanted is None:
            return NOT_FOUND
        for line in self.lines:
            for start, end in find(kind, line.text) or find(
                FieldType.NUMBER if kind is not FieldType.DATE else kind, line.text
            ):
                there = canonical(kind, line.text[start:end])
                if there is not None and _equal(kind, there.value, wanted.value):
                    return Found(Grounding.NORMALISED, (line.span(start, end),))
        return NOT_FOUND

    def _normalised(self, text: str) -> Found | None:
        stream, places = self._stream()
        for wanted, where in ((fold(text), stream), (fold_lookalikes(text), self._alike)):
            at = where.find(wanted) if len(wanted) > 1 else -1
            while at >= 0:
                if self._at_words(places, at, at + len(wanted)):
                    return Found(Grounding.NORMALISED, self._spans(places, at, at + len(wanted)))
                at = where.find(wanted, at + 1)
        return None

    def _fuzzy(self, text: str) -> Found:
        wanted = fold(text)
        stream, places = self._stream()
        if not _FUZZY_LEAST_CHARS <= len(wanted) <= _FUZZY_MOST_CHARS or len(stream) < len(wanted) // 2:
            return NOT_FOUND
        from rapidfuzz import fuzz

        best = fuzz.partial_ratio_alignment(wanted, stream, score_cutoff=FUZZY_LEAST)
        if best is None:
            return NOT_FOUND
        start, end = best.dest_start, best.dest_end
        while self._joined(places, start - 1, start):
            start -= 1
        while self._joined(places, end - 1, end):
            end += 1
        there = stream[start:end]
        digits = sorted(filter(str.isdigit, wanted)) == sorted(filter(str.isdigit, there))
        if not digits or fuzz.ratio(wanted, there) < FUZZY_LEAST:  # another number is another value
            return NOT_FOUND
        return Found(Grounding.FUZZY, self._spans(places, start, end))

    def _stream(self) -> tuple[str, list[Span]]:
        """All letters and digits folded, and for each where it stands: (line, index)."""
        if self._folded is None:
            parts: list[str] = []
            places: list[Span] = []
            for number, line in enumerate(self.lines):
                for index, character in enumerate(line.text):
                    folded = fold(character)
                    parts.append(folded)
                    places += [(number, index)] * len(folded)
            self._folded = "".join(parts), places
            self._alike = fold_lookalikes(self._folded[0])
            if len(self._alike) != len(self._folded[0]):
                self._alike = ""
        return self._folded

    def _at_words(self, places: list[Span], start: int, end: int) -> bool:
        """Whether a run of the stream begins and ends where words do."""
        return not (self._joined(places, start - 1, start) or self._joined(places, end - 1, end))

    def _joined(self, places: list[Span], one: int, other: int) -> bool:
        if one < 0 or other >= len(places):
            return False
        (line, index), (next_line, next_index) = places[one], places[other]
        return line == next_line and next_index - index <= 1

    def _spans(self, places: list[Span], start: int, end: int) -> tuple[Span, ...]:
        """A span of the document for each line."""
        found: list[Span] = []
        for number in range(places[start][0], places[end - 1][0] + 1):
            of_line = [index for line, index in places[start:end] if line == number]
            if of_line:
                found.append(self.lines[number].span(of_line[0], of_line[-1] + 1))
        return tuple(found)


def _word_index(line: str, text: str) -> int:
    """Where a text stands in a line without beginning or ending inside a word or a number; -1 if nowhere."""
    at = line.find(text)
    while at >= 0:
        before, after = line[at - 1 : at], line[at + len(text) : at + len(text) + 1]
        inside = (before.isalnum() and text[0].isalnum()) or (after.isalnum() and text[-1].isalnum())
        if not inside and not _in_number(line, at, at + len(text)):
            return at
        at = line.find(text, at + 1)
    return -1


def _in_number(line: str, start: int, end: int) -> bool:
    """Whether the text is only a part of a longer number, as ``9.00`` of ``1,239.00``."""
    before = line[max(0, start - 2) : start]
    after = line[end : end + 2]
    begins = len(before) == 2 and before[0].isdigit() and before[1] in ".," and line[start].isdigit()
    ends = len(after) == 2 and after[0] in ".," and after[1].isdigit() and line[end - 1].isdigit()
    return begins or ends


def _tail_begins(line: str, text: str) -> int:
    """Where a tail of the line stands with which the text begins and then goes on; -1 if there is none."""
    for index in range(len(line)):
        if index and line[index - 1] != " ":
            continue
        tail = line[index:]
        if len(tail) < len(text) and text.startswith(tail) and text[len(tail)] in " \n":
            return index
    return -1


def _begins_with_words(line: str, text: str) -> bool:
    return bool(text) and line.startswith(text) and not line[len(text) : len(text) + 1].isalnum()


def _equal(kind: FieldType, one: str, other: str) -> bool:
    from decimal import Decimal

    return one == other if kind is FieldType.DATE else Decimal(one) == Decimal(other)


def evidence_of(reading: Reading, spans: Sequence[Span]) -> tuple[Evidence, ...]:
    """Page and box of each span, which is at most a line long."""
    found = []
    starts = [page.start for page in reading.pages]
    for start, end in spans:
        text = reading.text[start:end]
        places = reading.places(start, end)
        if places:
            box = places[0].box
            for place in places[1:]:
                box = box.union(place.box)
            found.append(Evidence(places[0].page, box, start, end, text))
        else:
            page = reading.pages[max(0, bisect_right(starts, start) - 1)].number if reading.pages else 1
            found.append(Evidence(page, None, start, end, text))
    return tuple(found)
