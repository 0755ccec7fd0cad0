"""Keeps what loads and answers really took, so that the next plan is nearer to the truth. Listens; nobody asks it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from app.bus import Bus
from app.chat.records import AnswerStats
from app.events import AnswerFinished, AnswerGrew, Event, LoadedModelChanged
from app.paths import Paths
from engine.fit.measured import LoadMeasured, Measurements, SpeedMeasured, compare, speed_measured
from engine.fit.plan import Plan
from engine.worker.spec import Ready

_LEAST_TOKENS = 32
"""Of an answer or a prompt: a shorter one says more about the start than about the speed."""


@dataclass(frozen=True, slots=True)
class _Running:
    """The model whose answers are measured."""

    model_id: str
    pid: int
    plan: Plan


class Recorder:
    """Lives in the core thread; the file is written in a thread beside it."""

    def __init__(self, paths: Paths, bus: Bus) -> None:
        self._store = Measurements(paths.measurements)
        self._running: _Running | None = None
        self._answering: set[str] = set()
        self._crowded: set[str] = set()
        """Answers that shared the model with another one: they say nothing about one session's speed."""
        self._writing = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        bus.subscribe(self._hear)

    async def close(self) -> None:
        """Finish writing."""
        if self._tasks:
            await asyncio.gather(*self._tasks)

    def _hear(self, event: Event) -> None:
        if isinstance(event, LoadedModelChanged):
            self._note_load(event)
        elif isinstance(event, AnswerGrew):
            self._answering.add(event.message_id)
            if len(self._answering) > 1:
                self._crowded |= self._answering
        elif isinstance(event, AnswerFinished):
            self._note_answer(event)

    def _note_load(self, event: LoadedModelChanged) -> None:
        loaded = event.loaded
        if not isinstance(loaded.state, Ready) or loaded.plan is None or loaded.model_id is None:
            return
        if self._running is not None and self._running.pid == loaded.state.pid:
            return
        self._running = _Running(loaded.model_id, loaded.state.pid, loaded.plan)
        rows = compare(loaded.plan, loaded.state.buffers)
        self._keep(
            LoadMeasured(time.time(), loaded.plan.model_path.name, loaded.plan.n_ctx, rows, loaded.state.allowances)
        )

    def _note_answer(self, event: AnswerFinished) -> None:
        message = event.message
        crowded = message.id in self._crowded
        self._answering.discard(message.id)
        self._crowded.discard(message.id)
        running, stats = self._running, message.stats
        if running is None or stats is None or crowded or message.model_id != running.model_id:
            return
        if stats.route != "local" or running.plan.n_expert_used is not None:
            return  # fewer experts than the model's own are another model, as far as speed goes
        measured = speed_measured(
            running.plan,
            running.plan.model_path.name,
            time.time(),
            prefill_tok_s=_prefill_tok_s(stats),
            decode_tok_s=stats.decode_tok_s if (stats.completion_tokens or 0) >= _LEAST_TOKENS else None,
        )
        if measured is not None and (measured.prefill_tok_s or measured.decode_tok_s):
            self._keep(measured)

    def _keep(self, measured: LoadMeasured | SpeedMeasured) -> None:
        task = asyncio.get_running_loop().create_task(self._write(measured))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _write(self, measured: LoadMeasured | SpeedMeasured) -> None:
        async with self._writing:
            await asyncio.to_thread(self._store.note, measured)


def _prefill_tok_s(stats: AnswerStats) -> float | None:
    """From sending to the first token; a long prompt hides the few milliseconds that are not reading."""
    if stats.prompt_tokens is None or not stats.ttft_s:
        return None
    read = stats.prompt_tokens - (stats.cached_tokens or 0)
    return read / stats.ttft_s if read >= 4 * _LEAST_TOKENS else None
