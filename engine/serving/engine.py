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
from engine.llama.context import Context, DecodeResult, MemoryKind, State
from engine.llama.model import Model
from engine.serving.kept.lane import KeptLane
from engine.serving.kept.prefixes import KeptPrefixes
from engine.serving.kept.shelf import Kept
from engine.serving.kv import KvCache
from engine.serving.metrics import Metrics
from engine.serving.postprocess import Outgoing, Postprocessor, open_sequences
from engine.serving.scheduler import Scheduler, Step
from engine.serving.sequence import Sequence, StepRecord, Ticket
from engine.serving.threads import Threads
from engine.serving.trace import Tracer

__all__ = ["Engine", "EngineState", "Outgoing"]

_NO_TICKETS: Final[frozenset[Ticket]] = frozenset()

_FAREWELL_S: Final = 1.5
"""For copying and writing idle prefixes at the end; the supervisor is patient for twice as long."""
_LISTING_S: Final = 1.0
"""So long the first request waits for the list of kept states, which is there in milliseconds as a rule."""
_HAND_OVER_S: Final = 0.05
"""Tokens in the middle of an answer are handed over no more often than this. Waking the HTTP side takes a processor
away from llama.cpp's threads, which wait for each other: half a millisecond, with the client that it wakes in turn."""


@dataclass(frozen=True, slots=True)
class EngineState:
    """The engine at one moment, for ``/health`` and ``/metrics``."""

    waiting: int
    active: int
    used_cells: int
    n_cells: int
    idle_prefixes: int
    preemptions: int
    checkpoints: int
    checkpoint_bytes: int
    """Copies of states that cannot be cut back, in main memory."""


