"""Plain constrained decoding against fast-forward and lookup, on receipts: the same text but for near-ties."""

from __future__ import annotations

import math
import queue
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from engine.llama import bindings
from engine.llama.constrain import Grammar, GrammarCompiler
from engine.llama.context import Context
from engine.llama.model import Model
from engine.llama.sampler import SamplingSettings
from engine.serving.engine import Engine, Outgoing
from engine.serving.sequence import Delta, GenerationRequest, Ticket
from tests.engine.served import plan
from tests.engine.serving.receipts import CONSTRAINT, prompt

pytestmark = [pytest.mark.native, pytest.mark.slow]

N_RECEIPTS = 12
NEAR_TIE = 0.65
"""Two ways to go on, of which none is more likely than this, under the constraint."""
GREEDY = SamplingSettings(temperature=0.0)
PLAIN: dict[str, Any] = {"fast_forward": False, "lookup": False}


class Bench:
    """An engine, and requests made of receipts."""

    def __init__(self, model: Model) -> None:
        self._deltas: queue.Queue[Delta] = queue.Queue()
        self._vocabulary = model.vocabulary
        self.context = Context(model, plan())
        self.engine = Engine(model, self.context, post=self._post, on_broken=self._broken)
        self.grammar: Grammar = GrammarCompiler(model.vocabulary).compile(CONSTRAINT)
        self.engine.start()

    def _post(self, outgoing: Outgoing) -> None:
        for _, delta in outgoing:
            self._deltas.put(delta)

    def _broken(self, error: Exception) -> None:
        raise AssertionError(str(error))

    def read(self, number: int, sampling: SamplingSettings = GREEDY, **how: Any) -> Delta:
        tokens = self._vocabulary.tokenize(prompt(number), parse_special=True, add_bos=False)
        base = GenerationRequest(tuple(tokens), sampling, max_tokens=160, streamed=False, grammar=self.grammar)
        self.engine.submit(Ticket(replace(base, **how), lambda delta: None))
        delta = self._deltas.get(timeout=60)
        assert delta.finish is not None
        assert delta.error is None
        return delta


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    bindings.install_log(lambda level, line: None)
    model = Model.load(plan(), lambda ratio: True)
    made = Bench(model)
    yield made
    assert made.engine.stop(10)
    made.context.close()
    model.close()


@pytest.fixture(scope="module")
def plain(bench: Bench) -> list[Delta]:
    """Each receipt decoded token by token, nothing reused, with the probability of each token."""
    telling = replace(GREEDY, top_logprobs=0, masked_logprobs=True)
    return [bench.read(number, telling, reuse_prefix=False, **PLAIN) for number in range(N_RECEIPTS)]


def near_tie(told: Delta, text: str) -> bool:
    """Whether ``text`` leaves the told answer where that was about to be something else anyway.

    The token that covers the first different byte and the two before are looked at: different tokens may begin with the
    same bytes.
    """
    mine, other = told.text.encode(), text.encode()
    at = next((n for n, pair in enumerate(zip(mine, other, strict=False)) if pair[0] != pair[1]), len(mine))
    around: list[float] = []
    position = 0
    for shown in told.logprobs:
        assert shown.logprob.masked_logprob is not None
        around.append(math.exp(shown.logprob.masked_logprob))
        position += len(shown.piece)
        if position > at:
            break
    return min(around[-3:]) < NEAR_TIE


WAYS: dict[str, dict[str, Any]] = {
    "reuse": PLAIN,
    "both": {},
    "both, telling": {"sampling": replace(GREEDY, top_logprobs=0)},
}


@pytest.mark.parametrize("way", WAYS)
def test_the_text_is_that_of_plain_decoding_but_for_near_ties(way: str, bench: Bench, plain: list[Delta]) -> None:
    found = [bench.read(number, **WAYS[way]) for number in range(N_RECEIPTS)]
    different = [number for number in range(N_RECEIPTS) if found[number].text != plain[number].text]
    assert [number for number in different if not near_tie(plain[number], found[number].text)] == []
    assert len(different) <= N_RECEIPTS // 3


def test_it_takes_fewer_steps_and_says_so(bench: Bench, plain: list[Delta]) -> None:
    before = bench.engine.steps
    slow = [bench.read(number, **PLAIN) for number in range(4)]
    between = bench.engine.steps
    fast = [bench.read(number) for number in range(4)]
    after = bench.engine.steps
    assert after - between < between - before
    assert all(delta.timings is not None and delta.timings.forced_tokens == 0 for delta in slow)
    for delta in fast:
        assert delta.timings is not None
        assert delta.timings.forced_tokens >= 9
        assert delta.timings.accepted_tokens <= delta.timings.drafted_tokens
        assert delta.timings.completion_tokens > delta.timings.forced_tokens + delta.timings.accepted_tokens


def test_as_many_tokens_are_counted_as_there_are(bench: Bench) -> None:
    telling = replace(GREEDY, top_logprobs=0)
    for how in (PLAIN, {}, {"forced_logprobs": False}):
        delta = bench.read(2, telling, **how)
        assert delta.timings is not None
        assert b"".join(shown.piece for shown in delta.logprobs).decode() == delta.text
        assert delta.timings.completion_tokens == len(delta.logprobs)


def test_what_is_forced_can_be_told_as_certain_in_fewer_steps(bench: Bench) -> None:
    telling = replace(GREEDY, top_logprobs=0, masked_logprobs=True)
    begun = bench.engine.steps
    verified = bench.read(3, telling, lookup=False)
    between = bench.engine.steps
    told = bench.read(3, telling, lookup=False, forced_logprobs=False)
    assert bench.engine.steps - between < between - begun
    assert told.timings is not None
    certain = [shown for shown in told.logprobs if shown.logprob.logprob == 0.0]
    assert len(certain) >= told.timings.forced_tokens > 0
    if told.text == verified.text:  # the chosen ones have the same chances either way
        pairs = zip(told.logprobs, verified.logprobs, strict=True)
        assert all(
            one.logprob.masked_logprob == pytest.approx(other.logprob.masked_logprob, abs=0.15) for one, other in pairs
        )
