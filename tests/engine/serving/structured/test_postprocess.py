"""Guesses and forced text against a made-up model that reads its cells: exactly the same tokens, and no stale cell."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.llama.constrain import Grammar
from engine.llama.context import Logits
from engine.llama.sampler import SamplingSettings
from engine.llama.tokens import Vocabulary
from engine.serving.kv import KvCache
from engine.serving.metrics import Metrics
from engine.serving.postprocess import Postprocessor, open_sequences
from engine.serving.scheduler import Scheduler, Step
from engine.serving.sequence import Delta, GenerationRequest, Ticket

N_VOCAB = 24
END = 0


class Words:
    """A vocabulary of letters; token 0 ends the text."""

    end_tokens = frozenset({END})

    def piece(self, token: int) -> bytes:
        return b"" if token == END else bytes([96 + token])


class Cells:
    """A model's memory: what every slot really holds, and logits that depend on the last two tokens there."""

    def __init__(self, *, cuttable: bool = True) -> None:
        self.held: dict[int, list[int]] = {}
        self._cuttable = cuttable
        self._rows: list[tuple[int, int]] = []

    def share(self, source: int, target: int, n_tokens: int, state: Any = None) -> bool:
        self.held[target] = self.held[source][:n_tokens]
        return True

    def truncate(self, sequence: int, n_tokens: int) -> bool:
        if n_tokens and not self._cuttable:
            return False
        del self.held.setdefault(sequence, [])[n_tokens:]
        return True

    def first_position(self, sequence: int) -> int:
        return 0

    def save_state(self, sequence: int) -> Any:
        return np.zeros(1, np.uint8)

    def load_state(self, sequence: int, state: Any) -> bool:
        return True

    def compute(self, step: Step) -> None:
        self._rows = []
        for part in step.slices:
            held = self.held.setdefault(part.sequence.slot, [])
            assert len(held) == part.start, "a stale cell was left behind, or one is missing"
            held += part.sequence.tokens[part.start : part.start + part.count]
            self._rows += [(part.sequence.slot, part.start + n) for n in range(part.count)]

    def logits(self, row: int) -> Logits:
        slot, position = self._rows[row]
        before = self.held[slot][: position + 1][-2:]
        rng = np.random.default_rng(sum(token * 31**n for n, token in enumerate(before)))
        values = rng.normal(0.0, 3.0, N_VOCAB).astype(np.float32)
        values[END] -= 2.0
        return values


class Rhyme:
    """A grammar's matcher: after each third letter, the next two are forced to repeat the first two of all."""

    def __init__(self) -> None:
        self._said: list[int] = []

    stopped = False
    accepting = True

    def _due(self) -> list[int]:
        place = len(self._said) % 5
        return self._said[place - 3 : 2] if len(self._said) > 2 and place >= 3 else []

    def allows(self, token: int) -> bool:
        due = self._due()
        return token == due[0] if due else True

    def allowed(self) -> Any:
        return np.array([self.allows(token) for token in range(N_VOCAB)])

    def advance(self, token: int) -> None:
        assert self.allows(token)
        self._said.append(token)

    def forced(self, most: int) -> list[int]:
        due = self._due()[:most]
        self._said += due
        return due

    def upcoming(self, most: int) -> list[int]:
        return self._due()[:most]

    def longest(self, tokens: list[int]) -> int:
        copy = Rhyme()
        copy._said = list(self._said)
        for n, token in enumerate(tokens):
            if not copy.allows(token):
                return n
            copy.advance(token)
        return len(tokens)


class Rhymes:
    """A compiled grammar of them."""

    def matcher(self) -> Rhyme:
        return Rhyme()


