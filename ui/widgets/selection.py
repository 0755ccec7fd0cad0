"""Which part of a message is selected. Pure: no Qt, only blocks' texts and positions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


class Textual(Protocol):
    """Something with a text: a block."""

    @property
    def text(self) -> str: ...


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A position in a message."""

    block: int
    position: int


class Selection:
    """From an anchor to where the mouse is now, in either direction."""

    def __init__(self) -> None:
        self._anchor: Place | None = None
        self._head: Place | None = None

    def __bool__(self) -> bool:
        return self._anchor is not None and self._anchor != self._head

    def begin(self, place: Place) -> None:
        self._anchor = self._head = place

    def stretch(self, place: Place) -> None:
        if self._anchor is None:
            self._anchor = place
        self._head = place

    def choose(self, start: Place, end: Place) -> None:
        self._anchor, self._head = start, end

    def choose_all(self, blocks: Sequence[Textual]) -> None:
        if blocks:
            self.choose(Place(0, 0), Place(len(blocks) - 1, len(blocks[-1].text)))

    def clear(self) -> None:
        self._anchor = self._head = None

    def part(self, block: int, length: int) -> tuple[int, int] | None:
        """What of a block is selected."""
        if self._anchor is None or self._head is None or self._anchor == self._head:
            return None
        start, end = sorted((self._anchor, self._head))
        if not start.block <= block <= end.block:
            return None
        first = start.position if block == start.block else 0
        last = end.position if block == end.block else length
        return min(first, length), min(last, length)

    def text(self, blocks: Sequence[Textual]) -> str:
        """What copying it gives: blocks apart by an empty line."""
        pieces = []
        for index, block in enumerate(blocks):
            part = self.part(index, len(block.text))
            if part is not None:
                pieces.append(block.text[part[0] : part[1]].replace("\N{LINE SEPARATOR}", "\n"))
        return "\n\n".join(pieces).strip("\n")


def word_at(text: str, position: int) -> tuple[int, int]:
    """The word around a position; the one sign when there is none."""
    start = end = min(position, len(text))
    while start > 0 and (text[start - 1].isalnum() or text[start - 1] == "_"):
        start -= 1
    while end < len(text) and (text[end].isalnum() or text[end] == "_"):
        end += 1
    return (start, end) if end > start else (start, min(start + 1, len(text)))
