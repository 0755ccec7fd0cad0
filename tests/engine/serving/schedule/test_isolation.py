"""One request's fault is its own, and a request fails only when it alone does not fit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engine.llama import bindings
from engine.llama.context import DecodeResult, Logits
from engine.serving.engine import Engine
from engine.serving.sequence import StepRecord
from tests.engine.serving.benched import Bench, ask_for
from tests.made_models import TINY_HYBRID, make_tiny

pytestmark = pytest.mark.native

CULPRIT = 13
"""A token that no other prompt here holds."""


@pytest.fixture
def bench(tiny_model: Path) -> Iterator[Bench]:
    bindings.install_log(lambda level, line: None)
    made = Bench(tiny_model, n_ctx=512, n_ctx_train=512, n_batch=128, n_ubatch=128)
    yield made
    state = made.used_when_forgotten()
    made.close()
    assert (state.used_cells, state.active, state.waiting) == (0, 0, 0)


def prompt(seed: int, n: int = 20) -> list[int]:
    return [20 + (7 * seed + 3 * index) % 200 for index in range(n)]


def test_a_batch_that_is_refused_fails_the_one_at_fault_only(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = [bench.run(ask_for(prompt(seed), reuse=False))[0].tokens for seed in (1, 2)]
    decode, context = bench.context.decode, bench.context

    def refuse(n_rows: int) -> int:
        return int(DecodeResult.INVALID) if CULPRIT in context.tokens[:n_rows] else decode(n_rows)

    monkeypatch.setattr(context, "decode", refuse)
    requests = [ask_for(tokens, reuse=False) for tokens in (prompt(1), [*prompt(3), CULPRIT, 20], prompt(2))]
    first, culprit, second = bench.run(*requests)
    assert culprit.delta.finish == "error"
    assert culprit.delta.error is not None
    assert culprit.delta.error.code == "invalid_batch"
    assert [first.tokens, second.tokens] == expected
    assert bench.broken.empty()


def test_what_is_not_a_number_fails_its_own_request_and_is_not_kept(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    logits, context = bench.context.logits, bench.context

    def broken(row: int) -> Logits:
        view = logits(row)
        if context.tokens[row] == CULPRIT:
            view[:] = np.nan
        return view

    monkeypatch.setattr(context, "logits", broken)
    bench.engine._postprocessor._logits = broken  # it holds the method since it was made
    whole, culprit = bench.run(ask_for(prompt(1)), ask_for([*prompt(3), CULPRIT]))
    assert whole.delta.finish == "length"
    assert culprit.delta.error is not None
    assert culprit.delta.error.code == "model_broken"
    assert bench.ask(Engine.state).idle_prefixes == 1


def test_a_prompt_that_alone_is_too_long_is_told_the_numbers(bench: Bench) -> None:
    (answer,) = bench.run(ask_for(prompt(1, n=600)))
    assert answer.delta.error is not None
    assert "600" in answer.delta.error.sentence
    assert "512" in answer.delta.error.sentence


def test_those_who_fit_alone_are_all_answered_whatever_they_need_together(bench: Bench) -> None:
    answers = bench.run(*(ask_for(prompt(seed, n=200), n=200) for seed in range(1, 5)))
    assert [answer.delta.finish for answer in answers] == ["length"] * 4


def test_a_traced_request_is_shown_its_steps(bench: Bench) -> None:
    (answer, other) = bench.run(ask_for(prompt(1, n=100), traced=True), ask_for(prompt(2, n=60)))
    steps = answer.timings.steps
    own = [sum(count for _, count in step.rows) for step in steps]
    assert sum(own) == 100 + 11  # the prompt, and every token but the last
    assert sum(step.n_rows for step in steps) <= 100 + 11 + 60 + 11
    assert all(step.decode_s > 0 for step in steps)
    assert other.timings.steps == ()
    kept: tuple[StepRecord, ...] = bench.ask(Engine.trace)
    assert len(kept) >= len(steps)


def test_states_that_a_broken_decode_may_have_moved_are_forgotten(
    made_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hybrid = Bench(make_tiny(TINY_HYBRID, made_folder / "tiny-hybrid.gguf"), n_ctx=512, n_ctx_train=512, n_batch=128)
    try:
        expected = hybrid.run(ask_for(prompt(1), reuse=False))[0]
        hybrid.run(ask_for(prompt(2)))
        decode, broken = hybrid.context.decode, [DecodeResult.INTERRUPTED]
        monkeypatch.setattr(hybrid.context, "decode", lambda n: int(broken.pop()) if broken else decode(n))
        (again,) = hybrid.run(ask_for(prompt(1)))
        assert again.tokens == expected.tokens
        assert hybrid.ask(Engine.state).idle_prefixes == 1
    finally:
        hybrid.close()
