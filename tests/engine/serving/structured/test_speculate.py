"""Guesses copied from what was there before, and when they pay."""

from __future__ import annotations

import pytest

from engine.serving.speculate import NO_GUESS, Guess, Lookup, StepCosts, best_length


def costs(*seconds: float) -> StepCosts:
    made = StepCosts()
    for n_rows, value in enumerate(seconds, 1):
        made.note(n_rows, value)
    return made


@pytest.mark.parametrize(
    ("tokens", "guess"),
    [
        ([], NO_GUESS),
        ([1], NO_GUESS),
        ([1, 2, 3], NO_GUESS),
        ([1, 2, 3, 1], Guess([2, 3, 1], 1)),
        ([5, 1, 2, 9, 8, 5, 1, 2], Guess([9, 8, 5, 1], 3)),
        ([1, 2, 7, 3, 2, 8, 1, 2], Guess([7, 3, 2, 8], 2)),  # the longest match, not the latest
        ([1, 2, 7, 1, 2, 8, 1, 2], Guess([8, 1, 2], 2)),  # of equals the latest
        ([4, 4, 4, 4, 4, 4, 4], Guess([4], 4)),
    ],
)
def test_the_guess_is_what_followed_the_longest_match(tokens: list[int], guess: Guess) -> None:
    assert Lookup(tokens).guess(4) == guess


def test_what_the_sequence_says_itself_is_searched_too() -> None:
    lookup = Lookup(list(range(300)))
    lookup.extend(list(range(1000, 1600)))
    lookup.extend([1001, 1002])
    assert lookup.guess(2) == Guess([1003, 1004], 2)
    assert lookup.size == 902


def test_chances_follow_what_came_true() -> None:
    lookup = Lookup([1, 2, 3, 1, 2])
    guess = lookup.guess(1)
    before = lookup.chance(guess)
    lookup.learn(guess, 0, 1)
    assert lookup.chance(guess) < before
    for _ in range(50):
        lookup.learn(guess, 4, 4)
    assert lookup.chance(guess) > 0.95
    assert lookup.chance(NO_GUESS) == 0.0
    lookup.learn(NO_GUESS, 0, 1)


@pytest.mark.parametrize(
    ("chance", "seconds", "length"),
    [
        (0.9, (10.0, 10.5, 11.0, 11.5, 12.0), 4),  # a GPU: rows are nearly free
        (0.9, (10.0, 18.0, 24.0, 31.0, 38.0), 2),  # a CPU: copying word for word still pays
        (0.6, (10.0, 18.0, 24.0, 31.0, 38.0), 0),
        (0.3, (10.0, 13.0, 16.0, 19.0, 22.0), 0),
        (0.99, (10.0, 20.0, 30.0, 40.0, 50.0), 0),  # a row costs a step: nothing to win
        (0.9, (), 0),  # nothing measured yet
    ],
)
def test_guesses_are_as_many_as_pay(chance: float, seconds: tuple[float, ...], length: int) -> None:
    assert best_length(chance, costs(*seconds), 1, 4) == length


def test_costs_between_and_beyond_what_was_measured() -> None:
    made = StepCosts()
    assert made.seconds(3) == 0.0
    made.note(1, 10.0)
    assert 10.0 < made.seconds(2) < made.seconds(5) < 50.0
    made.note(5, 30.0)
    assert made.seconds(3) == pytest.approx(20.0)
    assert made.seconds(9) > 30.0


def test_one_slow_step_does_not_spoil_the_costs() -> None:
    made = costs(10.0)
    made.note(1, 10_000.0)
    assert made.seconds(1) < 15.0
