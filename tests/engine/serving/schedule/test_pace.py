"""How long those are told to wait who are sent away."""

from __future__ import annotations

from engine.serving.http.pace import LEAST_WAIT_S, MOST_WAIT_S, Pace


def _busy(n_open: int, ends: list[float]) -> Pace:
    pace = Pace()
    for _ in range(n_open):
        pace.begin(0.0)
    for at in ends:
        pace.end(at)
    return pace


def test_the_wait_is_that_of_those_ahead_at_the_pace_so_far() -> None:
    assert _busy(10, [2.0, 4.0, 6.0]).wait_s(5, 6.0) == 10
    assert _busy(10, [2.0, 4.0, 6.0]).wait_s(5, 12.0) == 20  # nothing has ended for a while


def test_time_without_work_does_not_count() -> None:
    pace = _busy(2, [1.0, 2.0])
    pace.begin(3600.0)
    assert pace.wait_s(3, 3601.0) == 5  # two ends in three busy seconds


def test_only_the_last_ends_count() -> None:
    slow_then_quick = [100.0, *(100.0 + 0.1 * n for n in range(1, 33))]
    assert _busy(100, slow_then_quick).wait_s(30, 103.2) == 3 + 1


def test_it_has_bounds() -> None:
    assert Pace().wait_s(5, 0.0) == LEAST_WAIT_S
    assert _busy(9, [60.0]).wait_s(8, 60.0) == MOST_WAIT_S
    assert _busy(9, []).wait_s(2, 7.0) == 14  # none has ended yet: it will take at least as long again
