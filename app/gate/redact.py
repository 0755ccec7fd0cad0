"""Puts placeholders for found strings, everywhere they occur, so that the way back is exact. Pure.

What is found is ``scan.py``'s and ``names.py``'s; keeping the map is the store's; the way back is ``restore.py``'s.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

from app.gate import surfaces
from app.gate.placeholders import KINDS, LETTERS, LITERAL, Token, is_kind, kinds_of, mentions, parse, resolve, spellings
from app.gate.records import Finding, Redaction


@dataclass(frozen=True, slots=True)
class Redacted:
    """Texts as they may leave, and what was hidden."""

    texts: tuple[str, ...]
    redactions: tuple[Redaction, ...]
    """What occurs in the texts, whether hidden or let through, in order of first appearance."""
    known: Mapping[str, str]
    """The conversation's map, placeholder to string, grown by what is new. To be stored before anything leaves."""


@dataclass(slots=True)
class _Thing:
    """One person, number or address, with all the ways in which it was written."""

    kind: str
    number: int = 0
    written: dict[str, str] = field(default_factory=dict)
    """String to letter; the first has none."""
    on: bool = True
    more: _Thing | None = None
    """Where further writings go when the letters are used up."""

    def words(self) -> set[str]:
        return {word for text in self.written for word in surfaces.fold(self.kind, text).split()}


@dataclass(frozen=True, slots=True)
class _Span:
    start: int
    end: int
    thing: _Thing


class Redactor:
    """Hides what was found. Keeps nothing between calls: the map is given and returned."""

    def redact(
        self,
        texts: Sequence[str],
        findings: Sequence[Sequence[Finding]],
        known: Mapping[str, str],
        off: Iterable[str] = (),
    ) -> Redacted:
        """Hide all ``findings`` (one sequence a text) and all ``known`` strings wherever they occur in ``texts``.

        ``known`` maps placeholders of the conversation to strings. Whatever shares kind and number with a placeholder
        of ``off`` is let through. ``StreamRestorer`` turns every returned text back into the given one exactly.
        """
        things = _Things(texts, known)
        # The longest names first, so that their parts are known as theirs.
        for finding in sorted(chain.from_iterable(findings), key=lambda one: -len(one.text.split())):
            things.add(finding)
        things.number(texts)
        things.look_for(texts)
        things.switch_off(off)
        hidden = [things.hide(text, found) for text, found in zip(texts, findings, strict=True)]
        return Redacted(tuple(hidden), things.redactions(), things.known())


