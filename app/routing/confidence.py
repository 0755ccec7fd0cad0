"""How sure the local model was of its own words, from the logarithms of their probabilities as they stream. Pure.

The mean over the answer and the worst stretch of it; both as chances (the geometric mean of the tokens' chances).
"""

from __future__ import annotations

import math
from collections import deque

_LOWEST = -20.0
"""A token that a penalty or a constraint forced; one alone must not decide."""


class Confidence:
    """Takes tokens one by one, in constant time and space."""

    def __init__(self, window_tokens: int) -> None:
        self._window: deque[float] = deque(maxlen=window_tokens)
        self._window_sum = 0.0
        self._sum = 0.0
        self.tokens = 0
        self._worst = 0.0

    def take(self, logprob: float) -> None:
        """The next token's natural logarithm of its probability."""
        value = max(_LOWEST, min(0.0, logprob)) if not math.isnan(logprob) else _LOWEST
        self.tokens += 1
        self._sum += value
        if len(self._window) == self._window.maxlen:
            self._window_sum -= self._window[0]
        self._window.append(value)
        self._window_sum += value
        if len(self._window) == self._window.maxlen:
            self._worst = min(self._worst, self._window_sum / len(self._window))

    @property
    def mean_chance(self) -> float:
        """Of the whole answer so far; 1 before the first token."""
        return math.exp(self._sum / self.tokens) if self.tokens else 1.0

    @property
    def worst_chance(self) -> float:
        """Of the worst full window so far; 1 while none is full."""
        return math.exp(self._worst)
