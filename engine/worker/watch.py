"""Judges one worker's events: which state they lead to, and whether its silence means that it hangs. Pure.

Time comes in as ticks, each capped, so that a machine that slept or an app that was stopped blames nobody.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from engine.worker.spec import Alive, Failed, Loading, Ready, Starting, Stopped, WorkerEvent, WorkerState

_PROGRESS_STEP: Final = 0.005
_MAX_TICK_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the supervisor waits for what. Seconds."""

    silence_s: float = 60.0
    """Without any event: hung."""
    load_silence_s: float = 300.0
    """The same before it is ready: the first step reads a whole mapped file from a slow disk."""
    step_s: float = 300.0
    """Busy without a finished engine step: hung. A step is a micro-batch, slow for a large model on a small machine."""
    farewell_s: float = 5.0
    """Between ``failed`` or ``stopped`` and the end of the process."""
    ask_s: float = 3.0
    """Between asking to stop and terminating."""
    terminate_s: float = 2.0
    """Between terminating and killing."""
    tick_s: float = 1.0
    events_per_tick: int = 1000
    """More than that from one worker is a flood."""
    strange_lines: int = 200
    """More lines than that which are no events: not our worker."""


class Watch:
    """The state machine of one life: starting, loading, ready; failed or stopped from anywhere."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self.state: WorkerState | None = None
        self._silent_s = 0.0
        self._stuck_s = 0.0
        self._busy = False
        self._steps = 0
        self._events = 0

    def take(self, event: WorkerEvent) -> WorkerState | None:
        """Note an event; returns the state to announce, if it is news. Raises ``OutOfOrder``."""
        self._silent_s = 0.0
        self._events += 1
        if isinstance(event, Alive):
            if event.steps != self._steps or not event.busy:
                self._stuck_s = 0.0
            self._busy, self._steps = event.busy, event.steps
            return None
        before, rank = self.state, _rank(event)
        if rank < _rank(before) or (rank == _rank(before) and not isinstance(event, Loading)):
            raise OutOfOrder(f"{type(event).__name__.lower()} after {type(before).__name__.lower()}")
        if isinstance(event, Loading) and isinstance(before, Loading) and _is_small_step(before, event):
            return None
        self.state = event
        return None if isinstance(event, Failed | Stopped) else event

    def tick(self, elapsed_s: float) -> str | None:
        """Let time pass; returns why the worker counts as hung, or ``None``."""
        elapsed_s = min(elapsed_s, _MAX_TICK_S)
        self._events = 0
        self._silent_s += elapsed_s
        if self._busy:
            self._stuck_s += elapsed_s
        if self._silent_s >= self._limit_s():
            return f"and was silent for {self._silent_s:.0f} s"
        if self._stuck_s >= self._patience.step_s:
            return f"and finished no step for {self._stuck_s:.0f} s"
        return None

    def _limit_s(self) -> float:
        match self.state:
            case Failed() | Stopped():
                return self._patience.farewell_s
            case Ready():
                return self._patience.silence_s
            case _:
                return self._patience.load_silence_s

    @property
    def flooding(self) -> bool:
        """More events since the last tick than a worker has reason to write."""
        return self._events > self._patience.events_per_tick


class OutOfOrder(ValueError):
    """An event that cannot follow the ones before it."""


def _is_small_step(before: Loading, after: Loading) -> bool:
    return 0 <= after.progress_ratio - before.progress_ratio < _PROGRESS_STEP and after.progress_ratio < 1


def _rank(state: WorkerState | None) -> int:
    match state:
        case None:
            return 0
        case Starting():
            return 1
        case Loading():
            return 2
        case Ready():
            return 3
        case Failed() | Stopped():
            return 4
