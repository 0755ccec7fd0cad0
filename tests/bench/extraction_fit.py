"""Fits what the product ships about confidence: the weights of the signs, and the curve from score to probability.

Logistic regression with a ridge, by Newton's method; the curve is fitted on scores that each fold got from the weights
of the others, so that it does not believe itself. ``judged_by_others`` does the whole once more for each fold, with the
rest alone: what comes of it says how good the fit is on receipts that it has not seen. Tuning half only.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.extraction.calibration import Calibration, Judged, fit
from app.extraction.confidence import features
from tests.bench.extraction_kept import Seen

FILE = Path(__file__).resolve().parents[2] / "resources" / "extraction" / "calibration.json"
RIDGE = 3.0
FOLDS = 10
BELIEVED = {"unproven": -2.5, "inexact": -0.3, "scan": 1.0, "problems": -1.0, "upheld": 0.7, "repeated": 0.1}
"""Weights from which the fit starts and to which the ridge draws: receipts show some signs seldom or never."""

Floats = NDArray[np.float64]
Numbers = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Table:
    """All judged fields: their features by name, whether they were right, and of which receipt they are."""

    names: tuple[str, ...]
    rows: Floats
    """(fields, features)"""
    right: Floats
    """(fields,), 0 or 1"""
    receipts: Numbers
    """(fields,); the same receipt has the same number in every setting."""

    def of(self, chosen: NDArray[np.bool_]) -> Table:
        """A part of the fields."""
        return Table(self.names, self.rows[chosen], self.right[chosen], self.receipts[chosen])


def table_of(settings: Sequence[Sequence[Seen]]) -> Table:
    """The fields of all settings, one after the other."""
    fields = [(one.name, own) for seen in settings for one in seen for own in one.fields]
    rows = [features(own.signs) for _, own in fields]
    names = tuple(sorted({name for row in rows for name in row}))
    numbers = {name: number for number, name in enumerate(sorted({name for name, _ in fields}))}
    return Table(
        names,
        np.array([[row.get(name, 0.0) for name in names] for row in rows]),
        np.array([own.right for _, own in fields], dtype=np.float64),
        np.array([numbers[name] for name, _ in fields], dtype=np.intp),
    )


def learn(table: Table) -> tuple[Floats, Calibration]:
    """Weights of the features, and the curve."""
    weights = _logistic(table)
    scores = np.zeros(len(table.right))
    for number in range(FOLDS):
        held = table.receipts % FOLDS == number  # the fields of a receipt stay together
        if held.any() and not held.all():
            scores[held] = _sigmoid(table.rows[held] @ _logistic(table.of(~held)))
    judged = (Judged(float(score), bool(one)) for score, one in zip(scores, table.right, strict=True))
    return weights, fit(judged)


def judged_by_others(table: Table) -> list[tuple[float, bool]]:
    """Confidence and outcome of each field, by what was learnt from other receipts alone."""
    found = [(0.0, False)] * len(table.right)
    # Other folds than the curve's own, so that both never meet.
    for number in range(FOLDS):
        held = table.receipts // 3 % FOLDS == number
        if not held.any() or held.all():
            continue
        weights, curve = learn(table.of(~held))
        for index in np.flatnonzero(held):
            score = float(_sigmoid(table.rows[index] @ weights))
            found[index] = curve.probability(score), bool(table.right[index])
    return found


def write(table: Table) -> None:
    """Fit on everything, into the shipped file."""
    weights, curve = learn(table)
    made = {
        "weights": {name: round(float(weight), 4) for name, weight in zip(table.names, weights, strict=True)},
        "steps": [[round(s.score, 4), round(s.probability, 4), s.weight] for s in curve.steps],
    }
    FILE.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")


def _sigmoid(values: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(values, -30, 30))))


def _logistic(table: Table) -> Floats:
    prior = np.array([BELIEVED.get(name, 0.0) for name in table.names])
    weights, rows = prior.copy(), table.rows
    for _ in range(30):
        chance = _sigmoid(rows @ weights)
        slope = rows.T @ (table.right - chance) - RIDGE * (weights - prior)
        bend = (rows * (chance * (1 - chance))[:, None]).T @ rows + RIDGE * np.eye(rows.shape[1])
        weights = weights + np.linalg.solve(bend, slope)
    return weights
