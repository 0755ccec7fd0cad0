"""What a request is answered does not hang on who else is served.

Ours exactly: sampling knows settings, seed and logits, nothing else. llama.cpp's up to rounding: a row of a batch is
computed by itself, but with how many others decides in which order sums are taken, and so the last bits of the logits.
Greedy text can differ where two tokens are nearly as likely as each other, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engine.llama import bindings
from engine.llama.sampler import Sampler, SamplingSettings
from tests.engine.serving.benched import NEAR_TIE, Bench, Outcome, ask_for, same_text

QUESTIONS = (
    "The capital of France is",
    "Once upon a time there was a small robot who",
    "To make a good soup you need",
    "def fibonacci(n):\n",
    "The three most common words in English are",
    "Dear Sir or Madam,\n\nI am writing to",
)


def test_samplers_know_nothing_of_each_other() -> None:
    rng = np.random.default_rng(5)
    rows = [rng.normal(0, 3, 5000).astype(np.float32) for _ in range(60)]
    settings = [SamplingSettings(seed=seed, repeat_penalty=1.1, top_p=0.9) for seed in (1, 2, 3)]
    alone = [[sampler.sample(row.copy())[0] for row in rows] for sampler in map(Sampler, settings)]
    samplers = list(map(Sampler, settings))
    together: list[list[int]] = [[], [], []]
    for row in rows:
        for texts, sampler in zip(together, samplers, strict=True):
            texts.append(sampler.sample(row.copy())[0])
    assert together == alone
    assert alone[0] != alone[1]


@pytest.fixture(scope="module")
def bench(starter: Path) -> Iterator[Bench]:
    bindings.install_log(lambda level, line: None)
    made = Bench(starter, n_ctx=2048, n_batch=512, n_ubatch=512, n_seq_max=6, n_outputs_max=6)
    yield made
    state = made.used_when_forgotten()
    made.close()
    assert state.used_cells == 0


def one_by_one(bench: Bench, prompts: list[list[int]]) -> list[Outcome]:
    return [bench.run(ask_for(prompt, n=24, reuse=False))[0] for prompt in prompts]


@pytest.mark.native
@pytest.mark.slow
def test_neighbours_change_a_text_at_near_ties_only(bench: Bench) -> None:
    prompts = [bench.model.vocabulary.tokenize(question, parse_special=False, add_bos=True) for question in QUESTIONS]
    alone = one_by_one(bench, prompts)
    together = bench.run(*(ask_for(prompt, n=24, reuse=False) for prompt in prompts))
    assert all(same_text(one, other) for one, other in zip(alone, together, strict=True))
    flipped = sum(one.tokens != other.tokens for one, other in zip(alone, together, strict=True))
    near_ties = sum(min(one.margins) < NEAR_TIE for one in alone)
    assert flipped <= near_ties  # no text without a near tie has changed


@pytest.mark.native
@pytest.mark.slow
def test_the_same_company_gives_the_same_bits(bench: Bench) -> None:
    prompts = [bench.model.vocabulary.tokenize(question, parse_special=False, add_bos=True) for question in QUESTIONS]
    first, second = one_by_one(bench, prompts[:2]), one_by_one(bench, prompts[:2])
    assert [one.tokens for one in first] == [one.tokens for one in second]
    assert [one.logprobs for one in first] == [one.logprobs for one in second]
