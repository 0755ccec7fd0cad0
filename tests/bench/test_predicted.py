"""How the bench judges predictions, on figures that are made up."""

from __future__ import annotations

from engine.fit.plan import Band, Speed
from tests.bench.predicted import LEARNING, Measured, judge


def _steady(name: str, factor: float) -> Measured:
    raw = Speed(Band(50.0, 100.0, 180.0), Band(6.5, 10.0, 14.0))
    rounds = LEARNING + 4
    return Measured(name, raw, (10.0 * factor,) * rounds, (100.0 * factor,) * rounds)


def test_a_steady_machine_is_known_after_three_answers() -> None:
    own, foreign, first, widest, *_ = judge([_steady("a", 0.5), _steady("b", 0.5)])
    assert (own.ours, own.met) == (1.0, True)
    assert foreign.ours == 1.0
    assert first.ours == 0.5
    assert 0 < widest.ours <= 0.25


def test_a_machine_that_changes_is_not() -> None:
    calm = _steady("a", 0.5)
    busy = Measured("b", calm.raw, (*calm.decode[:LEARNING], 1.0, 1.0, 1.0, 1.0), calm.prefill)
    own = judge([busy])[0]
    assert own.ours == 0.5
    assert not own.met


def test_models_that_are_predicted_wrong_each_in_its_own_way_say_nothing_of_each_other() -> None:
    _, foreign, *_ = judge([_steady("a", 0.3), _steady("b", 3.0)])
    assert foreign.ours == 0.0
