"""A hub, downloads and bundles that answer from the samples at once, and move when a scene says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from app.bus import Bus
from app.events import DownloadFailed, DownloadFinished, DownloadProgressed, DownloadsChanged
from app.models.bundles import Piece
from app.models.offers import Choice, Offer, Query, Suggestion
from app.models.records import Copied, Download, RemotePlan
from engine.errors import GatehouseError, HubError
from engine.fit.plan import Wish
from engine.hub.catalogue import Task
from ui.screenshots import sample_hub


class SampleDownloads:
    """A list that only changes by what is asked of it."""

    def __init__(self, bus: Bus, downloads: Sequence[Download] = ()) -> None:
        self._bus = bus
        self.items = {download.id: download for download in downloads}
        self._gone: dict[str, Download] = {}

    def downloads(self) -> tuple[Download, ...]:
        return tuple(self.items.values())

    def line_bytes_s(self) -> float | None:
        return 23.4e6

    async def pause(self, download_id: str) -> None:
        self.become(replace(self.items[download_id], state="paused", bytes_per_s=None, left_s=None))

    async def resume(self, download_id: str) -> None:
        self.become(replace(self.items[download_id], state="running", doing="downloading", error="", hint=""))

    async def cancel(self, download_id: str) -> None:
        self._gone[download_id] = self.items.pop(download_id)
        self._tell()

    async def keep(self, download_id: str) -> None:
        self.items[download_id] = self._gone.pop(download_id)
        self._tell()

    async def move(self, download_id: str, position: int) -> None:
        moved = self.items.pop(download_id)
        order = list(self.items.values())
        order.insert(max(0, position), moved)
        self.items = {download.id: download for download in order}
        self._tell()

    def become(self, download: Download) -> None:
        """Another state of one, announced as the real service does."""
        before = self.items.get(download.id)
        self.items[download.id] = download
        if before is not None and before.state == download.state:
            self._bus.publish(DownloadProgressed(download))
            return
        self._tell()
        if download.state == "done":
            self._bus.publish(DownloadFinished(download))
        elif download.state == "failed":
            self._bus.publish(DownloadFailed(download))

    def _tell(self) -> None:
        self._bus.publish(DownloadsChanged(self.downloads()))


class SampleHub:
    """Knows the sample catalogue; ``trouble`` makes every question fail."""

    def __init__(self, downloads: SampleDownloads) -> None:
        self._downloads = downloads
        self.trouble: HubError | None = None
        self.plan_trouble: GatehouseError | None = None
        self.asked: list[Query] = []
        self.planned: list[Choice] = []
        self.token: str | None = None

    def host(self) -> str:
        return "huggingface.co"

    async def catalogue(self) -> Sequence[Offer]:
        return sample_hub.catalogue()

    async def suggestions(self, task: Task = "chat") -> Sequence[Suggestion]:
        return sample_hub.suggestions()

    async def search(self, query: Query) -> Sequence[Offer]:
        self.asked.append(query)
        if self.trouble is not None:
            raise self.trouble
        return [offer for offer in sample_hub.found() if query.words.casefold() in offer.id.casefold()]

    async def look_into(self, offer: Offer) -> Offer:
        if self.trouble is not None:
            raise self.trouble
        return sample_hub.looked_into(offer)

    async def plan(self, choice: Choice, wish: Wish) -> RemotePlan:
        self.planned.append(choice)
        if self.plan_trouble is not None:
            raise self.plan_trouble
        return sample_hub.remote_plan(choice, wish)

    async def fetch(self, choice: Choice) -> str:
        if self.trouble is not None:
            raise self.trouble
        started = sample_hub.download_of(choice)
        self._downloads.become(started)
        return started.id

    async def has_token(self) -> bool:
        return self.token is not None

    async def set_token(self, token: str | None) -> bool:
        self.token = token
        return True


class SampleBundles:
    """Says yes."""

    def __init__(self) -> None:
        self.exported: list[tuple[Sequence[Piece], Path]] = []

    async def export(self, pieces: Sequence[Piece], folder: Path) -> Sequence[Copied]:
        self.exported.append((pieces, folder))
        return [Copied(piece.model_id, "") for piece in pieces]

    async def take_over(self, folder: Path) -> Sequence[Copied]:
        return [Copied("Qwen3-4B-Instruct-2507-Q4_K_M", "")]
