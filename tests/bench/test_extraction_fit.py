"""The fit of the confidence: what it learns is true of receipts that it has not seen."""

from __future__ import annotations

import numpy as np

from app.extraction.calibration import expected_error
from tests.bench.extraction_fit import Table, judged_by_others, learn


def _table(receipts: int, seed: int) -> Table:
    """Four fields a receipt; a sign that tells much, one that tells nothing."""
    numbers = np.random.default_rng(seed)
    sign, noise = numbers.normal(size=receipts * 4), numbers.normal(size=receipts * 4)
    chance = 1 / (1 + np.exp(-(1.5 + 2.0 * sign)))
    right = (numbers.random(receipts * 4) < chance).astype(np.float64)
    rows = np.stack([np.ones(receipts * 4), sign, noise], axis=1)
    return Table(("one", "sign", "noise"), rows, right, np.repeat(np.arange(receipts), 4))


def test_weights_and_curve_say_what_comes_true_elsewhere() -> None:
    weights, curve = learn(_table(150, seed=1))
    assert weights[1] > 1.0 > abs(weights[2]) * 4
    other = _table(600, seed=2)
    scores = 1 / (1 + np.exp(-other.rows @ weights))
    pairs = [(curve.probability(float(s)), bool(r)) for s, r in zip(scores, other.right, strict=True)]
    assert expected_error(pairs) < 0.05


def test_each_receipt_is_judged_by_the_others() -> None:
    table = _table(120, seed=3)
    judged = judged_by_others(table)
    assert [right for _, right in judged] == [bool(one) for one in table.right]
    assert expected_error(judged) < 0.06
