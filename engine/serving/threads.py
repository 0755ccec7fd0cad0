"""How many threads go on with answers, when other programs take the processors. Pure.

llama.cpp's threads wait for each other some hundred times a token. One that is kept off its processor holds up all, so
on busy processors fewer threads are several times faster: on two processors with two other programs at work, a token of
a small model took 110 ms with two threads and 29 ms with one. Prompts lose nothing and gain nothing, and keep theirs.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

SLOW_RATIO: Final = 1.8
"""Steps that take so many times what they once took make us try."""
GAIN_RATIO: Final = 0.8
"""Another number must bring the time down to this, or it stays as it was."""
TRIAL_STEPS: Final = 4
HOLD_STEPS: Final = 200
"""Between two trials."""
FIRST_TRIAL_STEP: Final = 16
"""So early it is tried once without a reason: the processors may have been busy from the start."""
_MOST_ROWS: Final = 16
_FORGETTING: Final = 1.002


class _State(Enum):
    STEADY = auto()
    TRYING = auto()


class Threads:
    """Watches steps that only decode, and chooses the number of threads for the next ones."""

    def __init__(self, most: int, *, adapts: bool = True) -> None:
        self.most = most
        """For prompts, and for everything on quiet processors."""
        self.count = most
        """For the next step that only decodes."""
        self._fewer = max(1, most // 2) if adapts else most
        self._state = _State.STEADY
        self._best_s: dict[int, float] = {}
        """By rows: the shortest step seen, forgotten slowly, because contexts grow."""
        self._slowness = 1.0
        """Of late, against the shortest."""
        self._before = 1.0
        """What it was when the trial began."""
        self._seen: list[float] = []
        self._until_trial = FIRST_TRIAL_STEP
        self._tried = False

    def note(self, n_rows: int, elapsed_s: float) -> None:
        """A step of so many decoding rows and nothing else took so long with :attr:`count` threads."""
        if self._fewer == self.most or n_rows > _MOST_ROWS:
            return
        if self._state is _State.TRYING:
            if n_rows in self._best_s:
                self._judge(elapsed_s / self._best_s[n_rows])
            return
        best = min(elapsed_s, self._best_s.get(n_rows, elapsed_s) * _FORGETTING)
        self._best_s[n_rows] = best
        self._slowness = 0.8 * self._slowness + 0.2 * elapsed_s / best
        self._until_trial -= 1
        reason = self.count < self.most or not self._tried or self._slowness > SLOW_RATIO
        if self._until_trial <= 0 and reason:
            self._try()

    def _try(self) -> None:
        """Run a few steps with the other number."""
        self._state, self._tried = _State.TRYING, True
        self._before = self._slowness
        self._seen = []
        self.count = self._fewer if self.count == self.most else self.most

    def _judge(self, ratio: float) -> None:
        self._seen.append(ratio)
        if len(self._seen) < TRIAL_STEPS:
            return
        now = sorted(self._seen)[TRIAL_STEPS // 2]
        self._state = _State.STEADY
        self._until_trial = HOLD_STEPS
        if now > self._before * GAIN_RATIO:
            self.count = self.most if self.count < self.most else self._fewer
            return
        self._slowness = max(1.0, now)
        if self.count == self.most:
            self._until_trial = FIRST_TRIAL_STEP  # it may have been a quiet moment only
