"""Several downloads: their order, how many at once, pause, resume, cancel. Each runs in a thread of its own.

Every change is told as a frozen :class:`Status`; at most four a second for each download, and always when its state
changes. The listener is called from the downloads' threads and must not block.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from engine.errors import GatehouseError, HubError
from engine.hub import journal as journals
from engine.hub.client import HubClient
from engine.hub.disk import Disk
from engine.hub.download import Progress, Surroundings, discard, download
from engine.hub.interrupt import Interrupt
from engine.hub.pace import Pace
from engine.hub.patience import Halted
from engine.hub.repository import RemoteModel
from engine.hub.transfer import Steps
from engine.hub.verify import Receipt

State = Literal["waiting", "running", "paused", "failed", "cancelled", "done"]
TELL_EVERY_S = 0.25


@dataclass(frozen=True, slots=True)
class Status:
    """One download at one moment."""

    id: str
    """``owner/name:model``."""
    model: RemoteModel
    state: State
    progress: Progress
    bytes_per_s: float | None
    """``None`` while it is not known or nothing runs."""
    left_s: float | None
    error: GatehouseError | None
    """Set when failed."""
    receipt: Receipt | None
    """Set when done."""


@dataclass(slots=True)
class _Job:
    id: str
    model: RemoteModel
    state: State
    progress: Progress
    interrupt: Interrupt = field(default_factory=Interrupt)
    pace: Pace = field(default_factory=Pace)
    error: GatehouseError | None = None
    receipt: Receipt | None = None
    told_s: float = float("-inf")
    wish: Literal["pause", "cancel"] = "pause"
    """What an interrupt means."""
    discarding: bool = False


def job_id(model: RemoteModel) -> str:
    return f"{model.repo}:{model.name}"


class DownloadQueue:
    """All downloads into one folder of models. Its methods return at once and may be called from any thread."""

    def __init__(
        self,
        make_hub: Callable[[], HubClient],
        models: Path,
        on_change: Callable[[Status], None],
        *,
        at_once: int = 2,
        clock: Callable[[], float] = time.monotonic,
        disk: Disk | None = None,
        steps: Steps | None = None,
    ) -> None:
        self._make_hub = make_hub
        self._models = models
        self._on_change = on_change
        self._at_once = at_once
        self._clock = clock
        self._disk = disk or Disk()
        self._steps = steps or Steps()
        self._lock = threading.RLock()
        self._jobs: list[_Job] = []
        self._threads: dict[str, threading.Thread] = {}
        self._closed = False

    def add(self, model: RemoteModel) -> str:
        """Put it at the end, or take up again what failed, was paused or cancelled; returns its id."""
        with self._lock:
            job = self._find(job_id(model))
            if job is None:
                job = _Job(job_id(model), model, "waiting", Progress("preparing", "", 0, model.size_bytes))
                self._jobs.append(job)
                self._tell(job)
            elif job.state not in ("waiting", "running"):
                job.model = model
                self._set_waiting(job)
            self._pump()
            return job.id

    def add_unfinished(self) -> None:
        """Show what an earlier run of the program left unfinished, as paused."""
        found = journals.unfinished(self._models)
        with self._lock:
            for journal in found:
                model = journal.model
                if self._find(job_id(model)) is None:
                    progress = Progress("preparing", "", journal.kept_bytes, model.size_bytes)
                    job = _Job(job_id(model), model, "paused", progress)
                    self._jobs.append(job)
                    self._tell(job)

    def pause(self, identity: str) -> None:
        """Stop it and keep what has arrived."""
        self._interrupt(identity, "pause")

    def resume(self, identity: str) -> None:
        with self._lock:
            job = self._find(identity)
            if job is not None and job.state in ("paused", "failed"):
                self._set_waiting(job)
                self._pump()

    def cancel(self, identity: str) -> None:
        """Stop it and throw away what has arrived."""
        self._interrupt(identity, "cancel")

    def move(self, identity: str, position: int) -> None:
        """Among those that wait, the earlier in the list starts first."""
        with self._lock:
            job = self._find(identity)
            if job is not None:
                self._jobs.remove(job)
                self._jobs.insert(max(0, position), job)

    def forget(self, identity: str) -> None:
        """Take what is over, done or cancelled, off the list."""
        with self._lock:
            job = self._find(identity)
            if job is not None and job.state in ("done", "cancelled") and not job.discarding:
                self._jobs.remove(job)

    def statuses(self) -> tuple[Status, ...]:
        """In order."""
        with self._lock:
            return tuple(self._status(job) for job in self._jobs)

    def close(self) -> None:
        """Pause everything and wait until the threads have ended; blocking."""
        with self._lock:
            self._closed = True
            for job in self._jobs:
                if job.state == "running":
                    job.interrupt.set()
            threads = list(self._threads.values())
        for thread in threads:
            thread.join()

    def _interrupt(self, identity: str, wish: Literal["pause", "cancel"]) -> None:
        with self._lock:
            job = self._find(identity)
            if job is None or job.state in ("done", "cancelled"):
                return
            job.wish = wish
            if job.state == "running":
                job.interrupt.set()
                return
            if wish == "pause":
                if job.state == "waiting":
                    self._set(job, "paused")
                return
            self._set(job, "cancelled")
            self._start(job, self._discard_in_peace)

    def _set_waiting(self, job: _Job) -> None:
        job.error = None
        job.interrupt = Interrupt()
        job.wish = "pause"
        self._set(job, "waiting")

    def _pump(self) -> None:
        """Start what waits, as far as there is room."""
        running = sum(job.state == "running" for job in self._jobs)
        for job in self._jobs:
            if running >= self._at_once or self._closed:
                return
            if job.state == "waiting" and not job.discarding:
                running += 1
                self._set(job, "running")
                self._start(job, self._run)

    def _start(self, job: _Job, work: Callable[[_Job], None]) -> None:
        thread = threading.Thread(target=work, args=(job,), name=f"download {job.id}")
        self._threads[job.id] = thread
        job.discarding = work == self._discard_in_peace
        thread.start()

    def _run(self, job: _Job) -> None:
        state: State = "failed"
        try:
            # A client of its own: the token or the mirror may have changed since the last one.
            with self._make_hub() as hub:
                around = Surroundings(hub, self._models, self._disk, self._steps, lambda: self._reserved(job))
                job.receipt = download(around, job.model, job.interrupt, lambda now: self._progress(job, now))
            state = "done"
        except Halted:
            state = "paused" if job.wish == "pause" else "cancelled"
        except GatehouseError as error:
            job.error = error
        except Exception as error:
            # A bug of ours must not leave a download running for ever; it is told as what it is.
            job.error = HubError("bug", f"The download of {job.model.name} failed for a reason of our own: {error!r}.")
            raise
        finally:
            if state == "cancelled":
                self._discard(job)
            with self._lock:
                self._set(job, state)
                self._pump()

    def _discard_in_peace(self, job: _Job) -> None:
        """Nobody takes the download up again before its files are gone."""
        self._discard(job)
        with self._lock:
            job.discarding = False
            self._pump()

    def _discard(self, job: _Job) -> None:
        try:
            discard(self._models, job.model)
        except GatehouseError as error:
            job.error = error

    def _reserved(self, but: _Job) -> int:
        with self._lock:
            others = [job.progress for job in self._jobs if job is not but and job.state == "running"]
            return sum(progress.total_bytes - progress.done_bytes for progress in others)

    def _progress(self, job: _Job, progress: Progress) -> None:
        now = self._clock()
        with self._lock:
            if progress.doing == "downloading" and job.progress.doing == "downloading":
                job.pace.mark(now, progress.done_bytes)
            else:
                job.pace.start(now, progress.done_bytes)
            new_step = progress.doing != job.progress.doing or progress.note != job.progress.note
            job.progress = progress
            if new_step or now - job.told_s >= TELL_EVERY_S:
                self._tell(job)

    def _set(self, job: _Job, state: State) -> None:
        job.state = state
        self._tell(job)

    def _tell(self, job: _Job) -> None:
        job.told_s = self._clock()
        self._on_change(self._status(job))

    def _status(self, job: _Job) -> Status:
        now = self._clock()
        moving = job.state == "running" and job.progress.doing == "downloading"
        missing = job.progress.total_bytes - job.progress.done_bytes
        return Status(
            job.id,
            job.model,
            job.state,
            job.progress,
            job.pace.bytes_per_s(now) if moving else None,
            job.pace.left_s(now, missing) if moving else None,
            job.error,
            job.receipt,
        )

    def _find(self, identity: str) -> _Job | None:
        return next((job for job in self._jobs if job.id == identity), None)
