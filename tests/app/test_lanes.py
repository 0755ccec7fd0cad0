"""The two threads: handing work over, errors, stopping without leftovers."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from app.lanes import CoreThread, StoreLane
from app.paths import Paths
from app.store import driver
from app.vault import moving
from engine.errors import StoreError


def test_core_runs_coroutines_in_its_own_thread() -> None:
    core = CoreThread()
    core.start()

    async def where() -> str:
        return threading.current_thread().name

    assert core.submit(where()).result(5) == "core"
    core.stop()


def test_stop_cancels_what_runs_and_joins() -> None:
    core = CoreThread()
    core.start()
    begun = threading.Event()
    ended: list[str] = []

    async def wait_for_ever() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    future = core.submit(wait_for_ever())
    assert begun.wait(5)
    core.stop()
    assert ended == ["cancelled"]
    assert future.cancelled()
    assert not core.running
    core.stop()

    async def nothing() -> None:
        return

    with pytest.raises(RuntimeError, match="not running"):
        core.submit(nothing())


async def test_failed_write_changes_nothing(lane: StoreLane) -> None:
    def half(connection: driver.Connection) -> None:
        connection.execute("INSERT INTO facts VALUES ('half', 'done')")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await lane.write(half)
    rows = await lane.read(lambda connection: connection.execute("SELECT 1 FROM facts WHERE name = 'half'").fetchall())
    assert rows == []


async def test_reading_does_not_wait_for_a_write(lane: StoreLane) -> None:
    await lane.open()
    release = threading.Event()
    writing = threading.Event()

    def slow(connection: driver.Connection) -> None:
        connection.execute("INSERT INTO facts VALUES ('slow', 'write')")
        writing.set()
        assert release.wait(10)

    write = asyncio.create_task(lane.write(slow))
    await asyncio.to_thread(writing.wait, 10)
    count = "SELECT count(*) FROM facts WHERE name = 'slow'"
    assert await lane.read(lambda connection: connection.execute(count).fetchone()) == (0,)
    release.set()
    await write
    assert await lane.read(lambda connection: connection.execute(count).fetchone()) == (1,)


async def test_write_is_done_though_the_caller_left(lane: StoreLane) -> None:
    await lane.open()
    release = threading.Event()
    blocking = asyncio.create_task(lane.write(lambda _: release.wait(10)))
    waiting = asyncio.create_task(lane.write(lambda c: c.execute("INSERT INTO facts VALUES ('late', 'x')").rowcount))
    await asyncio.sleep(0)
    waiting.cancel()
    release.set()
    await blocking
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await lane.write(lambda _: None)
    rows = await lane.read(lambda c: c.execute("SELECT value FROM facts WHERE name = 'late'").fetchall())
    assert rows == [("x",)]


async def test_errors_of_sqlite_become_sentences(lane: StoreLane) -> None:
    with pytest.raises(StoreError, match="no such table"):
        await lane.read(lambda connection: connection.execute("SELECT * FROM nowhere"))


async def test_close_without_ever_opening(tmp_path: Path) -> None:
    lane = StoreLane(tmp_path / "never.db")
    lane.close()
    assert not (tmp_path / "never.db").exists()


async def test_suspended_work_waits_for_the_new_key(lane: StoreLane, paths: Paths) -> None:
    await lane.write(lambda c: c.execute("REPLACE INTO facts VALUES ('a', '1')"))
    await lane.suspend()
    assert lane.suspended
    waiting = asyncio.create_task(lane.read(lambda c: c.execute("SELECT value FROM facts WHERE name = 'a'").fetchone()))
    later = asyncio.create_task(lane.write(lambda c: c.execute("REPLACE INTO facts VALUES ('b', '2')").rowcount))
    await asyncio.wait((waiting, later), timeout=0.1)
    assert not waiting.done()
    assert not later.done()
    key = bytes(range(32))
    moving.reseal(paths.database, None, key)
    await lane.resume(key)
    assert (await waiting, await later) == (("1",), 1)


async def test_key_that_does_not_open_leaves_it_suspended(lane: StoreLane) -> None:
    await lane.open()
    await lane.suspend()
    with pytest.raises(StoreError):
        await lane.resume(bytes(32))
    assert lane.suspended
    await lane.resume(None)
    assert await lane.read(lambda c: c.execute("SELECT 1").fetchone()) == (1,)


async def test_closing_a_locked_store_refuses_what_waits(paths: Paths) -> None:
    lane = StoreLane(paths.database)
    await lane.open()
    await lane.suspend()
    waiting = asyncio.create_task(lane.write(lambda c: c.execute("REPLACE INTO facts VALUES ('b', '2')")))
    await asyncio.wait((waiting,), timeout=0.05)
    lane.close()
    with pytest.raises(StoreError, match="locked"):
        await waiting
