"""Reads how far a ninja build is out of its lines. Leaves showing it to the console."""

import re
from dataclasses import dataclass

_NINJA = re.compile(r"(?:^|\s)\[(\d{1,6})/(\d{1,6})\]\s")


def parse_ninja(line: str) -> tuple[int, int] | None:
    """`[12/197] compiling …` → (12, 197); anything else → None."""
    found = _NINJA.search(line)
    if found is None:
        return None
    done, total = int(found[1]), int(found[2])
    return (done, total) if 0 < done <= total else None


@dataclass(slots=True)
class BuildProgress:
    """Follows one build: what share is done and how long the rest may take."""

    started_s: float
    done: int = 0
    total: int = 0

    def read(self, line: str) -> bool:
        """Take one line of output; true when it moved the build forward."""
        step = parse_ninja(line)
        if step is None or step[0] <= self.done:
            return False
        self.done, self.total = step
        return True

    def left_s(self, now_s: float) -> float | None:
        """Seconds to go at the pace so far, or None while that would be a guess."""
        if self.total == 0 or self.done * 20 < self.total:
            return None
        return (now_s - self.started_s) * (self.total - self.done) / self.done

    def sentence(self, now_s: float) -> str:
        left = self.left_s(now_s)
        share = 100 * self.done // self.total if self.total else 0
        rest = "" if left is None else f", about {in_words(left)} to go"
        return f"      compiling llama.cpp: {self.done} of {self.total} files, {share} %{rest}"


def in_words(seconds: float) -> str:
    """A duration as one says it: "40 s", "7 min"."""
    return f"{max(1, round(seconds))} s" if seconds < 90 else f"{round(seconds / 60)} min"
