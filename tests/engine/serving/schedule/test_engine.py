"""The engine's thread in this process: it says why it ended, and nobody is left waiting."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator

import pytest

from engine.errors import WorkerError
from engine.llama import bindings
from engine.llama.context import Context, DecodeResult
from engine.llama.model import Model
from engine.llama.sampler import SamplingSettings
from engine.serving.engine import Engine, Outgoing
from engine.serving.sequence import Delta, GenerationRequest, Ticket
from tests.engine.served import plan

pytestmark = pytest.mark.native

GREEDY = SamplingSettings(temperature=0.0)


class Bench:
    """An engine whose deltas land in a queue."""

    def __init__(self, model: Model) -> None:
        self.context = Context(model, plan(n_ctx=512, n_batch=64, n_ubatch=64))
        self.deltas: queue.Queue[Delta] = queue.Queue()
        self.broken: queue.Queue[WorkerError] = queue.Queue()
        self.engine = Engine(model, self.context, post=self._post, on_broken=self.broken.put)

    def _post(self, outgoing: Outgoing) -> None:
        for sink, delta in outgoing:
            sink(delta)

    def ask(self, *, n: int = 8, start: int = 1000) -> Ticket:
        request = GenerationRequest(tuple(range(start, start + 20)), GREEDY, max_tokens=n, ignore_end=True)
        ticket = Ticket(request, self.deltas.put)
        self.engine.submit(ticket)
        return ticket

    def last(self) -> Delta:
        while (delta := self.deltas.get(timeout=60)).finish is None:
            pass
        return delta


@pytest.fixture(scope="module")
def model() -> Iterator[Model]:
    bindings.install_log(lambda level, line: None)
    made = Model.load(plan(), lambda ratio: True)
    yield made
    made.close()


@pytest.fixture
def bench(model: Model) -> Iterator[Bench]:
    made = Bench(model)
    made.engine.start()
    yield made
    assert made.engine.stop(10)
    made.context.close()


def test_a_fatal_decode_ends_the_engine_and_everybody_hears_of_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench.context, "decode", lambda n_rows: -3)
    bench.ask()
    delta = bench.last()
    assert delta.finish == "error"
    assert delta.error is not None
    assert delta.error.status == 503
    assert bench.broken.get(timeout=10).code == "decode_failed"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_mistake_of_ours_ends_it_too(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def mistake(n_rows: int) -> int:
        raise ZeroDivisionError

    monkeypatch.setattr(bench.context, "decode", mistake)
    bench.ask()
    assert bench.last().finish == "error"
    assert bench.broken.get(timeout=10).code == "engine_failed"


def test_a_refused_batch_fails_its_own_requests_only(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    decode, failures = bench.context.decode, [DecodeResult.INVALID]
    monkeypatch.setattr(bench.context, "decode", lambda n_rows: int(failures.pop()) if failures else decode(n_rows))
    bench.ask(start=1000)
    assert bench.last().finish == "error"
    bench.ask(start=5000)
    assert bench.last().finish == "length"
    assert bench.broken.empty()


def test_an_interrupt_without_a_reason_changes_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.ask()
    expected = _text(bench)
    dropped = threading.Event()
    bench.engine.ask(Engine.drop_idle, lambda count: dropped.set())
    assert dropped.wait(10)
    decode, calls = bench.context.decode, [0]

    def flaky(n_rows: int) -> int:
        calls[0] += 1
        if calls[0] in (1, 4):
            bench.context.interrupt()
        return decode(n_rows)

    monkeypatch.setattr(bench.context, "decode", flaky)
    bench.ask()
    assert _text(bench) == expected
    assert calls[0] > 8


def test_a_cancelled_request_ends_without_running_on(bench: Bench) -> None:
    ticket = bench.ask(n=400)
    bench.deltas.get(timeout=60)
    bench.engine.cancel(ticket)
    delta = bench.last()
    assert delta.finish == "cancelled"
    assert delta.timings is not None
    assert delta.timings.completion_tokens < 400


def _text(bench: Bench) -> str:
    text = ""
    while True:
        delta = bench.deltas.get(timeout=60)
        text += delta.text
        if delta.finish is not None:
            assert delta.finish == "length"
            return text
