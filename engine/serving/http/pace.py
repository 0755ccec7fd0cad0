"""How fast answers end, and so how long somebody who is sent away should wait. Pure: the caller brings the clock."""

from __future__ import annotations

import math
from collections import deque
from typing import Final

LEAST_WAIT_S: Final = 1
MOST_WAIT_S: Final = 300
_REMEMBERED: Final = 32


class Pace:
    """Counts answers that begin and end. Time in which none is open does not count."""

    def __init__(self) -> None:
        self.open = 0
        """Answers that are waiting or running."""
        self._busy_s = 0.0
        self._since = 0.0
        self._ends: deque[float] = deque([0.0], maxlen=_REMEMBERED)
        """On a clock that runs only while an answer is open."""

    def begin(self, now: float) -> None:
        """An answer has been taken on."""
        if self.open == 0:
            self._since = now
        self.open += 1

    def end(self, now: float) -> None:
        """An answer has ended, in whatever way."""
        at = self._clock(now)
        self._ends.append(at)
        self.open -= 1
        if self.open == 0:
            self._busy_s = at

    def wait_s(self, ahead: int, now: float) -> int:
        """Seconds until ``ahead`` of the open answers will have ended, if they go on ending as the last ones did."""
        span_s = self._clock(now) - self._ends[0]
        ended = max(1, len(self._ends) - 1)
        return max(LEAST_WAIT_S, min(MOST_WAIT_S, math.ceil(ahead * span_s / ended)))

    def _clock(self, now: float) -> float:
        return self._busy_s + (now - self._since if self.open else 0.0)
