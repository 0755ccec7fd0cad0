"""The hub's transport under several threads; what it lets through is ``test_egress.py``'s."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import httpx2
import pytest

from app.gate.addresses import target_of
from app.gate.hub_transport import HubTransport
from app.gate.offline import Offline
from app.gate.transport import resolve
from app.paths import Paths
from app.settings import Settings

_THREADS = 8


def test_threads_that_come_first_together_share_one_pool(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[httpx2.HTTPTransport] = []
    all_there = threading.Barrier(_THREADS)
    another = threading.Event()
    begun: list[int] = []

    class Slow(httpx2.HTTPTransport):
        def __init__(self, **options: object) -> None:
            begun.append(1)
            if len(begun) > 1:
                another.set()
            another.wait(0.2)  # the time that a second thread would take to begin as well
            super().__init__(**options)  # type: ignore[arg-type]
            made.append(self)

    monkeypatch.setattr(httpx2, "HTTPTransport", Slow)
    offline = Offline(Settings(paths.settings))
    transport = HubTransport(cast("Any", None), offline, "http://hub.example", ("button", "hub"), resolve)

    def way(_: int) -> httpx2.HTTPTransport:
        all_there.wait(10)
        return transport._way(target_of("http://hub.example/v1"), None)

    with ThreadPoolExecutor(_THREADS) as pool:
        found = list(pool.map(way, range(_THREADS)))
    transport.close()
    assert len(made) == 1
    assert set(found) == set(made)