class Bench:
    """Scheduler and postprocessor on a made-up model; rows cost next to nothing, so that it guesses all it can."""

    def __init__(self, *, cuttable: bool = True) -> None:
        self.cells = Cells(cuttable=cuttable)
        self.cache = KvCache(self.cells, n_cells=600, n_slots=4)
        self.scheduler = Scheduler(self.cache, n_batch=64, n_ubatch=64, n_outputs_max=16)
        words = cast(Vocabulary, Words())
        self.last = Postprocessor(
            words, self.scheduler, Metrics(), self.cells.logits, rewindable_tokens=600, most_logits=16
        )
        for n_rows in range(1, 17):
            self.last.costs.note(n_rows, 1.0 + n_rows / 100)
        self._words = words
        self.steps = 0

    def open(self, request: GenerationRequest, sink: Callable[[Delta], None]) -> None:
        self.scheduler.add(open_sequences(Ticket(request, sink), self._words, 300))

    def run(self) -> None:
        while (step := self.scheduler.schedule()) is not None:
            self.cells.compute(step)
            self.scheduler.on_done(step, 0.01)
            self.last.run(step)
            self.steps += 1
            for sink, delta in self.last.take_outgoing():
                sink(delta)

    def answer(self, seed: int, temperature: float, **how: Any) -> tuple[Delta, int]:
        prompt = tuple(random.Random(seed).choices(range(1, 6), k=60))
        request = GenerationRequest(
            prompt, SamplingSettings(temperature=temperature, seed=seed), max_tokens=80, streamed=False, **how
        )
        deltas: list[Delta] = []
        before = self.steps
        self.open(request, deltas.append)
        self.run()
        (delta,) = deltas
        return delta, self.steps - before


@pytest.mark.parametrize("temperature", [0.0, 0.9])
@given(seed=st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_guesses_change_the_steps_and_not_one_token(temperature: float, seed: int) -> None:
    plain, many = Bench().answer(seed, temperature, lookup=False)
    guessed, few = Bench().answer(seed, temperature, lookup=True)
    assert guessed.text == plain.text
    assert guessed.finish == plain.finish
    assert guessed.timings is not None
    assert plain.timings is not None
    assert guessed.timings.completion_tokens == plain.timings.completion_tokens
    assert few <= many
    assert many - few in (guessed.timings.accepted_tokens, guessed.timings.accepted_tokens - 1)  # the last saves none


@given(seed=st.integers(0, 10_000), lookup=st.booleans(), told=st.booleans())
@settings(max_examples=60, deadline=None)
def test_forced_text_is_that_of_plain_decoding(seed: int, lookup: bool, told: bool) -> None:
    grammar = cast(Grammar, Rhymes())
    plain, many = Bench().answer(seed, 0.0, grammar=grammar, lookup=False, fast_forward=False)
    forced, few = Bench().answer(seed, 0.0, grammar=grammar, lookup=lookup)
    assert forced.text == plain.text
    assert forced.timings is not None
    assert plain.timings is not None
    assert forced.timings.completion_tokens == plain.timings.completion_tokens
    assert few <= many
    if len(plain.text) > 20:
        assert forced.timings.forced_tokens >= 6


@given(seed=st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_with_probabilities_asked_for_forced_text_is_verified_instead(seed: int) -> None:
    grammar = cast(Grammar, Rhymes())
    told = SamplingSettings(temperature=0.0, top_logprobs=0)
    bench, deltas = Bench(), list[Delta]()
    prompt = tuple(random.Random(seed).choices(range(1, 6), k=60))
    bench.open(GenerationRequest(prompt, told, max_tokens=40, streamed=False, grammar=grammar), deltas.append)
    bench.run()
    plain, _ = Bench().answer(seed, 0.0, grammar=grammar, lookup=False, fast_forward=False)
    assert plain.text.startswith(deltas[0].text)
    assert b"".join(shown.piece for shown in deltas[0].logprobs).decode() == deltas[0].text


def test_several_at_once_do_not_guess_and_get_what_they_get_alone() -> None:
    alone = [Bench().answer(seed, 0.7, lookup=False)[0].text for seed in range(3)]
    bench = Bench()
    deltas: list[list[Delta]] = [[], [], []]
    for seed in range(3):
        prompt = tuple(random.Random(seed).choices(range(1, 6), k=60))
        sampling = SamplingSettings(temperature=0.7, seed=seed)
        bench.open(GenerationRequest(prompt, sampling, max_tokens=80, streamed=False), deltas[seed].append)
    bench.run()
    assert [deltas[seed][0].text for seed in range(3)] == alone


def test_a_memory_that_cannot_be_cut_after_all_starts_again() -> None:
    plain, _ = Bench().answer(4, 0.0, lookup=False)
    guessed, _ = Bench(cuttable=False).answer(4, 0.0, lookup=True)
    assert guessed.text == plain.text
