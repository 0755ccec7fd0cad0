"""Fewer threads on busy processors: tried with a reason, kept when better, given back when the reason is gone."""

from __future__ import annotations

from collections.abc import Callable

from engine.serving.threads import FIRST_TRIAL_STEP, HOLD_STEPS, TRIAL_STEPS, Threads

Cost = Callable[[int], float]
"""Seconds of a step by the number of threads."""


def quiet(count: int) -> float:
    return 0.08 / count


def busy(count: int) -> float:
    return 0.1 if count > 2 else 0.04


def run(threads: Threads, cost: Cost, steps: int) -> list[int]:
    """The numbers of threads of so many steps."""
    used = []
    for _ in range(steps):
        used.append(threads.count)
        threads.note(1, cost(threads.count))
    return used


def test_on_quiet_processors_it_is_tried_once() -> None:
    used = run(Threads(4), quiet, 3000)
    assert used[:FIRST_TRIAL_STEP] == [4] * FIRST_TRIAL_STEP
    assert used.count(2) == TRIAL_STEPS


def test_processors_that_are_busy_from_the_start_get_fewer() -> None:
    used = run(Threads(4), busy, 1000)
    assert used.count(2) > 0.9 * len(used)


def test_busy_processors_get_fewer_until_they_are_quiet_again() -> None:
    threads = Threads(4)
    run(threads, quiet, 500)
    used = run(threads, busy, 500)
    assert used.count(2) > 0.5 * len(used)
    used = run(threads, quiet, 2 * HOLD_STEPS)
    assert used[-1] == 4


def test_what_is_slow_for_another_reason_keeps_its_threads() -> None:
    threads = Threads(4)
    run(threads, quiet, 300)
    used = run(threads, lambda count: 3 * quiet(count), 2000)
    assert used.count(2) < 0.03 * len(used)


def test_cards_are_left_alone() -> None:
    assert set(run(Threads(8, adapts=False), busy, 500)) == {8}
    assert set(run(Threads(1), busy, 500)) == {1}
