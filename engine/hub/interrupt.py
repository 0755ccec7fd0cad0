"""The wish to stop, uttered by one thread and heard by another even while it waits for bytes that do not come."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Abortable(Protocol):
    """Something that another thread may wait in."""

    def abort(self) -> None: ...


class Interrupt:
    """A ``Halt`` that also wakes the reader of a connection."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._reading: Abortable | None = None

    def is_set(self) -> bool:
        return self._event.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        return self._event.wait(timeout)

    def set(self) -> None:
        self._event.set()
        with self._lock:
            if self._reading is not None:
                self._reading.abort()

    @contextmanager
    def reading(self, connection: Abortable) -> Iterator[None]:
        """While inside, :meth:`set` aborts ``connection``."""
        with self._lock:
            self._reading = connection
            if self._event.is_set():
                connection.abort()
        try:
            yield
        finally:
            with self._lock:
                self._reading = None
