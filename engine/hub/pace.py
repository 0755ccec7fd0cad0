"""Speed and time left, from how the count of bytes grew in the last seconds. Pure; the caller brings the clock."""

from __future__ import annotations

from collections import deque

WINDOW_S = 10.0
LEAST_S = 0.5
"""Before that much was seen, no speed is named."""
GRAIN_S = 0.1
"""Marks closer together are one."""


class Pace:
    """Of one download. Bytes that were found on the disk are not progress: call :meth:`start` after them."""

    def __init__(self) -> None:
        self._marks: deque[tuple[float, int]] = deque()

    def start(self, now_s: float, done_bytes: int) -> None:
        self._marks.clear()
        self._marks.append((now_s, done_bytes))

    def mark(self, now_s: float, done_bytes: int) -> None:
        if not self._marks or done_bytes < self._marks[-1][1]:
            self.start(now_s, done_bytes)
            return
        if len(self._marks) > 1 and now_s - self._marks[-2][0] < GRAIN_S:
            self._marks[-1] = (now_s, done_bytes)
        else:
            self._marks.append((now_s, done_bytes))
        # One mark from before the window stays, so that a slow line still has a span to measure.
        while len(self._marks) > 2 and now_s - self._marks[1][0] >= WINDOW_S:
            self._marks.popleft()

    def bytes_per_s(self, now_s: float) -> float | None:
        """``None`` until enough was seen; falls towards 0 while nothing comes."""
        if not self._marks or now_s - self._marks[0][0] < LEAST_S:
            return None
        return (self._marks[-1][1] - self._marks[0][1]) / (now_s - self._marks[0][0])

    def left_s(self, now_s: float, missing_bytes: int) -> float | None:
        speed = self.bytes_per_s(now_s)
        return missing_bytes / speed if speed else None
