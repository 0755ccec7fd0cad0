"""Tells how far batches are: at once what a person did, and at most four times a second what goes on by itself."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

from app.bus import Bus
from app.documents.batch_records import Batch, BatchState
from app.documents.pace import Pace
from app.events import BatchChanged
from app.lanes import StoreLane
from app.store import batches
from engine.errors import StoreError

_EVERY_S = 0.25


class Announcer:
    """Adds to stored batches what only this run knows: pace, time left, what is waited for."""

    def __init__(self, lane: StoreLane, bus: Bus) -> None:
        self._lane = lane
        self._bus = bus
        self._paces: dict[str, Pace] = {}
        self._waits_for: dict[str, str] = {}
        self._watch_faults: dict[str, str] = {}
        self._due: set[str] = set()
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    def pace(self, batch_id: str) -> Pace:
        return self._paces.setdefault(batch_id, Pace())

    def wait_for(self, batch_id: str, sentence: str) -> None:
        """Say why a batch does not go on; an empty sentence takes it back."""
        if self._waits_for.get(batch_id, "") != sentence:
            self._waits_for[batch_id] = sentence
            self.note(batch_id)

    def watch_fault(self, batch_id: str, sentence: str) -> None:
        """Say why a watched folder cannot be looked into; an empty sentence takes it back."""
        if self._watch_faults.get(batch_id, "") != sentence:
            self._watch_faults[batch_id] = sentence
            self.note(batch_id)

    def dressed(self, batch: Batch) -> Batch:
        """``batch`` with pace and reasons."""
        pace = self.pace(batch.id)
        left = batch.counts.waiting + batch.counts.working
        running = batch.state is BatchState.RUNNING and left > 0
        return replace(
            batch,
            file_s=pace.file_s,
            left_s=pace.left_s(left) if running else None,
            waits_for=self._waits_for.get(batch.id, "") if running else "",
            watch_fault=self._watch_faults.get(batch.id, "") if batch.watched else "",
        )

    def tell(self, batch: Batch) -> None:
        """Announce now."""
        self._due.discard(batch.id)
        self._bus.publish(BatchChanged(self.dressed(batch)))

    def note(self, batch_id: str) -> None:
        """Announce soon; many notes become one."""
        self._due.add(batch_id)
        if self._task is None and not self._closed:
            self._task = asyncio.get_running_loop().create_task(self._tell_due(), name="batches-announce")

    async def close(self) -> None:
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _tell_due(self) -> None:
        began_at = time.monotonic()
        try:
            while self._due:
                due, self._due = self._due, set()
                for batch_id in due:
                    await self._tell_stored(batch_id)
                await asyncio.sleep(max(0.0, _EVERY_S - (time.monotonic() - began_at)))
                began_at = time.monotonic()
        finally:
            self._task = None

    async def _tell_stored(self, batch_id: str) -> None:
        try:
            batch = await self._lane.read(lambda connection: batches.get(connection, batch_id))
        except StoreError:
            return  # removed meanwhile, or the store is in trouble and says so itself
        self._bus.publish(BatchChanged(self.dressed(batch)))
