"""Taking a prefix over changes nothing about the text, for every kind of memory that llama.cpp has."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.llama import bindings
from engine.llama.context import MemoryKind
from engine.serving.checkpoints import LEAST_TOKENS
from tests.engine.serving.benched import Bench, Outcome, ask_for, same_text
from tests.made_models import TINY_RECIPES, make_tiny
from tests.made_recipes import WORDS

pytestmark = pytest.mark.native

SOME, MANY = 90, 400
"""Tokens: within a window of 128, and far beyond it."""


def words(n: int, seed: int) -> list[int]:
    rng = random.Random(seed)
    return [rng.randrange(3, WORDS) for _ in range(n)]


PARTS = " in parts"
"""Each sequence has a part of the cache for itself, and prefixes are copied."""


@pytest.fixture(scope="module", params=[*sorted(TINY_RECIPES), "llama" + PARTS, "latent" + PARTS])
def bench(request: pytest.FixtureRequest, made_folder: Path) -> Iterator[Bench]:
    bindings.install_log(lambda level, line: None)
    name, parts = request.param.removesuffix(PARTS), request.param.endswith(PARTS)
    path = make_tiny(TINY_RECIPES[name], made_folder / f"tiny-{name}.gguf")
    n_ctx = 4 * 2048 if parts else 2048
    made = Bench(path, n_ctx=n_ctx, n_ctx_train=2048, n_batch=256, n_ubatch=128, n_seq_max=4, kv_unified=not parts)
    yield made
    state = made.used_when_forgotten()
    made.close()
    assert (state.used_cells, state.checkpoint_bytes) == (0, 0)


@pytest.fixture(autouse=True)
def _fresh(bench: Bench) -> None:
    bench.used_when_forgotten()


def alone(bench: Bench, tokens: list[int]) -> Outcome:
    """The text when everything is computed for this request."""
    (answer,) = bench.run(ask_for(tokens, reuse=False))
    assert answer.cached == 0
    return answer


def test_a_second_turn_goes_on_where_the_first_ended(bench: Bench) -> None:
    for n in (SOME, MANY):
        first = words(n, seed=n)
        (answer,) = bench.run(ask_for(first))
        second = [*first, *answer.tokens, *words(40, seed=1)]
        (again,) = bench.run(ask_for(second))
        assert again.cached == len(first) + len(answer.tokens) - 1  # the last one was chosen, and never computed
        assert same_text(again, alone(bench, second))


def test_the_same_question_again_is_hardly_computed_again(bench: Bench) -> None:
    prompt = words(MANY, seed=2)
    expected = alone(bench, prompt)
    bench.used_when_forgotten()
    bench.run(ask_for(prompt))
    for _ in range(2):
        (again,) = bench.run(ask_for(prompt))
        assert again.cached >= MANY - 4
        assert same_text(again, expected)


def test_an_edited_question_keeps_the_conversation_before_it(bench: Bench) -> None:
    first = words(MANY, seed=3)
    (answer,) = bench.run(ask_for(first))
    history = [*first, *answer.tokens]
    bench.run(ask_for([*history, *words(80, seed=4)]))
    edited = [*history, *words(80, seed=5)]
    (again,) = bench.run(ask_for(edited))
    assert again.cached >= len(history) - LEAST_TOKENS
    assert same_text(again, alone(bench, edited))


def test_a_shared_beginning_is_computed_once_for_those_who_come_one_after_the_other(bench: Bench) -> None:
    shared = words(300, seed=6)
    prompts = [[*shared, *words(100, seed=10 + n)] for n in range(3)]
    answers = [bench.run(ask_for(prompt))[0] for prompt in prompts]
    assert answers[2].cached >= 300  # a running state is copied where the second parted from the first
    for prompt, answer in zip(prompts, answers, strict=True):
        assert same_text(answer, alone(bench, prompt))


def test_a_shared_beginning_is_computed_once_for_those_who_come_together(bench: Bench) -> None:
    shared = words(300, seed=7)
    prompts = [[*shared, *words(50 + n, seed=20 + n)] for n in range(4)]
    answers = bench.run(*(ask_for(prompt) for prompt in prompts))
    assert sorted(answer.cached for answer in answers) == [0, 300, 300, 300]
    for prompt, answer in zip(prompts, answers, strict=True):
        assert same_text(answer, alone(bench, prompt))


def test_others_in_between_do_not_spoil_what_is_kept(bench: Bench) -> None:
    first = words(MANY, seed=8)
    (answer,) = bench.run(ask_for(first))
    for n in range(3):  # they write over the windows of those who are idle
        bench.run(ask_for(words(MANY, seed=30 + n)))
    parted = [*first[:300], *words(20, seed=9)]
    (again,) = bench.run(ask_for(parted))
    assert same_text(again, alone(bench, parted))
    second = [*first, *answer.tokens, *words(20, seed=9)]
    (again,) = bench.run(ask_for(second))
    assert same_text(again, alone(bench, second))


def test_many_that_share_a_long_beginning_fit_side_by_side(bench: Bench) -> None:
    """Windowed layers have room for a few windows only, not for a beginning that everyone holds on to."""
    shared = words(900, seed=11)
    prompts = [[*shared, *words(20 + n, seed=40 + n)] for n in range(4)]
    answers = bench.run(*(ask_for(prompt, n=150) for prompt in prompts))
    assert [answer.delta.finish for answer in answers] == ["length"] * 4
    assert bench.engine.state().preemptions == 0


def test_kinds_of_memory_are_told_apart(bench: Bench) -> None:
    kinds = {"tiny-hybrid": MemoryKind.STATE, "tiny-recurrent": MemoryKind.STATE, "tiny-gated-delta": MemoryKind.STATE}
    windowed = ("tiny-windowed", "tiny-windowed-experts", "tiny-sharing")
    kinds.update(dict.fromkeys(windowed, MemoryKind.WINDOWED))
    name = bench.model_name
    assert bench.context.memory_kind is kinds.get(name, MemoryKind.CELLS)
