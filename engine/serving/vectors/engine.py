"""The engine of a model that makes vectors: texts of many requests in one computation, in turn.

Its thread alone touches the context. HTTP is ``embedding_api.py``'s; what calls and rows mean, ``embedding_wire.py``'s.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from engine.errors import RequestError, WorkerError
from engine.llama.embedder import Embedder, Interrupted, Vector

BATCH_TOKENS: Final = 512
"""Of several texts in one computation. Their tokens look past each other, yet each pair of them costs; beyond this a
larger batch is slower than two."""


@dataclass(slots=True, eq=False)
class EmbeddingTicket:
    """A request's handle: its texts, the rows they have by now, and who is told at the end."""

    texts: tuple[tuple[int, ...], ...]
    on_end: Callable[[EmbeddingTicket], None]
    """Called once, on the engine's thread, when every row is there or :attr:`error` says why not."""
    rows: list[Vector] = field(default_factory=list)
    error: RequestError | None = None
    cancelled: bool = False
    submitted_at: float = field(default_factory=time.monotonic)

    @property
    def next_text(self) -> tuple[int, ...] | None:
        """The first text without a row."""
        return self.texts[len(self.rows)] if len(self.rows) < len(self.texts) else None


def choose(
    tickets: Iterable[EmbeddingTicket], *, n_tokens: int, n_texts: int
) -> list[tuple[EmbeddingTicket, tuple[int, ...]]]:
    """What to compute together: a text of each request in turn, as long as there is room. The first always goes in.

    A text longer than ``n_tokens`` goes alone. Pure.
    """
    chosen: list[tuple[EmbeddingTicket, tuple[int, ...]]] = []
    used = 0
    left = [(ticket, iter(ticket.texts[len(ticket.rows) :])) for ticket in tickets]
    while left and len(chosen) < n_texts:
        still: list[tuple[EmbeddingTicket, Any]] = []
        for ticket, texts in left:
            text = next(texts, None)
            if text is None:
                continue
            if len(chosen) == n_texts or (chosen and used + len(text) > n_tokens):
                continue  # a request's rows keep their order: what follows waits too
            chosen.append((ticket, text))
            used += len(text)
            still.append((ticket, texts))
        left = still
    return chosen


@dataclass(slots=True)
class EmbeddingMetrics:
    """Totals since the start."""

    texts: int = 0
    tokens: int = 0
    compute_s: float = 0.0
    finished: dict[str, int] = field(default_factory=dict)

    def lines(self) -> Iterable[str]:
        """Prometheus' text."""
        counters = {
            "texts_total": self.texts,
            "prompt_tokens_total": self.tokens,
            "decode_seconds_total": round(self.compute_s, 6),
        }
        for name, value in counters.items():
            yield f"# TYPE gatehouse_{name} counter"
            yield f"gatehouse_{name} {value}"
        yield "# TYPE gatehouse_requests_total counter"
        for how, count in sorted(self.finished.items()):
            yield f'gatehouse_requests_total{{finish="{how}"}} {count}'


class EmbeddingEngine:
    """Computes rows for many requests on one context."""

    def __init__(self, embedder: Embedder, *, on_broken: Callable[[WorkerError], None]) -> None:
        """``on_broken`` hears, on the engine's thread, why it ended if it was not asked to."""
        self._embedder = embedder
        self._on_broken = on_broken
        self._inbox: queue.SimpleQueue[EmbeddingTicket | None] = queue.SimpleQueue()
        self._tickets: deque[EmbeddingTicket] = deque()
        self._running: tuple[EmbeddingTicket, ...] = ()
        self._stopping = False
        self._thread = threading.Thread(target=self._loop, name="engine", daemon=True)
        self.limit_tokens = embedder.limit_tokens
        """The longest text."""
        self.metrics = EmbeddingMetrics()
        self.steps = 0

    # Called from any thread

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def stop(self, timeout_s: float) -> bool:
        """End the thread, failing what waits; ``False`` when it did not end in time."""
        self._stopping = True
        self._inbox.put(None)
        self._embedder.interrupt()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def submit(self, ticket: EmbeddingTicket) -> None:
        """Queue a request."""
        self._inbox.put(ticket)

    def cancel(self, ticket: EmbeddingTicket) -> None:
        """Nobody wants this any more; a computation for nobody else is broken off."""
        ticket.cancelled = True
        running = self._running
        if running and all(other.cancelled for other in running):
            self._embedder.interrupt()

    @property
    def busy(self) -> bool:
        """Whether anything is waiting or running."""
        return bool(self._tickets)

    @property
    def waiting(self) -> int:
        """Requests that are not finished."""
        return len(self._tickets)

    # The engine's thread

    def _loop(self) -> None:
        end = WorkerError(
            "engine_failed", "The engine stopped because of a mistake of ours.", "The log has the details."
        )
        orderly = False
        try:
            while self._take_in():
                self._step()
            orderly = True
        except WorkerError as error:
            end = error
        finally:  # of a mistake too; the thread's exception hook prints it
            for ticket in list(self._tickets):
                self._end(ticket, RequestError("worker_stopped", "The worker has stopped.", status=503))
            if not orderly:
                self._on_broken(end)

    def _take_in(self) -> bool:
        """Accept what came in; sleep while there is nothing to do. ``False``: asked to stop."""
        while True:
            try:
                ticket = self._inbox.get(block=not self._tickets)
            except queue.Empty:
                return True
            if ticket is None:
                return False
            self._tickets.append(ticket)

    def _step(self) -> None:
        for ticket in [ticket for ticket in self._tickets if ticket.cancelled]:
            self._end(ticket, RequestError("cancelled", "The request was cancelled.", status=499))
        n_tokens = min(BATCH_TOKENS, self._embedder.n_rows)
        chosen = choose(self._tickets, n_tokens=n_tokens, n_texts=self._embedder.n_sequences)
        if not chosen:
            return
        self._tickets.rotate(-1)  # whoever was first is last the next time
        self._embedder.allow()
        if self._stopping:
            return
        self._running = tuple(ticket for ticket, _ in chosen)
        began = time.perf_counter()
        try:
            rows = self._embedder.embed([text for _, text in chosen])
        except Interrupted:
            return
        finally:
            self._running = ()
        self.steps += 1
        self.metrics.compute_s += time.perf_counter() - began
        self.metrics.texts += len(chosen)
        self.metrics.tokens += sum(len(text) for _, text in chosen)
        for (ticket, _), row in zip(chosen, rows, strict=True):
            ticket.rows.append(row)
            if ticket.next_text is None:
                self._end(ticket, None)

    def _end(self, ticket: EmbeddingTicket, error: RequestError | None) -> None:
        self._tickets.remove(ticket)
        ticket.error = error
        how = "stop" if error is None else "cancelled" if ticket.cancelled else "error"
        self.metrics.finished[how] = self.metrics.finished.get(how, 0) + 1
        ticket.on_end(ticket)
