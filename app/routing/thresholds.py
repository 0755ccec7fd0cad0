"""The one table of numbers that decide when a prompt counts as hard and an answer as doubtful. Pure.

It is part of the settings (``routing`` in the settings' file), so that a person can change each of them.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Each reason gives points; so many make a prompt one for a larger model, so many more one for the cloud."""

    larger_points: int = 2
    cloud_points: int = 4
    long_words: int = 350
    """A message of so many words is long; of three times as many, very long."""
    code_lines: int = 25
    """So many lines of code are a lot to read."""
    maths_marks: int = 3
    """So many formulas, signs and words of mathematics need exact reasoning."""
    conditions: int = 4
    """So many things that must hold at once are easily forgotten."""
    questions: int = 3
    context_ratio: float = 0.75
    """A prompt that fills so much of the context leaves no room to think."""
    mean_chance: float = 0.65
    """An answer whose words the model itself gave less than this chance, as the geometric mean, is doubtful.

    A guess from two models (0.5B and 1.5B parameters) and six prompts: easy ones 0.78 to 0.99, hard ones 0.63 to 0.77.
    """
    window_chance: float = 0.40
    """The same for any stretch of ``window_tokens``."""
    window_tokens: int = 32
    least_tokens: int = 24
    """Shorter answers say too little about how sure the model was."""


RANGES: Mapping[str, tuple[float, float]] = {
    "larger_points": (1, 100),
    "cloud_points": (1, 100),
    "long_words": (10, 1_000_000),
    "code_lines": (1, 1_000_000),
    "maths_marks": (1, 1_000),
    "conditions": (1, 1_000),
    "questions": (1, 1_000),
    "context_ratio": (0.05, 1.0),
    "mean_chance": (0.0, 1.0),
    "window_chance": (0.0, 1.0),
    "window_tokens": (4, 4_096),
    "least_tokens": (1, 4_096),
}


def read(raw: object) -> Thresholds:
    """From an untrusted object; what is not a number in its range falls back to its default."""
    if not isinstance(raw, dict):
        return Thresholds()
    defaults = Thresholds()
    accepted: dict[str, float] = {}
    for name, (least, most) in RANGES.items():
        value = raw.get(name)
        wanted = int if isinstance(getattr(defaults, name), int) else (int, float)
        if isinstance(value, bool) or not isinstance(value, wanted):
            continue
        if math.isfinite(value) and least <= value <= most:
            accepted[name] = value
    return dataclasses.replace(defaults, **accepted)  # type: ignore[arg-type]
