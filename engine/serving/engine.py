"""The engine's thread: it alone touches the context, and repeats *schedule, run, postprocess*.

Requests come in through a thread-safe queue; deltas go out once a step, all together, through one callable. HTTP,
JSON and templates are the API's side of that line.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from engine.errors import RequestError, WorkerError
from engine.llama.context import Context, DecodeResult
from engine.llama.model import Model
from engine.serving.kv import KvCache
from engine.serving.metrics import Metrics
from engine.serving.postprocess import Outgoing, Postprocessor, open_sequences
from engine.serving.scheduler import Scheduler, Step
from engine.serving.sequence import Ticket

__all__ = ["Engine", "EngineState", "Outgoing"]

_NO_TICKETS: Final[frozenset[Ticket]] = frozenset()

_HAND_OVER_S: Final = 0.025
"""Tokens in the middle of an answer are handed over no more often than this. Waking the HTTP side takes a processor
away from llama.cpp's threads, which wait for each other; at a hundred tokens a second that costs several per cent."""


@dataclass(frozen=True, slots=True)
class EngineState:
    """The engine at one moment, for ``/health`` and ``/metrics``."""

    waiting: int
    active: int
    used_cells: int
    n_cells: int
    idle_prefixes: int
    preemptions: int


class Engine:
    """Generates for many sequences on one context."""

    def __init__(
        self,
        model: Model,
        context: Context,
        *,
        post: Callable[[Outgoing], None],
        on_broken: Callable[[WorkerError], None],
    ) -> None:
        """``post`` hands a step's deltas to the other side; it must not block. ``on_broken`` hears why the engine
        ended, if it was not asked to. Both are called on the engine's thread."""
        self._context = context
        self._vocabulary = model.vocabulary
        self._post = post
        self._on_broken = on_broken
        self._cache = KvCache(
            context,
            n_cells=context.n_ctx,
            n_slots=context.n_seq_max,
            recurrent=model.recurrent,
            window_tokens=model.window_tokens,
        )
        self._scheduler = Scheduler(
            self._cache, n_batch=context.n_batch, n_ubatch=context.n_ubatch, n_outputs_max=context.n_outputs_max
        )
        self._inbox: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._sent_at = 0.0
        self._running: frozenset[Ticket] = _NO_TICKETS
        self._any_cancelled = False
        self._thread = threading.Thread(target=self._loop, name="engine", daemon=True)
        self.limit_tokens = min(context.n_ctx, model.n_ctx_train or context.n_ctx)
        """The longest sequence, prompt and answer."""
        self.metrics = Metrics()
        self._postprocessor = Postprocessor(model.vocabulary, self._scheduler, self.metrics, context.logits)
        self.steps = 0

    # Called from any thread

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def stop(self, timeout_s: float) -> bool:
        """End the thread, cancelling everything; ``False`` when it did not end in time."""
        self._inbox.put(None)
        self._context.interrupt()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def submit(self, ticket: Ticket) -> None:
        """Queue a request."""
        self._inbox.put(lambda: self._accept(ticket))

    def cancel(self, ticket: Ticket) -> None:
        """Nobody wants this any more. A slice that computes for nobody else is broken off, where the device can."""
        if not ticket.unfinished:
            return
        ticket.cancelled = True
        self._any_cancelled = True
        if self._running and all(running.cancelled for running in self._running):
            self._context.interrupt()
        self._inbox.put(_nothing)

    def ask(self, question: Callable[[Engine], Any], answer: Callable[[Any], None]) -> None:
        """Run ``question`` on the engine's thread between two steps, and give its result to ``answer`` there."""
        self._inbox.put(lambda: answer(question(self)))

    @property
    def busy(self) -> bool:
        """Whether anything is waiting or running."""
        return bool(self._scheduler.active or self._scheduler.waiting)

    # The engine's thread

    def state(self) -> EngineState:
        """For :meth:`ask`."""
        scheduler, cache = self._scheduler, self._cache
        return EngineState(
            len(scheduler.waiting),
            len(scheduler.active),
            cache.used_cells,
            cache.n_cells,
            cache.idle_slots,
            scheduler.preemptions,
        )

    def drop_idle(self) -> int:
        """Forget every idle prefix. For :meth:`ask`."""
        return self._cache.drop_idle()

    def _loop(self) -> None:
        end = WorkerError(
            "engine_failed", "The engine stopped because of a mistake of ours.", "The log has the details."
        )
        orderly = False
        try:
            while self._take_in():
                if self._any_cancelled:
                    self._drop_cancelled()
                self._step()
                self._send_if_due()
            orderly = True
        except WorkerError as error:
            end = error
        finally:  # of a mistake too; the thread's exception hook prints it
            self._fail_all(RequestError("worker_stopped", "The worker has stopped.", status=503))
            self._send()
            if not orderly:
                self._on_broken(end)

    def _take_in(self) -> bool:
        """Run what came in; sleep while there is nothing to do. ``False``: asked to stop."""
        while True:
            try:
                command = self._inbox.get(block=not self.busy)
            except queue.Empty:
                return True
            if command is None:
                return False
            command()

    def _step(self) -> None:
        step = self._scheduler.schedule()
        if step is not None and step.n_rows > step.n_decoding:
            self._send()  # nobody's words wait for another's prompt
        if step is not None and self._run(step):
            self._postprocessor.run(step)

    def _run(self, step: Step) -> bool:
        """Compute a step; whether its logits are there to be used."""
        self._write_batch(step)
        self._context.allow()
        self._running = frozenset(part.sequence.ticket for part in step.slices)
        began = time.perf_counter()
        result = self._context.decode(step.n_rows)
        elapsed = time.perf_counter() - began
        self._running = _NO_TICKETS
        self.steps += 1
        if result == DecodeResult.OK:
            self._scheduler.on_done(step, elapsed)
            self.metrics.note_step(step.n_rows, step.n_decoding, elapsed)
            return True
        self._recover(step, result)
        return False

    def _write_batch(self, step: Step) -> None:
        context = self._context
        tokens, positions, sequences, outputs = context.tokens, context.positions, context.sequences, context.outputs
        row = 0
        for part in step.slices:
            sequence, start, count = part.sequence, part.start, part.count
            if count == 1:
                tokens[row] = sequence.tokens[start]
                positions[row] = start
                sequences[row] = sequence.slot
                outputs[row] = part.wants_logits
            else:
                end = row + count
                tokens[row:end] = sequence.tokens[start : start + count]
                positions[row:end] = range(start, start + count)
                sequences[row:end] = sequence.slot
                outputs[row:end] = 0
                outputs[end - part.n_logits : end] = 1
            row += count

    def _recover(self, step: Step, result: int) -> None:
        if result == DecodeResult.INTERRUPTED:
            self._scheduler.on_broken_off(step)
        elif result == DecodeResult.NO_CELLS:
            if not self._scheduler.on_full(step):
                self._fail(step, RequestError("context_full", "The context has no room for another token.", status=500))
        elif result == DecodeResult.INVALID:
            self._fail(step, RequestError("invalid_batch", "llama.cpp refused this request's tokens.", status=500))
        else:
            raise WorkerError("decode_failed", f"llama.cpp failed while computing, with code {result}.")

    def _accept(self, ticket: Ticket) -> None:
        if ticket.cancelled:
            ticket.unfinished = 0
            return
        self._scheduler.add(open_sequences(ticket, self._vocabulary, self.limit_tokens))

    def _drop_cancelled(self) -> None:
        self._any_cancelled = False
        for sequence in [*self._scheduler.active, *self._scheduler.waiting]:
            if sequence.ticket.cancelled:
                self._postprocessor.finish(sequence, "cancelled")

    def _fail(self, step: Step, error: RequestError) -> None:
        for part in step.slices:
            self._postprocessor.finish(part.sequence, "error", error)

    def _fail_all(self, error: RequestError) -> None:
        for sequence in [*self._scheduler.active, *self._scheduler.waiting]:
            self._postprocessor.finish(sequence, "error", error)

    def _send_if_due(self) -> None:
        if self._postprocessor.urgent or time.monotonic() - self._sent_at >= _HAND_OVER_S:
            self._send()

    def _send(self) -> None:
        outgoing = self._postprocessor.take_outgoing()
        if outgoing:
            self._sent_at = time.monotonic()
            self._post(outgoing)


def _nothing() -> None:
    """Wakes the engine."""