class _Things:
    """The things of one conversation while its texts are gone through."""

    def __init__(self, texts: Sequence[str], known: Mapping[str, str]) -> None:
        self._things: dict[tuple[str, int], _Thing] = {}
        self._new: list[_Thing] = []
        self._by_text: dict[tuple[str, str], _Thing] = {}
        self._kept = dict(known)
        self._counts: Counter[str] = Counter()
        self._pattern: re.Pattern[str] | None = None
        self._order: list[_Thing] = []
        kinds = frozenset(KINDS) | kinds_of(known)
        found = mentions(kinds)
        self._taken = {(m[1].upper(), int(m[2])) for text in texts for m in found.finditer(text)}
        for placeholder, text in known.items():
            token = parse(placeholder)
            if token is None:
                continue
            thing = self._things.setdefault((token.kind, token.number), _Thing(token.kind, token.number))
            thing.written[text] = token.letter
            self._by_text[token.kind, surfaces.fold(token.kind, text)] = thing
            self._taken.add((token.kind, token.number))

    def add(self, finding: Finding) -> None:
        """Take up a found string, as a new thing or as another writing of a known one."""
        text = finding.text
        kind = finding.kind if is_kind(finding.kind) else "ID"
        if not text.strip() or self._thing_of(kind, text) is not None:
            return
        thing = _Thing(kind, written={text: ""})
        self._new.append(thing)
        self._by_text[kind, surfaces.fold(kind, text)] = thing

    def _thing_of(self, kind: str, text: str) -> _Thing | None:
        folded = surfaces.fold(kind, text)
        thing = self._by_text.get((kind, folded))
        if thing is None and kind == "PERSON":
            words = set(folded.split())
            like = [one for one in self._people() if words <= one.words()]
            if len(like) == 1:
                thing = like[0]
                self._by_text[kind, folded] = thing
        return thing

    def _people(self) -> list[_Thing]:
        known = [thing for thing in self._things.values() if thing.kind == "PERSON"]
        return known + [thing for thing in self._new if thing.kind == "PERSON"]

    def number(self, texts: Sequence[str]) -> None:
        """Number the new things in the order in which they appear."""
        whole = "\n".join(texts)

        def first(thing: _Thing) -> int:
            return min((place for place in map(whole.find, thing.written) if place >= 0), default=len(whole))

        for thing in sorted(self._new, key=first):
            thing.number = self._free(thing.kind)
            self._things[thing.kind, thing.number] = thing
        self._new.clear()

    def _free(self, kind: str) -> int:
        number = 1
        while (kind, number) in self._taken:
            number += 1
        self._taken.add((kind, number))
        return number

    def look_for(self, texts: Sequence[str]) -> None:
        """Make one pattern for all writings that may be in ``texts``, the longest first."""
        folded = "\n".join(texts).casefold()
        rows: dict[tuple[str, str, bool], _Thing] = {}
        for thing in self._things.values():
            for text in thing.written:
                if surfaces.repeats(thing.kind, text):
                    rows.setdefault((thing.kind, text, True), thing)
        for (kind, text, _), thing in list(rows.items()):
            for part in surfaces.parts(kind, text):
                rows.setdefault((kind, part, False), thing)
        possible = [row for row in rows.items() if surfaces.beginning(*row[0][:2]) in folded]
        ordered = sorted(possible, key=lambda row: (-len(row[0][1]), row[0]))
        self._order = [thing for _, thing in ordered]
        patterns = (f"({surfaces.pattern(kind, text, whole=whole)})" for (kind, text, whole), _ in ordered)
        self._pattern = re.compile("|".join(patterns), re.IGNORECASE) if ordered else None

    def switch_off(self, placeholders: Iterable[str]) -> None:
        """Let through the things that these placeholders belong to."""
        for token in map(parse, placeholders):
            if token is not None and (thing := self._things.get((token.kind, token.number))) is not None:
                thing.on = False

    def hide(self, text: str, findings: Sequence[Finding]) -> str:
        """``text`` with placeholders."""
        spans = self._spans(text, findings)
        for span in _merged([span for span in spans if not span.thing.on]):
            self._counts[self._placeholder(span.thing, text[span.start : span.end])] += 1
        pieces: list[tuple[str, bool]] = []
        at = 0
        for span in _merged([span for span in spans if span.thing.on]):
            placeholder = self._placeholder(span.thing, text[span.start : span.end])
            self._counts[placeholder] += 1
            pieces += [(text[at : span.start], False), (placeholder, True)]
            at = span.end
        return self._without_literals([*pieces, (text[at:], False)])

    def _spans(self, text: str, findings: Sequence[Finding]) -> list[_Span]:
        spans = []
        for finding in findings:
            thing = self._thing_of(finding.kind if is_kind(finding.kind) else "ID", finding.text)
            if thing is not None and text[finding.start : finding.end] == finding.text:
                spans.append(_Span(finding.start, finding.end, thing))
        if self._pattern is not None:
            for match in self._pattern.finditer(text):
                assert match.lastindex is not None
                if match.end() > match.start():
                    spans.append(_Span(match.start(), match.end(), self._order[match.lastindex - 1]))
        return spans

    def _placeholder(self, thing: _Thing, text: str) -> str:
        """The placeholder of exactly this writing; a new one when it was not written so before."""
        letter = thing.written.get(text)
        if letter is None:
            used = set(thing.written.values())
            letter = next((one for one in LETTERS if one not in used), None)
            if letter is None:  # written in more ways than there are letters
                if thing.more is None:
                    thing.more = _Thing(thing.kind, self._free(thing.kind), on=thing.on)
                    self._things[thing.kind, thing.more.number] = thing.more
                return self._placeholder(thing.more, text)
            thing.written[text] = letter if used else ""
            letter = thing.written[text]
        placeholder = str(Token(thing.kind, thing.number, letter))
        self._kept[placeholder] = text
        return placeholder

    def _without_literals(self, pieces: list[tuple[str, bool]]) -> str:
        """The pieces joined, after hiding what would be taken for a placeholder on the way back."""
        while True:
            text = "".join(piece for piece, _ in pieces)
            ours: set[tuple[int, int]] = set()
            at = 0
            for piece, placed in pieces:
                if placed:
                    ours.add((at, at + len(piece)))
                at += len(piece)
            matches = spellings(kinds_of(self._kept)).finditer(text)
            literal = next((m for m in matches if m.span() not in ours and resolve(m, self._kept) is not None), None)
            if literal is None:
                return text
            thing = self._by_text.get((LITERAL, literal[0]))
            if thing is None:
                thing = _Thing(LITERAL, self._free(LITERAL))
                self._things[LITERAL, thing.number] = thing
                self._by_text[LITERAL, literal[0]] = thing
            placeholder = self._placeholder(thing, literal[0])
            self._counts[placeholder] += 1
            pieces = _cut(pieces, literal.start(), literal.end(), placeholder)

    def redactions(self) -> tuple[Redaction, ...]:
        """What occurred, in the order of first appearance."""
        found = []
        for placeholder, count in self._counts.items():
            token = parse(placeholder)
            assert token is not None
            thing = self._things.get((token.kind, token.number))
            on = thing.on if thing is not None else True
            found.append(Redaction(placeholder, token.kind, self._kept[placeholder], count, on))
        return tuple(found)

    def known(self) -> dict[str, str]:
        """The whole map."""
        return self._kept


def _merged(spans: list[_Span]) -> list[_Span]:
    """Spans without overlaps: what overlaps becomes one, as the longest of its parts."""
    merged: list[_Span] = []
    longest = 0
    for span in sorted(spans, key=lambda one: (one.start, -one.end)):
        last = merged[-1] if merged else None
        if last is None or span.start >= last.end:
            merged.append(span)
            longest = span.end - span.start
            continue
        length = span.end - span.start
        thing = span.thing if length > longest else last.thing
        longest = max(longest, length)
        merged[-1] = _Span(last.start, max(last.end, span.end), thing)
    return merged


def _cut(pieces: list[tuple[str, bool]], start: int, end: int, placeholder: str) -> list[tuple[str, bool]]:
    """The pieces with a placeholder for what lies between two offsets of their whole, which is within plain pieces."""
    made: list[tuple[str, bool]] = []
    at = 0
    for piece, placed in pieces:
        stop = at + len(piece)
        if placed or stop <= start or at >= end:
            made.append((piece, placed))
        else:
            made.append((piece[: max(start - at, 0)], False))
            if at <= start:
                made.append((placeholder, True))
            made.append((piece[max(end - at, 0) :] if end < stop else "", False))
        at = stop
    return made
