"""The last steps of the engine, kept in a ring: what a slow request was waiting for. One tuple a step, always on.

The engine's thread only.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import replace
from typing import Final

from engine.serving.scheduler import Step
from engine.serving.sequence import StepRecord, Ticket

KEPT_STEPS: Final = 1024

_Fields = tuple[float, int, int, float, float, int, int, tuple[tuple[int, int], ...]]
"""Of a ``StepRecord``, which is made when somebody looks."""


class Tracer:
    """The ring of steps, and the requests that want to see theirs."""

    def __init__(self) -> None:
        self._ring: deque[_Fields] = deque(maxlen=KEPT_STEPS)
        self._watched: list[Ticket] = []

    def watch(self, ticket: Ticket) -> None:
        """Note this request's rows in each step from now on, until it has ended."""
        self._watched = [known for known in self._watched if known.unfinished]
        self._watched.append(ticket)
        ticket.steps = lambda: tuple(_seen_by(ticket, record) for record in self.steps(since=ticket.submitted_at))

    def note(self, step: Step, decode_s: float, python_s: float, n_active: int, n_waiting: int) -> None:
        """A step has been computed."""
        rows = self._watched_rows(step) if self._watched else ()
        now = time.monotonic()
        self._ring.append((now, step.n_rows, step.n_decoding, decode_s, python_s, n_active, n_waiting, rows))

    def _watched_rows(self, step: Step) -> tuple[tuple[int, int], ...]:
        serials = {ticket.serial for ticket in self._watched if ticket.unfinished}
        if not serials:
            self._watched = []
        parts = ((part.sequence.ticket.serial, part.count) for part in step.slices)
        return tuple((serial, count) for serial, count in parts if serial in serials)

    def steps(self, since: float = 0.0) -> tuple[StepRecord, ...]:
        """The steps that ended after ``since`` on the monotonic clock, oldest first; as far back as they are kept."""
        return tuple(StepRecord(*fields) for fields in self._ring if fields[0] >= since)


def _seen_by(ticket: Ticket, record: StepRecord) -> StepRecord:
    return replace(record, rows=tuple(entry for entry in record.rows if entry[0] == ticket.serial))
