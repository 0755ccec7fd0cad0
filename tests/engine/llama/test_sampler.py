"""Sampling against a plain reference, and what each setting promises."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import RequestError
from engine.llama import sampler as sampling
from engine.llama.context import Logits
from engine.llama.sampler import Sampler, SamplingSettings, most_likely

_OPEN = SamplingSettings(temperature=1.0, top_k=0, top_p=1.0, min_p=0.0)


def _logits(seed: int, size: int = 5000) -> Logits:
    return np.random.default_rng(seed).normal(0, 3, size).astype(np.float32)


def _reference(logits: Logits, asked: SamplingSettings) -> dict[int, float]:
    """Token -> probability, by the definitions and in the slow order of a textbook."""
    order = sorted(range(len(logits)), key=lambda token: (-float(logits[token]), token))
    if asked.top_k:
        order = order[: asked.top_k]
    best = float(logits[order[0]])
    weights = [math.exp(float(logits[token]) - best) for token in order]
    total = sum(weights)
    kept: list[int] = []
    mass = 0.0
    for token, weight in zip(order, weights, strict=True):
        if kept and mass >= asked.top_p * total:
            break
        kept.append(token)
        mass += weight
    kept = [token for token in kept if token == order[0] or math.exp(float(logits[token]) - best) >= asked.min_p]
    tempered = {token: math.exp((float(logits[token]) - best) / asked.temperature) for token in kept}
    return {token: weight / sum(tempered.values()) for token, weight in tempered.items()}


@pytest.mark.parametrize(
    "asked",
    [
        replace(_OPEN, top_k=5),
        replace(_OPEN, top_p=0.5),
        replace(_OPEN, min_p=0.3),
        replace(_OPEN, top_k=40, top_p=0.9, min_p=0.1, temperature=0.7),
        replace(_OPEN, top_k=20, temperature=2.0),
    ],
)
def test_draws_follow_the_textbook(asked: SamplingSettings) -> None:
    logits = _logits(3)
    expected = _reference(logits, asked)
    sampler = Sampler(asked)
    n = 4000
    drawn = Counter(sampler.sample(logits.copy())[0] for _ in range(n))
    assert set(drawn) <= set(expected)
    for token, probability in expected.items():
        tolerance = 5 * math.sqrt(probability * (1 - probability) / n) + 1e-9
        assert drawn[token] / n == pytest.approx(probability, abs=tolerance)


def test_an_open_distribution_is_drawn_from_as_a_whole() -> None:
    logits = np.zeros(1000, np.float32)
    sampler = Sampler(_OPEN)
    assert len({sampler.sample(logits)[0] for _ in range(3000)}) > 900


@given(st.integers(0, 50), st.integers(1, 300), st.sampled_from([100, 640, 4096, 5000, 8191]))
@settings(max_examples=60, deadline=None)
def test_the_most_likely_are_exact(seed: int, count: int, size: int) -> None:
    logits = _logits(seed, size).round(1)  # rounded, so that there are ties
    expected = np.lexsort((np.arange(size), -logits))[:count]
    assert most_likely(logits, count).tolist() == expected.tolist()


def test_what_is_ruled_out_is_not_among_the_most_likely() -> None:
    logits = np.full(5000, -np.inf, np.float32)
    logits[[4999, 17, 40]] = (1.0, 3.0, 2.0)
    assert most_likely(logits, 30).tolist() == [17, 40, 4999]


@pytest.mark.parametrize(
    "asked",
    [
        SamplingSettings(seed=5),
        SamplingSettings(seed=5, min_p=0.0, top_p=1.0),
        SamplingSettings(seed=5, top_k=0, top_p=0.9, min_p=0.02),
        SamplingSettings(seed=5, temperature=1.7, min_p=0.0),
    ],
)
def test_few_candidates_are_drawn_from_as_many_are(asked: SamplingSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The short ways for few candidates take the same tokens as the long ones, whatever was sampled before."""
    noise = np.random.default_rng(11)
    steps = [(noise.normal(0, 1 + n % 4, 5_000)).astype(np.float32) for n in range(40)]
    short = Sampler(asked)
    drawn = [short.sample(step.copy())[0] for step in steps]
    monkeypatch.setattr(sampling, "_FEW", -1)
    long = Sampler(asked)
    assert [long.sample(step.copy())[0] for step in steps] == drawn
    assert len(set(drawn)) > 10


