"""Predicted speeds, and how measurements correct them."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.fit.budget import budgets
from engine.fit.calibration import NARROWEST, WIDEST, calibrate
from engine.fit.described import describe_machine
from engine.fit.experience import Experience, Place, SpeedSample
from engine.fit.facts import ModelFacts
from engine.fit.fit import fit_facts
from engine.fit.plan import Band, Plan, Speed, Wish
from engine.fit.rates import machine_rates
from engine.fit.sketched import sketch_facts
from engine.fit.speed import NO_OFFLOAD_TOKENS, experts_touched, offload_threshold
from engine.hub.catalogue import load_catalogue

RAW = Speed(Band(50.0, 100.0, 180.0), Band(6.5, 10.0, 14.0))


def _facts(name: str) -> ModelFacts:
    model = load_catalogue().find(name)
    assert model is not None
    return sketch_facts(model, model.variant())


def _samples(*ratios: float, model: str = "a.gguf", place: Place = "host") -> Experience:
    return Experience(tuple(SpeedSample(model, place, ratio, ratio) for ratio in ratios))


@pytest.mark.parametrize(("tokens", "times"), [(1, 1.0), (5, 4.7), (20, 15.0)])
def test_sessions_read_experts_of_their_own(tokens: int, times: float) -> None:
    """256 experts, 8 a token: figures of the reference."""
    more = experts_touched(256, 8, tokens) / experts_touched(256, 8, 1)
    assert more == pytest.approx(times, rel=0.02)


def test_one_token_of_a_dense_model_reads_everything() -> None:
    assert experts_touched(0, 0, 1) == 1.0


def test_nothing_measured_changes_nothing() -> None:
    assert calibrate(RAW, "a.gguf", "host", Experience()) == RAW
    # What a card did says nothing about main memory.
    assert calibrate(RAW, "a.gguf", "host", _samples(0.5, place="card")) == RAW


def test_one_measurement_moves_and_narrows_the_band() -> None:
    speed = calibrate(RAW, "a.gguf", "host", _samples(0.6))
    assert speed.calibrated
    assert speed.decode_tok_s.likely == pytest.approx(6.0)
    assert speed.decode_tok_s.low == pytest.approx(6.0 * (1 - WIDEST))
    assert speed.prefill_tok_s.likely == pytest.approx(60.0)
    # Divided by the factor it is the raw prediction again, so that the next measurement is compared with that.
    assert speed.decode_tok_s.likely / speed.decode_factor == pytest.approx(10.0)


def test_the_models_own_measurements_count_before_others() -> None:
    both = Experience((*_samples(2.0, 2.0, 2.0, model="b.gguf").samples, *_samples(0.5).samples))
    assert calibrate(RAW, "a.gguf", "host", both).decode_factor == 0.5


def test_other_models_move_the_band_as_far_as_they_agree_and_never_narrow_it() -> None:
    one = calibrate(RAW, "c.gguf", "host", _samples(0.5, 0.5, 0.5))
    assert not one.calibrated
    assert 0.5 < one.decode_factor < 1.0
    many = Experience(tuple(SpeedSample(f"{n}.gguf", "host", 0.5, 0.5) for n in range(20)))
    agreed = calibrate(RAW, "c.gguf", "host", many)
    assert 0.5 < agreed.decode_factor < 0.52
    band, raw = agreed.decode_tok_s, RAW.decode_tok_s
    assert band.high / band.low == pytest.approx(raw.high / raw.low)
    opposite = Experience((*_samples(2.0, model="b.gguf").samples, *_samples(0.5).samples))
    assert calibrate(RAW, "c.gguf", "host", opposite).decode_factor == pytest.approx(1.0)


def test_ratios_to_another_foundation_correct_nothing() -> None:
    assert calibrate(replace(RAW, basis="2 kernels"), "a.gguf", "host", _samples(0.5)).decode_factor == 1.0


def test_only_the_latest_measurements_count() -> None:
    assert calibrate(RAW, "a.gguf", "host", _samples(*[3.0] * 20, *[0.8] * 5)).decode_factor == 0.8


@given(st.lists(st.floats(0.05, 20.0), min_size=1, max_size=30))
def test_a_calibrated_band_is_no_wider_than_a_quarter(ratios: list[float]) -> None:
    band = calibrate(RAW, "a.gguf", "host", _samples(*ratios)).decode_tok_s
    assert band.low < band.likely < band.high
    assert NARROWEST * 0.999 <= (band.high - band.likely) / band.likely <= WIDEST * 1.001
    assert (band.likely - band.low) / band.likely <= WIDEST * 1.001


@pytest.mark.parametrize("spread", [0.02, 0.08, 0.14])
def test_eight_of_ten_measurements_lie_in_the_band_of_the_first_five(spread: float) -> None:
    """On machines that are steady to a few per cent and predicted wrong by a half."""
    inside = 0
    for seed in range(100):
        chance = random.Random(seed)
        ratios = [1.5 * chance.lognormvariate(0.0, spread) for _ in range(45)]
        band = calibrate(RAW, "a.gguf", "host", _samples(*ratios[:5])).decode_tok_s
        inside += sum(band.low <= 10.0 * ratio <= band.high for ratio in ratios[5:])
    assert inside >= 0.8 * 100 * 40


def test_copying_pays_early_on_a_quick_link_and_never_on_a_slow_one() -> None:
    facts = _facts("qwen3-30b-a3b")
    found = {}
    for link in ("50GB/s", "12GB/s", "10MB/s"):
        here = describe_machine(f"ram=64GiB,gpu=8GiB:450GB/s:{link},cpu=60GB/s")
        found[link] = offload_threshold(facts, machine_rates(here, budgets(here), 8))
    assert found["50GB/s"] is not None
    assert found["12GB/s"] is not None
    assert 32 <= found["50GB/s"] < found["12GB/s"] <= 4_096
    assert found["10MB/s"] == NO_OFFLOAD_TOKENS
    alone = describe_machine("ram=64GiB")
    assert offload_threshold(facts, machine_rates(alone, budgets(alone), 8)) is None


def test_documents_get_larger_batches_than_a_chat() -> None:
    facts = _facts("qwen3.6-35b-a3b")
    here = describe_machine("ram=64GiB,gpu=12GiB:360GB/s,cpu=50GB/s")
    chat, documents = (fit_facts(facts, Wish(n_ctx=8_192, profile=p), here) for p in ("chat", "documents"))
    assert isinstance(chat, Plan)
    assert isinstance(documents, Plan)
    assert documents.n_ubatch > chat.n_ubatch
    assert documents.speed is not None
    assert chat.speed is not None
    assert documents.speed.prefill_tok_s.likely > chat.speed.prefill_tok_s.likely


def test_fewer_experts_for_a_token_are_quicker() -> None:
    facts = _facts("qwen3-30b-a3b")
    here = describe_machine("ram=64GiB,cpu=50GB/s")
    usual, fewer = (fit_facts(facts, Wish(n_ctx=4_096, n_expert_used=n), here) for n in (None, 4))
    assert isinstance(usual, Plan)
    assert isinstance(fewer, Plan)
    assert fewer.n_expert_used == 4
    assert fewer.devices == usual.devices
    assert fewer.speed is not None
    assert usual.speed is not None
    assert fewer.speed.decode_tok_s.likely > 1.3 * usual.speed.decode_tok_s.likely


def test_a_plan_says_what_it_only_guesses() -> None:
    facts = replace(_facts("qwen3-30b-a3b"), estimated=())
    unknown = fit_facts(facts, Wish(n_ctx=4_096), describe_machine("ram=64GiB"))
    known = fit_facts(facts, Wish(n_ctx=4_096), describe_machine("ram=64GiB,cpu=50GB/s"))
    assert isinstance(unknown, Plan)
    assert isinstance(known, Plan)
    assert any("is a guess" in reason for reason in unknown.reasons)
    assert not any("is a guess" in reason for reason in known.reasons)
