"""Where each message of a long list begins, from heights that are partly estimates. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable

LINE = 22
_CHAR = 7.1
_OWN_FRAME = 18
_ANSWER_FRAME = 36


class Heights:
    """Heights of a list with a gap between its items; the first begins at ``start``."""

    def __init__(self, start: int, gap: int) -> None:
        self._start, self._gap = start, gap
        self._heights: list[int] = []
        self._tops: list[int] = [start]
        self._valid = 0
        """Tops up to this index agree with the heights."""

    def reset(self, heights: Iterable[int]) -> None:
        self._heights = list(heights)
        self._tops = [self._start] * (len(self._heights) + 1)
        self._valid = 0

    def append(self, height: int) -> None:
        self._heights.append(height)
        self._tops.append(0)
        self._valid = min(self._valid, len(self._heights) - 1)

    def set(self, number: int, height: int) -> None:
        if self._heights[number] != height:
            self._heights[number] = height
            self._valid = min(self._valid, number)

    def top(self, number: int) -> int:
        self._count()
        return self._tops[number]

    @property
    def total(self) -> int:
        """Where the last one ends."""
        self._count()
        return self._tops[-1] - self._gap if self._heights else self._start

    def between(self, top: int, height: int) -> tuple[int, int]:
        """The range of items that touch a stretch."""
        self._count()
        count = len(self._heights)
        first = min(max(bisect_right(self._tops, top) - 1, 0), count)
        last = min(bisect_left(self._tops, top + height), count)
        return first, max(last, first)

    def _count(self) -> None:
        if self._valid == len(self._heights):
            return
        top = self._tops[self._valid]
        for number in range(self._valid, len(self._heights)):
            top += self._heights[number] + self._gap
            self._tops[number + 1] = top
        self._valid = len(self._heights)


def estimate(text: str, width: int, *, own: bool) -> int:
    """Roughly how tall a message will be; cheap, for texts that nobody looks at yet."""
    wide = width * 0.85 if own else width
    lines = int(len(text) / max(wide / _CHAR, 8)) + text.count("\n") * 2 // 3 + 1
    return lines * LINE + (_OWN_FRAME if own else _ANSWER_FRAME)
