"""A hub on loopback for every test that wants one, and clients that do not wait."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from engine.hub.client import HubClient
from engine.hub.interrupt import Interrupt
from engine.hub.patience import Patience
from tests.engine.hub.direct import direct_client
from tests.hub_double import HubDouble

QUICK = Patience(connect_s=5.0, stall_s=5.0, attempts=4)


class NoWait(Interrupt):
    """Remembers how long it was asked to wait, and does not."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout or 0.0)
        return self.is_set()


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "HF_ENDPOINT", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(autouse=True)
def flushed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Lengths of the files that were flushed to the disk, in order; the disk itself, which all share, is spared."""
    lengths: list[int] = []

    def note(descriptor: int) -> None:
        lengths.append(os.fstat(descriptor).st_size)

    monkeypatch.setattr(os, "fsync", note)
    return lengths


@pytest.fixture
def hub() -> Iterator[HubDouble]:
    with HubDouble() as double:
        yield double


@pytest.fixture
def client(hub: HubDouble) -> Iterator[HubClient]:
    with HubClient(endpoint=hub.address, patience=QUICK, make_client=direct_client) as made:
        yield made


@pytest.fixture
def halt() -> NoWait:
    return NoWait()
