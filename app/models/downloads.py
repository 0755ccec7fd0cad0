"""Models on their way here: ``engine.hub.queue`` behind the loop, and its news as events.

What an earlier run left unfinished is listed as paused; nothing goes online before a person resumes it. A cancelled
download is only paused until the time for taking that back is over.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from app.bus import Bus
from app.events import DownloadFailed, DownloadFinished, DownloadProgressed, DownloadsChanged, ModelsChanged
from app.models.hub_access import HubAccess
from app.models.records import Download
from app.paths import Paths
from engine.hub import journal as journals
from engine.hub.repository import RemoteModel

if TYPE_CHECKING:
    from engine.hub.queue import DownloadQueue, Status

_log = logging.getLogger(__name__)

UNDO_S = 20.0
"""For how long a cancelled download, or a deleted model, can be had back; longer than any notice stays."""


class Downloads:
    """The one implementation of ``DownloadsApi``. Use it in the core thread."""

    def __init__(self, paths: Paths, access: HubAccess, bus: Bus) -> None:
        self._paths = paths
        self._access = access
        self._bus = bus
        self._queue: DownloadQueue | None = None
        self._listed: tuple[Download, ...] = ()
        self._leaving: dict[str, asyncio.TimerHandle] = {}
        """Cancelled ones that can still be taken back."""
        self._were_running: set[str] = set()
        self._line_bytes_s: float | None = None
        self._opening = asyncio.Lock()

    async def start(self) -> None:
        """List what an earlier run left unfinished."""
        unfinished = await asyncio.to_thread(journals.unfinished, self._paths.models)
        known = {download.id for download in self._listed}
        found = [self._from_journal(journal) for journal in unfinished]
        self._listed += tuple(download for download in found if download.id not in known)
        if self._listed:
            self._bus.publish(DownloadsChanged(self.downloads()))

    async def close(self) -> None:
        """Pause everything; what was cancelled is thrown away now."""
        for identity in list(self._leaving):
            self._throw_away(identity)
        if self._queue is not None:
            await asyncio.to_thread(self._queue.close)

    def downloads(self) -> tuple[Download, ...]:
        return tuple(download for download in self._listed if download.id not in self._leaving)

    def line_bytes_s(self) -> float | None:
        try:
            speed = json.loads((self._paths.cache / "line.json").read_text("utf-8"))["bytes_per_s"]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None
        return float(speed) if isinstance(speed, int | float) and speed > 0 else None

    async def add(self, model: RemoteModel) -> str:
        """Put a resolved model at the end of the queue, or take it up again; returns its id."""
        from engine.hub.queue import job_id

        self._keep(job_id(model))
        queue = await self._open_queue()
        return queue.add(model)

    async def pause(self, download_id: str) -> None:
        (await self._open_queue()).pause(download_id)

    async def resume(self, download_id: str) -> None:
        (await self._open_queue()).resume(download_id)

    async def cancel(self, download_id: str) -> None:
        queue = await self._open_queue()
        state = next((download.state for download in self._listed if download.id == download_id), None)
        if state is None or download_id in self._leaving:
            return
        if state == "done":
            queue.forget(download_id)
            self._refresh(queue)
            return
        if state in ("running", "waiting"):
            self._were_running.add(download_id)
        queue.pause(download_id)
        loop = asyncio.get_running_loop()
        self._leaving[download_id] = loop.call_later(UNDO_S, self._throw_away, download_id)
        self._bus.publish(DownloadsChanged(self.downloads()))

    async def keep(self, download_id: str) -> None:
        """Take a cancel back; what ran goes on."""
        was_running = download_id in self._were_running
        if not self._keep(download_id):
            return
        if was_running:
            (await self._open_queue()).resume(download_id)
        self._bus.publish(DownloadsChanged(self.downloads()))

    async def move(self, download_id: str, position: int) -> None:
        queue = await self._open_queue()
        queue.move(download_id, position)
        self._refresh(queue)

    def _keep(self, download_id: str) -> bool:
        self._were_running.discard(download_id)
        timer = self._leaving.pop(download_id, None)
        if timer is not None:
            timer.cancel()
        return timer is not None

    def _throw_away(self, download_id: str) -> None:
        if self._keep(download_id) and self._queue is not None:
            self._queue.cancel(download_id)

    async def _open_queue(self) -> DownloadQueue:
        """The queue; made when first wanted, because it brings the whole client with it."""
        loop = asyncio.get_running_loop()

        def heard(status: Status) -> None:
            loop.call_soon_threadsafe(self._hear, status)

        async with self._opening:
            if self._queue is None:
                self._queue = await asyncio.to_thread(_make_queue, self._access, self._paths.models, heard)
            return self._queue

    def _hear(self, status: Status) -> None:
        queue = self._queue
        before = next((known for known in self._listed if known.id == status.id), None)
        if status.state == "cancelled":
            self._listed = tuple(known for known in self._listed if known.id != status.id)
            if queue is not None:
                queue.forget(status.id)
            self._bus.publish(DownloadsChanged(self.downloads()))
            return
        now = self._from_status(status)
        if before is not None and before.state == now.state:
            self._listed = tuple(now if known.id == now.id else known for known in self._listed)
            if now.id not in self._leaving:
                self._bus.publish(DownloadProgressed(now))
            if now.bytes_per_s:
                self._line_bytes_s = now.bytes_per_s
            return
        self._listed = tuple(now if known.id == now.id else known for known in self._listed)
        if before is None:
            self._listed += (now,)
        self._bus.publish(DownloadsChanged(self.downloads()))
        if now.state == "done":
            self._remember_line()
            self._bus.publish(ModelsChanged())
            self._bus.publish(DownloadFinished(now))
        elif now.state == "failed":
            self._bus.publish(DownloadFailed(now))

    def _refresh(self, queue: DownloadQueue) -> None:
        places = {status.id: place for place, status in enumerate(queue.statuses())}
        kept = [download for download in self._listed if download.id in places]
        self._listed = tuple(sorted(kept, key=lambda download: places[download.id]))
        self._bus.publish(DownloadsChanged(self.downloads()))

    def _remember_line(self) -> None:
        if self._line_bytes_s is None:
            return
        try:
            (self._paths.cache / "line.json").write_text(json.dumps({"bytes_per_s": self._line_bytes_s}), "utf-8")
        except OSError as error:
            _log.warning("The speed of the line could not be remembered: %s", error.strerror)

    def _from_status(self, status: Status) -> Download:
        assert status.state != "cancelled"
        error = status.error
        return replace(
            self._of(status.model),
            state=status.state,
            doing=status.progress.doing,
            done_bytes=status.progress.done_bytes,
            total_bytes=status.progress.total_bytes,
            bytes_per_s=status.bytes_per_s,
            left_s=status.left_s,
            note=status.progress.note,
            error=error.sentence if error is not None else "",
            hint=error.hint if error is not None else "",
        )

    def _from_journal(self, journal: journals.Journal) -> Download:
        return replace(self._of(journal.model), done_bytes=journal.kept_bytes)

    def _of(self, model: RemoteModel) -> Download:
        folder = self._paths.models / Path(*model.repo.split("/"))
        return Download(
            id=f"{model.repo}:{model.name}",
            name=model.name,
            repo=model.repo,
            quantization=model.quantization,
            path=folder / model.files[0].name,
            state="paused",
            doing="preparing",
            done_bytes=0,
            total_bytes=model.size_bytes,
            bytes_per_s=None,
            left_s=None,
            note="",
            error="",
            hint="",
        )


def _make_queue(access: HubAccess, models: Path, heard: Callable[[Status], None]) -> DownloadQueue:
    from engine.hub.queue import DownloadQueue

    queue = DownloadQueue(access.downloading, models, heard)
    queue.add_unfinished()
    return queue
