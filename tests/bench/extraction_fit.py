"""Fits what the product ships about confidence: the weights of the signs, and the curve from score to probability.

Logistic regression with a ridge, by Newton's method; the curve is fitted on scores that each fold got from the weights
of the others, so that it does not believe itself. Tuning half only; the bench calls it with ``--fit``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from app.extraction import pipeline
from app.extraction.calibration import Judged, fit
from app.extraction.confidence import Signs, features
from app.extraction.confidence import score as score_of
from tests.bench.extraction_receipts import Scored

FILE = Path(__file__).resolve().parents[2] / "resources" / "extraction" / "calibration.json"
RIDGE = 3.0
FOLDS = 10
BELIEVED = {"unproven": -2.5, "inexact": -0.3, "scan": 1.0, "problems": -1.0, "upheld": 0.7, "repeated": 0.1}
"""Weights from which the fit starts and to which the ridge draws: receipts show some signs seldom or never."""

Floats = NDArray[np.float64]


@dataclass(slots=True)
class Observed:
    """The signs of every value that was judged, in order, and whether it was right."""

    signs: list[Signs] = field(default_factory=list)
    right: list[bool] = field(default_factory=list)

    @classmethod
    @contextmanager
    def watching(cls) -> Iterator[Observed]:
        """Take down the signs that the pipeline weighs."""
        seen = cls()

        def noting(signs: Signs) -> float:
            seen.signs.append(signs)
            return score_of(signs)

        with mock.patch.object(pipeline, "score", noting):
            yield seen

    def paired(self, scored: Scored) -> Observed:
        """With what came out; the values of the receipt that was asked first of all are left out."""
        self.right = [right for _, right in scored.judged]
        self.signs = self.signs[len(self.signs) - len(self.right) :]
        return self


def fit_and_write(observed: Sequence[Observed]) -> None:
    """Weights and curve from all settings together, into the shipped file."""
    rows = [features(signs) for one in observed for signs in one.signs]
    right = [right for one in observed for right in one.right]
    write(rows, right)


def write(rows: Sequence[dict[str, float]], right: Sequence[bool]) -> None:
    """Fit and write. ``rows`` are features by name."""
    names = sorted({name for row in rows for name in row})
    table = np.array([[row.get(name, 0.0) for name in names] for row in rows])
    outcome = np.array(right, dtype=np.float64)
    prior = np.array([BELIEVED.get(name, 0.0) for name in names])
    weights = _logistic(table, outcome, prior)
    scores = np.zeros(len(outcome))
    for number in range(FOLDS):
        held = np.arange(len(outcome)) // 4 % FOLDS == number  # the fields of a receipt stay together
        scores[held] = _sigmoid(table[held] @ _logistic(table[~held], outcome[~held], prior))
    curve = fit(Judged(float(score), bool(one)) for score, one in zip(scores, right, strict=True))
    made = {
        "weights": {name: round(float(weight), 4) for name, weight in zip(names, weights, strict=True)},
        "steps": [[round(s.score, 4), round(s.probability, 4), s.weight] for s in curve.steps],
    }
    FILE.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")


def _sigmoid(values: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(values, -30, 30))))


def _logistic(table: Floats, outcome: Floats, prior: Floats) -> Floats:
    weights = prior.copy()
    for _ in range(30):
        chance = _sigmoid(table @ weights)
        slope = table.T @ (outcome - chance) - RIDGE * (weights - prior)
        bend = (table * (chance * (1 - chance))[:, None]).T @ table + RIDGE * np.eye(table.shape[1])
        weights = weights + np.linalg.solve(bend, slope)
    return weights
