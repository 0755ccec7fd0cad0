"""How fast a batch goes, and how long it still takes. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

_LATELY = 20
"""Files whose time counts."""


@dataclass(slots=True)
class Pace:
    """Of one batch while it runs: when its last files ended."""

    ended_at: deque[float] = field(default_factory=lambda: deque(maxlen=_LATELY))
    began_at: float | None = None
    """When work began, or went on after a rest."""

    def begin(self, now: float) -> None:
        """Work begins, or goes on: what lay between does not count."""
        if self.began_at is None:
            self.began_at = now
            self.ended_at.clear()

    def rest(self) -> None:
        """Nothing is worked on."""
        self.began_at = None

    def end_file(self, now: float) -> None:
        """A file is done. Those that fail mostly do so at once, and would promise too much of the others."""
        self.ended_at.append(now)

    @property
    def file_s(self) -> float | None:
        """Wall-clock seconds a file, over the last ones; files at work at the same time share them."""
        if not self.ended_at or self.began_at is None:
            return None
        if len(self.ended_at) == self.ended_at.maxlen:
            return (self.ended_at[-1] - self.ended_at[0]) / (len(self.ended_at) - 1)
        return (self.ended_at[-1] - self.began_at) / len(self.ended_at)

    def left_s(self, files: int) -> float | None:
        """Until ``files`` more have ended."""
        return None if self.file_s is None else self.file_s * files
