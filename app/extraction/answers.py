"""An answer's JSON taken apart: each leaf with its path, its value and where its text stands. Pure.

An answer that was cut off gives the leaves before the cut.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from app.extraction.ask import Reply, TokenScore

Scalar = str | float | bool | None

_DECODER: Final = json.JSONDecoder()
_SPACE: Final = " \t\r\n"
_MAX_DEPTH: Final = 12


@dataclass(frozen=True, slots=True)
class Leaf:
    """A value of an answer; ``path`` is as in ``Value.name``."""

    path: str
    value: Scalar
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Certainty:
    """How the model came to a value, from its tokens."""

    logprob: float
    """Of the value under the constraint: the sum over its tokens."""
    weakest: float
    """The least of its tokens' log-probabilities under the constraint."""
    legal: float
    """The mean probability that the model gave to what the constraint allowed."""


def leaves_of(text: str) -> list[Leaf]:
    """All leaves in order."""
    reader = _Reader(text)
    with suppress(ValueError, IndexError):  # cut off: what came before stands
        reader.value("", 0, 0)
    return reader.found


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self.found: list[Leaf] = []

    def value(self, path: str, at: int, depth: int) -> int:
        """Read the value at ``at``; the index after it. Raises ``ValueError``, ``IndexError`` at a cut."""
        at = self._skip(at)
        if depth > _MAX_DEPTH:
            raise ValueError("nested too deeply")
        if self._text[at] == "{":
            return self._object(path, at + 1, depth)
        if self._text[at] == "[":
            return self._array(path, at + 1, depth)
        value, end = _DECODER.raw_decode(self._text, at)
        self.found.append(Leaf(path, value, at, end))
        return end

    def _object(self, path: str, at: int, depth: int) -> int:
        at = self._skip(at)
        while self._text[at] != "}":
            name, at = _DECODER.raw_decode(self._text, self._skip(at))
            at = self._expect(":", at)
            at = self._skip(self.value(f"{path}.{name}" if path else str(name), at, depth + 1))
            at = self._skip(at + 1) if self._text[at] == "," else at
        return at + 1

    def _array(self, path: str, at: int, depth: int) -> int:
        at, count = self._skip(at), 0
        while self._text[at] != "]":
            at = self._skip(self.value(f"{path}[{count}]", at, depth + 1))
            at = self._skip(at + 1) if self._text[at] == "," else at
            count += 1
        return at + 1

    def _skip(self, at: int) -> int:
        while at < len(self._text) and self._text[at] in _SPACE:
            at += 1
        return at

    def _expect(self, mark: str, at: int) -> int:
        at = self._skip(at)
        if self._text[at] != mark:
            raise ValueError(f"{mark} expected")
        return at + 1


def certainty_of(reply: Reply, spans: Sequence[tuple[int, int]]) -> Certainty | None:
    """Of the tokens that have a character in one of the spans; ``None`` when the reply tells no probabilities."""
    chosen: list[TokenScore] = []
    begin = 0
    for token in reply.tokens:
        if any(begin < end and token.end > start for start, end in spans):
            chosen.append(token)
        begin = token.end
    if not chosen:
        return None
    legal = [min(0.0, token.logprob - token.masked_logprob) for token in chosen]
    return Certainty(
        logprob=sum(token.masked_logprob for token in chosen),
        weakest=min(token.masked_logprob for token in chosen),
        legal=sum(map(math.exp, legal)) / len(legal),
    )
