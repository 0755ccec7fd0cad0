"""Prompt lookup: guesses at what comes next, copied from where the same few tokens stood before, and whether they pay.

A guess costs a row of the next step's batch and saves a whole step when it is right. What a row costs is measured on
this machine while it works; how often guesses are right is learned for each sequence by itself, also while none are
made. Verifying is ``postprocess.py``'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

MOST_GUESSES: Final = 8
LONG_PROMPT_TOKENS: Final = 256
"""From here on a prompt is worth looking things up in, with or without a constraint."""
_LONGEST_MATCH: Final = 4
_MOST_PLACES: Final = 16
"""So many of the latest places where the last token stood are compared further."""
_PRIOR: Final = (0.35, 0.4, 0.8, 0.9)
"""How likely the next token is the one that followed before, by how many tokens match. Measured on receipts."""
_PRIOR_WEIGHT: Final = 8.0
_MEMORY: Final = 0.95
"""Of what is known about a match length, so much counts after the next observation."""
_ASSUMED_ROW: Final = 0.25
"""Of a step of one row, what a further row costs, until it has been measured."""


@dataclass(frozen=True, slots=True)
class Guess:
    """What may come next, and by how many tokens the places matched."""

    tokens: list[int]
    matched: int


NO_GUESS: Final = Guess([], 0)


class Lookup:
    """One sequence's tokens, searched for where its last ones stood before. The engine's thread only."""

    def __init__(self, tokens: list[int]) -> None:
        self._tokens: NDArray[np.int32] = np.zeros(len(tokens) + 256, np.int32)
        self._size = 0
        self._right = [_PRIOR_WEIGHT * chance for chance in _PRIOR]
        self._tried = [_PRIOR_WEIGHT] * len(_PRIOR)
        self.extend(tokens)

    @property
    def size(self) -> int:
        """How many tokens it knows."""
        return self._size

    def extend(self, tokens: list[int]) -> None:
        """Append what the sequence has got."""
        end = self._size + len(tokens)
        if end > len(self._tokens):
            self._tokens = np.concatenate((self._tokens, np.zeros(end, np.int32)))
        self._tokens[self._size : end] = tokens
        self._size = end

    def guess(self, most: int) -> Guess:
        """What followed the latest of the places that match longest; up to ``most`` tokens."""
        if self._size < 2 or most < 1:
            return NO_GUESS
        tokens, last = self._tokens, self._size - 1
        places = np.flatnonzero(tokens[:last] == tokens[last])[-_MOST_PLACES:].tolist()
        best, length = -1, 0
        for place in reversed(places):
            matched = self._matched(place, last)
            if matched > length:
                best, length = place, matched
                if matched == _LONGEST_MATCH:
                    break
        if best < 0:
            return NO_GUESS
        return Guess(tokens[best + 1 : min(best + 1 + most, self._size)].tolist(), length)

    def _matched(self, place: int, last: int) -> int:
        tokens, length = self._tokens, 1
        while length < _LONGEST_MATCH and length <= place and tokens[place - length] == tokens[last - length]:
            length += 1
        return length

    def chance(self, guess: Guess) -> float:
        """How likely each token of a guess is right, given those before it."""
        return self._right[guess.matched - 1] / self._tried[guess.matched - 1] if guess.matched else 0.0

    def learn(self, guess: Guess, n_right: int, n_tried: int) -> None:
        """Note that of a guess's tokens so many were compared with what came, and so many were right."""
        if not guess.matched or not n_tried:
            return
        index = guess.matched - 1
        self._right[index] = self._right[index] * _MEMORY + n_right
        self._tried[index] = self._tried[index] * _MEMORY + n_tried


class StepCosts:
    """Seconds that a step takes by its number of rows, from the steps of this machine that had no prompt in them."""

    def __init__(self) -> None:
        self._seconds: dict[int, float] = {}

    def note(self, n_rows: int, elapsed_s: float) -> None:
        """Learn from a step; what is long ago is forgotten within some ten steps of the same size."""
        known = self._seconds.get(n_rows)
        # One slow step, when the machine did something else, must not count for ten.
        seen = elapsed_s if known is None else min(elapsed_s, 2.0 * known)
        self._seconds[n_rows] = seen if known is None else 0.85 * known + 0.15 * seen

    def seconds(self, n_rows: int) -> float:
        """Expected; between measured sizes in proportion; 0 while nothing is known."""
        known = self._seconds.get(n_rows)
        if known is not None:
            return known
        below = max((n for n in self._seconds if n < n_rows), default=0)
        above = min((n for n in self._seconds if n > n_rows), default=0)
        if below and above:
            low, high = self._seconds[below], self._seconds[above]
            return low + (high - low) * (n_rows - below) / (above - below)
        if below:
            return self._seconds[below] * (1.0 + _ASSUMED_ROW * (n_rows - below) / below)
        return self._seconds[above] if above else 0.0


def best_length(chance: float, costs: StepCosts, n_rows: int, most: int) -> int:
    """How many guesses make the most tokens a second, when a step has ``n_rows`` without them; 0 if none do."""
    plain_s = costs.seconds(n_rows)
    if plain_s <= 0.0:
        return 0
    best, best_rate = 0, 1.0 / plain_s
    expected, reached = 1.0, 1.0
    for length in range(1, most + 1):
        reached *= chance
        expected += reached
        rate = expected / costs.seconds(n_rows + length)
        if rate > best_rate:
            best, best_rate = length, rate
    return best