class Engine:
    """Generates for many sequences on one context."""

    def __init__(
        self,
        model: Model,
        context: Context,
        *,
        post: Callable[[Outgoing], None],
        on_broken: Callable[[WorkerError], None],
        kept: KeptLane | None = None,
    ) -> None:
        """``post`` hands a step's deltas to the other side; it must not block. ``on_broken`` hears why the engine
        ended, if it was not asked to. Both are called on the engine's thread. ``kept``, not yet started, keeps idle
        prefixes on disk."""
        self._context = context
        self._vocabulary = model.vocabulary
        self._post = post
        self._on_broken = on_broken
        self._cache = KvCache(
            context,
            n_cells=context.n_ctx,
            n_slots=context.n_seq_max,
            kind=context.memory_kind,
            window_tokens=model.window_tokens,
            unified=context.kv_unified,
        )
        self._scheduler = Scheduler(
            self._cache,
            n_batch=context.n_batch,
            n_ubatch=context.n_ubatch,
            n_outputs_max=context.n_outputs_max,
            tile_rows=context.tile_rows,
            parts=not context.kv_unified,
        )
        self._lane = kept
        self._kept = KeptPrefixes(self._cache, context, kept) if kept is not None else None
        self._fetching: set[Ticket] = set()
        """They wait for a state from the disk."""
        self._inbox: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._sent_at = 0.0
        self._running: frozenset[Ticket] = _NO_TICKETS
        self._any_cancelled = False
        self._thread = threading.Thread(target=self._loop, name="engine", daemon=True)
        self.limit_tokens = min(context.n_ctx_sequence, model.n_ctx_train or context.n_ctx)
        """The longest sequence, prompt and answer."""
        self.metrics = Metrics(context.device)
        self._postprocessor = Postprocessor(
            model.vocabulary,
            self._scheduler,
            self.metrics,
            context.logits,
            rewindable_tokens=self._cache.rewindable_tokens,
            most_logits=context.n_outputs_max,
        )
        self.tracer = Tracer()
        self.steps = 0
        self._may_interrupt = context.memory_kind in (MemoryKind.CELLS, MemoryKind.WINDOWED)
        """Not with recurrent states: llama.cpp moves those of others about while it computes, and would lose them."""
        self._threads = Threads(context.threads, adapts=context.tile_rows > 0)
        self._decoded_at = 0.0
        """When the last decode ended; 0 after a rest."""

    # Called from any thread

    def start(self) -> None:
        """Begin to work."""
        if self._lane is not None:
            self._lane.start()
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
        if self._may_interrupt and self._running and all(running.cancelled for running in self._running):
            self._context.interrupt()
        self._inbox.put(_nothing)

    def ask(self, question: Callable[[Engine], Any], answer: Callable[[Any], None]) -> None:
        """Run ``question`` on the engine's thread between two steps, and give its result to ``answer`` there."""
        self._inbox.put(lambda: answer(question(self)))

    @property
    def busy(self) -> bool:
        """Whether anything is waiting or running."""
        return bool(self._scheduler.active or self._scheduler.waiting)

    @property
    def at_rest(self) -> bool:
        """Whether nothing runs, waits or is on its way from the disk. For :meth:`ask`."""
        return not self.busy and not self._fetching

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
            len(cache.checkpoints),
            cache.checkpoints.used_bytes,
        )

    def trace(self) -> tuple[StepRecord, ...]:
        """The last steps. For :meth:`ask`."""
        return self.tracer.steps()

    def drop_idle(self) -> int:
        """Forget every idle prefix, also on disk. For :meth:`ask`."""
        return self._kept.forget(None) if self._kept is not None else self._cache.drop_idle()

    def drop_owned(self, cache_key: str) -> int:
        """Forget the idle prefixes of one conversation, also on disk. For :meth:`ask`."""
        return self._kept.forget(cache_key) if self._kept is not None else self._cache.drop_idle(cache_key)

    def kept_lines(self) -> tuple[str, ...]:
        """The counters of what is kept on disk, in Prometheus' text. For :meth:`ask`."""
        return tuple(self._kept.lines()) if self._kept is not None else ()

    def _loop(self) -> None:
        end = WorkerError(
            "engine_failed", "The engine stopped because of a mistake of ours.", "The log has the details."
        )
        orderly = False
        if self._lane is not None:
            self._lane.wait_listed(_LISTING_S)
        try:
            while self._take_in():
                if self._any_cancelled:
                    self._drop_cancelled()
                self._step()
                if self._kept is not None:
                    self._kept.keep_one(time.monotonic(), busy=self.busy)
            orderly = True
        except WorkerError as error:
            end = error
        finally:  # of a mistake too; the thread's exception hook prints it
            self._fail_all(RequestError("worker_stopped", "The worker has stopped.", status=503))
            self._send()
            if orderly and self._kept is not None:
                self._kept.close(_FAREWELL_S)
            if not orderly:
                self._on_broken(end)

    def _take_in(self) -> bool:
        """Run what came in; sleep while there is nothing to do. ``False``: asked to stop."""
        while True:
            resting = not (self.busy or self._postprocessor.urgent)
            if not resting and self._inbox.empty():
                return True
            wait_s = self._kept.rest_s(time.monotonic()) if resting and self._kept is not None else None
            try:
                command = self._inbox.get(block=resting, timeout=wait_s)
            except queue.Empty:
                return True
            if command is None:
                return False
            if resting:
                self._decoded_at = 0.0
            command()

    def _step(self) -> None:
        step = self._scheduler.schedule()
        if step is not None:
            if step.n_rows > step.n_decoding:
                self._send()  # nobody's words wait for another's prompt
            self._execute(step)
        if not self._scheduler.active:
            self._send()

    def _execute(self, step: Step) -> None:
        result = self._run(step)
        if result == DecodeResult.OK:
            self._postprocessor.run(step)
        else:
            self._recover(step, result)

    def _run(self, step: Step) -> int:
        """Compute a step. Measures what the decode took, and what we took since the one before."""
        self._write_batch(step)
        self._send_if_due()  # not before: the HTTP side would wake only to wait for the interpreter until we decode
        self._context.allow()
        self._running = frozenset(part.sequence.ticket for part in step.slices)
        only_decodes = step.n_rows == step.n_decoding
        self._context.set_threads(self._threads.count if only_decodes else self._threads.most)
        began = time.perf_counter()
        result = self._context.decode(step.n_rows)
        ended = time.perf_counter()
        self._running = _NO_TICKETS
        self.steps += 1
        if result == DecodeResult.OK:
            python_s = began - self._decoded_at if self._decoded_at else 0.0
            self._scheduler.on_done(step, ended - began)
            if only_decodes:
                self._threads.note(step.n_rows, ended - began)
            self.metrics.note_step(step.n_rows, step.n_decoding, ended - began, python_s)
            self._postprocessor.note_cost(step, ended - began)
            scheduler = self._scheduler
            self.tracer.note(step, ended - began, python_s, len(scheduler.active), len(scheduler.waiting))
        self._decoded_at = ended
        return result

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
            if not self._may_interrupt:
                self._cache.drop_idle()  # only at the end, which may write them to the disk
            self._scheduler.on_broken_off(step)
        elif result == DecodeResult.NO_CELLS:
            if not self._scheduler.on_full(step):
                self._fail(step, self._too_large(step.slices[0].sequence))
        elif result == DecodeResult.INVALID:
            self._isolate(step)
        else:
            raise WorkerError("decode_failed", f"llama.cpp failed while computing, with code {result}.")

    def _isolate(self, step: Step) -> None:
        """llama.cpp refused a batch and did nothing: find whose fault it is by running each sequence alone."""
        if len(step.slices) == 1:
            self._fail(step, RequestError("invalid_batch", "llama.cpp refused this request's tokens.", status=500))
            return
        for part in step.slices:
            sequence = part.sequence
            if sequence.slot >= 0 and sequence.n_past == part.start:  # not if one before needed its room
                self._execute(Step((part,), part.count, part.count if sequence.decoding else 0))

    def _too_large(self, sequence: Sequence) -> RequestError:
        return RequestError(
            "context_full",
            f"With {len(sequence.tokens):,} tokens this request alone fills the context of {self.limit_tokens:,}.",
            "A shorter prompt, or a larger context, is needed.",
            status=400,
        )

    def _accept(self, ticket: Ticket) -> None:
        if ticket.cancelled:
            ticket.unfinished = 0
            return
        if self._kept is not None and self._fetch_kept(self._kept, ticket):
            return
        self._enqueue(ticket)

    def _fetch_kept(self, kept: KeptPrefixes, ticket: Ticket) -> bool:
        """Have the state read that the prompt should begin with, if there is one; the ticket waits for it."""
        request = ticket.request
        ticket.owner = kept.owner(request.cache_key)
        state = kept.offer(request.tokens, self._scheduler.pace.row_s) if request.reuse_prefix else None
        if state is None:
            return False
        asked_at = time.monotonic()
        self._fetching.add(ticket)
        kept.fetch(state, lambda read: self._inbox.put(lambda: self._fetched(ticket, state, read, asked_at)))
        return True

    def _fetched(self, ticket: Ticket, kept: Kept, state: State | None, asked_at: float) -> None:
        self._fetching.discard(ticket)
        if ticket.cancelled:
            ticket.unfinished = 0
            return
        if state is not None and self._kept is not None:
            self._kept.restore(kept, state, asked_at)
        self._enqueue(ticket)

    def _enqueue(self, ticket: Ticket) -> None:
        sequences = open_sequences(ticket, self._vocabulary, self.limit_tokens)
        self._scheduler.add(sequences)
        for sequence in sequences:
            sequence.device = self._context.device
            if sequence.n_prompt >= self.limit_tokens:
                self._postprocessor.finish(sequence, "error", self._too_large(sequence))
        if ticket.request.traced and ticket.unfinished:
            self.tracer.watch(ticket)

    def _drop_cancelled(self) -> None:
        self._any_cancelled = False
        for sequence in [*self._scheduler.active, *self._scheduler.waiting]:
            if sequence.ticket.cancelled:
                self._postprocessor.finish(sequence, "cancelled")

    def _fail(self, step: Step, error: RequestError) -> None:
        for part in step.slices:
            self._postprocessor.finish(part.sequence, "error", error)

    def _fail_all(self, error: RequestError) -> None:
        while self._fetching:
            self._enqueue(self._fetching.pop())
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
