"""What every test is held to: no network but loopback, nothing left running, nothing left open.

Snapshots are taken around each test and around each module, so that a worker shared by a module is allowed while the
module runs and must be gone when it ends.
"""

from __future__ import annotations

import gc
import ipaddress
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ["GATEHOUSE_NO_KEYRING"] = "1"

_SETTLE_S = 5.0
"""How long threads and children that were told to end may take before they count as leaked."""


def _is_loopback(host: object) -> bool:
    if not isinstance(host, str) or host in ("", "localhost"):
        return True
    try:
        return ipaddress.ip_address(host.split("%")[0]).is_loopback
    except ValueError:
        return False


@pytest.fixture(autouse=True, scope="session")
def _only_loopback() -> Iterator[None]:
    """Refuse every connection that would leave this machine, in this process."""
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex

    def guard(address: object) -> None:
        if isinstance(address, tuple) and not _is_loopback(address[0]):
            raise AssertionError(f"a test tried to reach {address[0]}")

    def guarded_connect(self: socket.socket, address: object) -> None:
        guard(address)
        connect(self, address)  # type: ignore[arg-type]

    def guarded_connect_ex(self: socket.socket, address: object) -> int:
        guard(address)
        return connect_ex(self, address)  # type: ignore[arg-type]

    patch = pytest.MonkeyPatch()
    patch.setattr(socket.socket, "connect", guarded_connect)
    patch.setattr(socket.socket, "connect_ex", guarded_connect_ex)
    yield
    patch.undo()


@pytest.fixture(autouse=True)
def _own_data_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test touches the person's own conversations."""
    monkeypatch.setenv("GATEHOUSE_DATA_DIR", str(tmp_path_factory.mktemp("data")))


@dataclass(frozen=True)
class Footprint:
    """What a process holds that outlives a forgetful test."""

    threads: frozenset[int]
    children: frozenset[int]
    sockets: frozenset[tuple[int, str]]
    databases: frozenset[str]

    def left_since(self, before: Footprint) -> list[str]:
        names = {thread.ident: thread.name for thread in threading.enumerate()}
        found = [f"thread {names.get(ident, ident)}" for ident in self.threads - before.threads]
        found += [f"child {_command(pid)}" for pid in self.children - before.children]
        found += [f"socket {fd} {what}" for fd, what in self.sockets - before.sockets]
        found += [f"open database {path}" for path in self.databases - before.databases]
        return found


def _command(pid: int) -> str:
    try:
        return f"{pid} {' '.join(psutil.Process(pid).cmdline())[:120]}"
    except psutil.Error:
        return str(pid)


def _live_children(process: psutil.Process) -> frozenset[int]:
    alive = set()
    for child in process.children(recursive=True):
        try:
            if child.status() != psutil.STATUS_ZOMBIE:
                alive.add(child.pid)
        except psutil.NoSuchProcess:
            continue
    return frozenset(alive)


def _footprint() -> Footprint:
    process = psutil.Process()
    sockets = frozenset(
        (connection.fd, f"{connection.laddr} {connection.status}")
        for connection in process.net_connections(kind="inet")
    )
    databases = frozenset(file.path for file in process.open_files() if Path(file.path).suffix in (".db", ".sqlite"))
    threads = frozenset(t.ident for t in threading.enumerate() if t.ident is not None and not _is_pool(t))
    return Footprint(threads, _live_children(process), sockets, databases)


def _is_pool(thread: threading.Thread) -> bool:
    """Threads that libraries keep for the whole process and that hold nothing of ours."""
    return thread.name.startswith(("pydevd", "AnyIO worker thread", "Dummy-", "QThread", "tqdm"))


def _assert_nothing_left(before: Footprint, where: str, pools: frozenset[str] = frozenset()) -> None:
    """``pools``: the beginnings of names of threads that may stay until the module ends."""

    def left_now() -> list[str]:
        left = _footprint().left_since(before)
        return [what for what in left if not any(what.startswith(f"thread {pool}") for pool in pools)]

    deadline = time.monotonic() + _SETTLE_S
    left = left_now()
    while left and time.monotonic() < deadline:
        gc.collect()
        for thread in threading.enumerate():
            if thread.ident not in before.threads and thread is not threading.current_thread():
                thread.join(0.05)
        psutil.wait_procs([c for c in psutil.Process().children() if c.pid not in before.children], timeout=0.05)
        left = left_now()
    assert not left, f"{where} left behind: " + "; ".join(left)


@pytest.fixture(autouse=True, scope="module")
def _module_leaves_nothing(request: pytest.FixtureRequest) -> Iterator[None]:
    before = _footprint()
    yield
    _assert_nothing_left(before, f"module {request.node.name}")


@pytest.fixture(autouse=True)
def _test_leaves_nothing(request: pytest.FixtureRequest) -> Iterator[None]:
    before = _footprint()
    yield
    # A module's shared loop grows its executor when a test first needs another thread of it.
    _assert_nothing_left(before, f"test {request.node.name}", frozenset({"asyncio_"}))


@pytest.fixture
def wait_for() -> Callable[[Callable[[], bool], float], None]:
    """Poll a condition until it holds; the test fails when the time is up."""

    def wait(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
        deadline = time.monotonic() + timeout_s
        pause = threading.Event()
        while not condition():
            assert time.monotonic() < deadline, f"did not happen within {timeout_s} s"
            pause.wait(0.01)

    return wait
