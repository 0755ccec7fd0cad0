"""The product with a hub on loopback, and what its tests wait for."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from app.events import DownloadFailed, DownloadFinished, Event
from app.models.offers import Choice, Offer, Query
from app.models.records import Download
from tests.app.native import House

E = TypeVar("E")

PATIENCE_S = 30.0


def heard(house: House, kind: type[E], that: Callable[[E], bool] = lambda _event: True) -> E:
    """Wait for an event."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        event: Event = house.next(deadline)
        if isinstance(event, kind) and that(event):
            return event
        assert not isinstance(event, DownloadFailed) or kind is DownloadFailed, event


def search_one(house: House, words: str) -> Offer:
    """Search, and look into the one result."""
    hub = house.product.services.hub
    (found,) = house.product.run(hub.search(Query(words)))
    return house.product.run(hub.look_into(found))


def fetch(house: House, choice: Choice) -> Download:
    """Download to the end."""
    identity = house.product.run(house.product.services.hub.fetch(choice))
    return heard(house, DownloadFinished, lambda event: event.download.id == identity).download


def listed(house: House) -> tuple[Download, ...]:
    """The queue as the window would show it."""

    async def look() -> tuple[Download, ...]:
        return house.product.services.downloads.downloads()

    return house.product.run(look())
