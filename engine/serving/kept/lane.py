"""The thread that reads, writes and deletes kept states, so that no token waits for a disk.

The engine's thread hands over copies and asks for them; whoever waits for a state goes before whoever only leaves one.
What lies on the disk is ``kept_shelf``'s, what is worth keeping ``kept_prefixes``'s.
"""

from __future__ import annotations

import threading
from array import array
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from engine.llama.context import State
from engine.serving.kept.shelf import Kept, KeptShelf, ShelfCounts

MAX_PENDING_BYTES: Final = 512 << 20
"""Of states that are waiting to be written."""

Fetched = Callable[[State | None], None]


@dataclass(frozen=True, slots=True)
class _Writing:
    owner: str
    tokens: array[int]
    state: State


class KeptLane:
    """One thread around a shelf. Its methods may be called from any thread and do not wait, but for :meth:`close`."""

    def __init__(self, shelf: KeptShelf, idle_s: float) -> None:
        """``idle_s``: how long a prefix rests before it is worth writing."""
        self.idle_s = idle_s
        self._shelf = shelf
        self._changed = threading.Condition()
        self._urgent: deque[Callable[[], object]] = deque()
        self._writings: deque[_Writing] = deque()
        self._writing_now: _Writing | None = None
        self._forgotten = False
        """What is being written now is not wanted any more."""
        self._closing = False
        self._pending_bytes = 0
        self._listed = threading.Event()
        self._thread = threading.Thread(target=self._work, name="kept states", daemon=True)

    def start(self) -> None:
        """Begin, with looking into the folder."""
        self._urgent.append(self._list)
        self._thread.start()

    def wait_listed(self, timeout_s: float) -> bool:
        """Wait until the folder was looked into; the first request after a start should find its state there."""
        return self._listed.wait(timeout_s)

    def _list(self) -> None:
        try:
            self._shelf.open()
        finally:
            self._listed.set()

    @property
    def entries(self) -> tuple[Kept, ...]:
        """What could be fetched now."""
        return self._shelf.entries

    @property
    def counts(self) -> ShelfCounts:
        return self._shelf.counts

    @property
    def pending_bytes(self) -> int:
        """Of states that are waiting to be written, or being written."""
        return self._pending_bytes

    def owner(self, cache_key: str) -> str:
        """A conversation as the shelf names it."""
        return self._shelf.names.owner(cache_key)

    def pending(self) -> list[array[int]]:
        """The tokens of what is waiting to be written, or being written."""
        with self._changed:
            now = [self._writing_now] if self._writing_now else []
            return [writing.tokens for writing in [*now, *self._writings]]

    def fits(self, n_bytes: int) -> bool:
        """Whether a state of that size would be taken."""
        shelf = self._shelf
        return not shelf.counts.off and n_bytes <= min(shelf.budget_bytes, MAX_PENDING_BYTES - self._pending_bytes)

    def keep(self, owner: str, tokens: array[int], state: State) -> None:
        """Write a state, in its turn."""
        with self._changed:
            self._writings.append(_Writing(owner, tokens, state))
            self._pending_bytes += state.nbytes
            self._changed.notify()

    def fetch(self, kept: Kept, fetched: Fetched) -> None:
        """Read a state; ``fetched`` gets it, or ``None``, on this lane's thread."""
        self._soon(lambda: self._fetch(kept, fetched))

    def forget(self, owner: str | None) -> None:
        """Delete the states of one owner, or all, and what is waiting to be written of them, or being written."""
        with self._changed:
            gone = [writing for writing in self._writings if owner is None or writing.owner == owner]
            for writing in gone:
                self._writings.remove(writing)
                self._pending_bytes -= writing.state.nbytes
            now = self._writing_now
            self._forgotten |= now is not None and (owner is None or now.owner == owner)
        self._soon(lambda: self._shelf.remove_owned(owner))

    def reject(self, kept: Kept) -> None:
        """Delete a state that cannot be used after all."""
        self._soon(lambda: self._shelf.reject(kept.path))

    def close(self, timeout_s: float) -> bool:
        """Write what is waiting and end; ``False`` when that takes longer, and the thread is left to itself."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _soon(self, job: Callable[[], object]) -> None:
        with self._changed:
            self._urgent.append(job)
            self._changed.notify()

    # The lane's thread

    def _work(self) -> None:
        while True:
            with self._changed:
                while not (self._urgent or self._writings or self._closing):
                    self._changed.wait()
                job = self._urgent.popleft() if self._urgent else None
                if job is None:
                    if not self._writings:
                        return
                    self._writing_now, self._forgotten = self._writings.popleft(), False
            if job is not None:
                job()
            else:
                self._write()

    def _write(self) -> None:
        writing = self._writing_now
        assert writing is not None
        try:
            path = self._shelf.write(writing.owner, writing.tokens, writing.state)
        finally:
            with self._changed:
                self._pending_bytes -= writing.state.nbytes
                self._writing_now = None
                unwanted = self._forgotten
        if unwanted and path is not None:
            self._shelf.remove(path)

    def _fetch(self, kept: Kept, fetched: Fetched) -> None:
        fetched(self._shelf.read(kept) if kept in self._shelf.entries else None)
