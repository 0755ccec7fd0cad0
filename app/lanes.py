"""The two threads behind the window: the core thread (an asyncio loop) and the store lane (SQLite).

What runs in them is decided elsewhere; this module owns starting, handing over work and stopping without leftovers.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from app.store import database, faults
from app.store.database import Connection, Error
from engine.errors import StoreError

T = TypeVar("T")


class CoreThread:
    """One thread running one asyncio loop, in which the services live."""

    def __init__(self, name: str = "core") -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._stopping = False

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    @property
    def running(self) -> bool:
        return self._thread.is_alive() and not self._stopping

    def start(self) -> None:
        self._thread.start()

    def submit(self, work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Run a coroutine in the core thread; callable from any thread. Raises ``RuntimeError`` once stopping."""
        if not self.running:
            work.close()
            raise RuntimeError("The core thread is not running.")
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def stop(self, timeout_s: float = 10.0) -> None:
        """Cancel what runs, end the loop, join the thread. Callable from any thread but the core's, more than once."""
        if self._stopping:
            return
        self._stopping = True
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(timeout_s)
        elif not self._loop.is_closed():
            self._loop.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._cancel_all()
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
            self._loop.close()

    def _cancel_all(self) -> None:
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        if tasks:
            self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))


class StoreLane:
    """One thread that writes and one that reads, each with its own connection; a search never waits for a write.

    While it is suspended (the app is locked, or the store gets another key) work waits.
    """

    def __init__(self, path: Path, key: bytes | None = None) -> None:
        self.path = path
        self._key = key
        self._writes = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="store-write")
        self._reads = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="store-read")
        self._writer: Connection | None = None
        self._reader: Connection | None = None
        self._may_write, self._may_read = threading.Event(), threading.Event()
        self._may_write.set()
        self._may_read.set()
        self._closing = False
        self._worked_at = time.monotonic()

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` in the writing thread inside one transaction. Raises ``StoreError``; then nothing was changed.

        Work once handed over is done even when the caller is cancelled.
        """
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._writes, self._write, work))

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` in the reading thread on one snapshot. Raises ``StoreError``."""
        return await asyncio.get_running_loop().run_in_executor(self._reads, self._read, work)

    async def open(self) -> None:
        """Open now, migrating if needed, instead of at first use. Raises ``StoreError``."""
        await asyncio.get_running_loop().run_in_executor(self._writes, self._writing)

    def use_key(self, key: bytes | None) -> None:
        """Open under this key. Before the first work only."""
        self._key = key

    async def suspend(self) -> None:
        """Finish what was handed over, close both connections, forget the key. What comes later waits."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._reads, self._suspend_reading)
        await loop.run_in_executor(self._writes, self._suspend_writing)
        self._key = None

    async def resume(self, key: bytes | None) -> None:
        """Go on, under this key. Raises ``StoreError``; it is suspended as before then."""
        self._key = key
        opened = await asyncio.get_running_loop().run_in_executor(None, database.open_writer, self.path, key)
        self._writer = opened  # its thread waits, so nobody else looks at it now
        self._may_write.set()
        self._may_read.set()

    @property
    def suspended(self) -> bool:
        return not self._may_write.is_set()

    @property
    def idle_s(self) -> float:
        """How long nobody has written."""
        return time.monotonic() - self._worked_at

    def close(self) -> None:
        """Finish what was handed over, close both connections, end both threads. What waits is refused."""
        self.refuse_waiting()
        self._reads.submit(self._close_reader)
        self._reads.shutdown(wait=True)
        self._writes.submit(self._close_writer)
        self._writes.shutdown(wait=True)

    def refuse_waiting(self) -> None:
        """The end is near: work that waits for a locked store, or comes now, is refused. Nothing if it is open."""
        if self.suspended:
            self._closing = True
            self._may_write.set()
            self._may_read.set()

    def _suspend_reading(self) -> None:
        self._close_reader()
        self._may_read.clear()

    def _suspend_writing(self) -> None:
        self._close_writer()
        self._may_write.clear()

    def _await(self, allowed: threading.Event) -> None:
        allowed.wait()
        if self._closing:
            raise StoreError("store_locked", "The store is locked, so this was not read or saved.", "Unlock it first.")

    def _writing(self) -> Connection:
        self._await(self._may_write)
        if self._writer is None:
            self._writer = database.open_writer(self.path, self._key)
        return self._writer

    def _write(self, work: Callable[[Connection], T]) -> T:
        connection = self._writing()
        self._worked_at = time.monotonic()
        try:
            connection.execute("BEGIN IMMEDIATE")
            try:
                result = work(connection)
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:  # not committed; SQLite itself rolls back on some errors
                    connection.execute("ROLLBACK")
        except (Error, OSError) as error:
            raise faults.explain(error, self.path) from error
        return result

    def _read(self, work: Callable[[Connection], T]) -> T:
        self._await(self._may_read)
        if self._reader is None:
            if self._writer is None:
                # The schema must be there first; the writer's thread makes it.
                self._writes.submit(self._writing).result()
            self._reader = database.open_reader(self.path, self._key)
        connection = self._reader
        try:
            connection.execute("BEGIN")
            try:
                return work(connection)
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
        except (Error, OSError) as error:
            raise faults.explain(error, self.path) from error

    def _close_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _close_writer(self) -> None:
        if self._writer is None:
            return
        try:
            self._writer.execute("PRAGMA optimize")
        except Error as error:
            raise StoreError("store_failed", f"The conversations could not be tidied at closing: {error}.") from error
        finally:
            self._writer.close()
            self._writer = None
