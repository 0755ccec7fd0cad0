"""From a score to a probability that means something: isotonic regression on values that people have judged.

The shipped default was fitted on receipts that nobody here owns; each judgement of an installation weighs against it.
Pure but for reading the default. Source: pool adjacent violators, Ayer et al. 1955.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final

DEFAULT_WEIGHT: Final = 60.0
"""As many judged values of an installation weigh as much as the shipped default."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A value's score before calibration, and whether a person found it right."""

    score: float
    right: bool
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Step:
    """Values with scores around ``score`` were right with ``probability``; ``weight`` of them were seen."""

    score: float
    probability: float
    weight: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """A rising curve, straight between its steps."""

    steps: tuple[Step, ...]

    def probability(self, score: float) -> float:
        """Of a value with this score being right."""
        if not self.steps:
            return score
        index = bisect_right(self.steps, score, key=lambda step: step.score)
        if index == 0:
            return self.steps[0].probability
        if index == len(self.steps):
            return self.steps[-1].probability
        low, high = self.steps[index - 1], self.steps[index]
        share = (score - low.score) / (high.score - low.score) if high.score > low.score else 1.0
        return low.probability + share * (high.probability - low.probability)


def fit(
    judged: Iterable[Judged], prior: Calibration | None = None, prior_weight: float = DEFAULT_WEIGHT
) -> Calibration:
    """The rising curve nearest to what was judged; ``prior`` counts as ``prior_weight`` judgements in all."""
    points = [(one.score, float(one.right), one.weight) for one in judged]
    if prior is not None and prior.steps:
        total = sum(step.weight for step in prior.steps)
        points += [(step.score, step.probability, prior_weight * step.weight / total) for step in prior.steps]
    return Calibration(tuple(_pooled(sorted(points))))


def _pooled(points: Sequence[tuple[float, float, float]]) -> list[Step]:
    blocks: list[tuple[float, float, float]] = []  # sums: weight, weighted score, weighted outcome
    for score, right, weight in points:
        block = (weight, weight * score, weight * right)
        while blocks and blocks[-1][2] / blocks[-1][0] >= block[2] / block[0]:
            before = blocks.pop()
            block = (before[0] + block[0], before[1] + block[1], before[2] + block[2])
        blocks.append(block)
    # A block of few is not certain, however it came out: half a wrong and half a right one are added to each.
    return [
        Step(scores / weight, (right + 0.5) / (weight + 1.0), weight) for weight, scores, right in blocks if weight > 0
    ]


def expected_error(pairs: Sequence[tuple[float, bool]], bins: int = 10) -> float:
    """Expected calibration error: what was promised against what came true, in bins of equal width.

    Source: Naeini et al. 2015.
    """
    total = 0.0
    for number in range(bins):
        inside = [(p, right) for p, right in pairs if number == min(int(p * bins), bins - 1)]
        if inside:
            promised = sum(p for p, _ in inside) / len(inside)
            total += abs(promised - sum(right for _, right in inside) / len(inside)) * len(inside)
    return total / len(pairs) if pairs else 0.0


@cache
def shipped() -> Calibration:
    """The default."""
    text = resources.files("resources").joinpath("extraction", "calibration.json").read_text("utf-8")
    return Calibration(tuple(Step(*map(float, step)) for step in json.loads(text)["steps"]))