def test_greedy_takes_the_best_and_the_first_of_equals() -> None:
    logits = _logits(1)
    logits[[17, 40]] = 99.0
    assert Sampler(replace(_OPEN, temperature=0.0)).sample(logits)[0] == 17


@pytest.mark.parametrize("temperature", [1e-7, 1e-40, 1e-50, 5e-324])
@pytest.mark.parametrize("asked", [_OPEN, SamplingSettings()])
def test_the_smallest_temperatures_take_the_best(asked: SamplingSettings, temperature: float) -> None:
    logits = _logits(5)
    token, _ = Sampler(replace(asked, temperature=temperature)).sample(logits)
    assert token == int(logits.argmax())


def test_a_seed_repeats_and_choices_of_one_seed_differ() -> None:
    def draw(seed: int, stream: int) -> list[int]:
        sampler = Sampler(replace(_OPEN, seed=seed), stream=stream)
        return [sampler.sample(_logits(i))[0] for i in range(20)]

    assert draw(5, 0) == draw(5, 0)
    assert draw(5, 0) != draw(6, 0)
    assert draw(5, 0) != draw(5, 1)


def test_a_bias_forces_and_forbids() -> None:
    greedy = replace(_OPEN, temperature=0.0)
    best = int(_logits(2).argmax())
    assert Sampler(replace(greedy, logit_bias={123: 100.0})).sample(_logits(2))[0] == 123
    assert Sampler(replace(greedy, logit_bias={best: -100.0})).sample(_logits(2))[0] != best
    assert Sampler(greedy, banned=[best]).sample(_logits(2))[0] != best


def test_penalties_change_seen_tokens_alone() -> None:
    asked = replace(_OPEN, temperature=0.0, repeat_penalty=2.0, frequency_penalty=0.5, presence_penalty=0.25)
    sampler = Sampler(asked)
    sampler.observe([1, 1, 2])
    logits = np.array([0.0, 4.0, -4.0, 0.5], np.float32)
    token, _ = sampler.sample(logits)
    assert token == 1
    np.testing.assert_allclose(logits, [0.0, 4.0 / 2 - 2 * 0.5 - 0.25, -4.0 * 2 - 0.5 - 0.25, 0.5])


def test_the_penalty_window_forgets() -> None:
    sampler = Sampler(replace(_OPEN, temperature=0.0, presence_penalty=1.0, penalty_tokens=2))
    sampler.observe([0, 1, 2])
    logits = np.zeros(4, np.float32)
    sampler.sample(logits)
    assert logits.tolist() == [0.0, -1.0, -1.0, 0.0]


def test_logprobs_are_the_models_own_before_any_setting() -> None:
    asked = replace(_OPEN, temperature=0.0, top_logprobs=3, logit_bias={7: 100.0})
    logits = _logits(4)
    expected = logits.astype(np.float64) - np.log(np.exp(logits.astype(np.float64)).sum())
    best = np.argsort(-expected)[:3]
    token, shown = Sampler(asked).sample(logits)
    assert shown is not None
    assert token == shown.token == 7
    assert shown.logprob == pytest.approx(expected[7], abs=1e-3)
    assert [other for other, _ in shown.top] == best.tolist()
    assert [value for _, value in shown.top] == pytest.approx(expected[best].tolist(), abs=1e-3)


@pytest.mark.parametrize("asked", [_OPEN, replace(_OPEN, temperature=0.0), SamplingSettings()])
def test_what_is_not_a_number_is_a_named_failure(asked: SamplingSettings) -> None:
    logits = _logits(0)
    logits[:] = np.nan
    with pytest.raises(RequestError, match="not a number"):
        Sampler(asked).sample(logits)
