"""An engine in this process, and what its requests came to. For tests that look inside."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from engine.errors import WorkerError
from engine.llama.context import Context
from engine.llama.model import Model
from engine.llama.sampler import SamplingSettings
from engine.serving.engine import Engine, EngineState, Outgoing
from engine.serving.sequence import Delta, GenerationRequest, Ticket, Timings
from tests.engine.served import plan

T = TypeVar("T")

GREEDY = SamplingSettings(temperature=0.0, top_logprobs=2)


@dataclass(frozen=True)
class Outcome:
    """One answer: its tokens with their log-probabilities, and how far the second-best was behind."""

    tokens: tuple[int, ...]
    logprobs: tuple[float, ...]
    margins: tuple[float, ...]
    delta: Delta

    @property
    def timings(self) -> Timings:
        assert self.delta.timings is not None
        return self.delta.timings

    @property
    def cached(self) -> int:
        return self.timings.cached_tokens


class Bench:
    """An engine on a model file, with its own context."""

    def __init__(self, path: Path, **changes: object) -> None:
        made = plan(model_path=path, model_name=path.stem, **changes)
        self.model_name = path.stem
        self.model = Model.load(made, lambda ratio: True)
        self.context = Context(self.model, made)
        self.context.warm_up(0)
        self.broken: queue.Queue[WorkerError] = queue.Queue()
        self.engine = Engine(self.model, self.context, post=_deliver, on_broken=self.broken.put)
        self.engine.start()

    def submit(self, request: GenerationRequest) -> queue.Queue[Delta]:
        """Hand a request in; its deltas come out of the queue."""
        deltas: queue.Queue[Delta] = queue.Queue()
        self.engine.submit(Ticket(request, deltas.put))
        return deltas

    def run(self, *requests: GenerationRequest) -> list[Outcome]:
        """Submit all at once and wait for all."""
        held = threading.Event()
        self.engine.ask(lambda engine: held.wait(30), lambda answer: None)  # so that they arrive together
        waiting = [self.submit(replace(request, streamed=False)) for request in requests]
        held.set()
        return [outcome(deltas.get(timeout=120)) for deltas in waiting]

    def ask(self, question: Callable[[Engine], T]) -> T:
        """The answer to a question on the engine's thread."""
        answers: queue.Queue[T] = queue.Queue()
        self.engine.ask(question, answers.put)
        return answers.get(timeout=60)

    def used_when_forgotten(self) -> EngineState:
        """The engine's state once every idle prefix is dropped."""
        self.ask(Engine.drop_idle)
        return self.ask(Engine.state)

    def close(self) -> None:
        assert self.engine.stop(30)
        self.context.close()
        self.model.close()


def _deliver(outgoing: Outgoing) -> None:
    for sink, delta in outgoing:
        sink(delta)


def outcome(delta: Delta) -> Outcome:
    """From the one delta of an answer that is not streamed."""
    chosen = [shown.logprob for shown in delta.logprobs]
    return Outcome(
        tuple(one.token for one in chosen),
        tuple(one.logprob for one in chosen),
        tuple(one.top[0][1] - one.top[1][1] for one in chosen),
        delta,
    )


def ask_for(tokens: Sequence[int], *, n: int = 12, reuse: bool = True, **changes: object) -> GenerationRequest:
    """A greedy request for exactly ``n`` tokens."""
    request = GenerationRequest(tuple(tokens), GREEDY, max_tokens=n, ignore_end=True, reuse_prefix=reuse)
    return replace(request, **changes)  # type: ignore[arg-type]


NEAR_TIE = 0.05
"""Log-probabilities closer than this may change places when llama.cpp computes in batches of another shape."""


def same_text(one: Outcome, other: Outcome) -> bool:
    """Whether two answers agree up to the first near tie; what follows a near tie is not compared."""
    for a, b, p, q, margin in zip(one.tokens, other.tokens, one.logprobs, other.logprobs, one.margins, strict=True):
        if abs(p - q) > NEAR_TIE:
            return False
        if a != b:
            return margin < NEAR_TIE
    return True
