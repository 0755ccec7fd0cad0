"""The store's key as the window and the commands see it: lock, unlock, change, copy, retain. The core thread only.

Changing the key needs the store to itself: the lane is suspended meanwhile, so work waits instead of failing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

from app.gate.label import Label
from app.lanes import StoreLane
from app.vault.records import Lock, Retention, Shredded, VaultState
from app.vault.telling import Gone
from app.vault.vault import Vault
from engine.errors import VaultError

T = TypeVar("T")

_QUIET_S: Final = 3.0
"""A lock closes the store when nothing was written for so long: answers that grow are saved each second."""
_LOOK_S: Final = 0.5


class StoreService:
    """Implements ``app.services.StoreApi``."""

    def __init__(self, vault: Vault, lane: StoreLane) -> None:
        self._vault = vault
        self._lane = lane
        self.is_busy: Callable[[], bool] = lambda: False
        """Whether something is being written that a closed store would keep waiting; set by the wiring."""
        self.tell_gone: Callable[[Gone], Awaitable[None]] | None = None
        """Told of what a removal took away, so that lists follow; set by the wiring."""
        self._at_lock: list[Callable[[], None]] = []
        self._locked = False
        self._closing: asyncio.Task[None] | None = None
        self._changes = asyncio.Lock()

    def at_lock(self, forget: Callable[[], None]) -> None:
        """Call ``forget``, in the core thread, at each lock and removal: whoever holds what the store holds lets go."""
        self._at_lock.append(forget)

    async def state(self) -> VaultState:
        return await asyncio.to_thread(self._vault.state)

    def locked(self) -> bool:
        return self._locked

    async def lock(self) -> None:
        if (await self.state()).lock is not Lock.PASSPHRASE:
            raise VaultError(
                "no_passphrase", "There is no passphrase to unlock the store with.", "Choose one in Set-up first."
            )
        if not self._locked:
            self._locked = True
            for forget in self._at_lock:
                forget()
            self._closing = asyncio.get_running_loop().create_task(self._close_when_quiet())

    async def unlock(self, typed: str) -> None:
        await asyncio.to_thread(self._vault.unlock, typed)
        if not self._locked:
            return
        closing, self._closing = self._closing, None
        if closing is not None:
            closing.cancel()
            await asyncio.gather(closing, return_exceptions=True)
        async with self._changes:
            if self._lane.suspended:
                await self._lane.resume(self._vault.page_key)
            self._locked = False

    async def set_passphrase(self, passphrase: str) -> str:
        from app.vault import changing  # here and below: a start needs none of it

        return await self._change(lambda: changing.set_passphrase(self._vault, passphrase))

    async def remove_passphrase(self) -> Lock:
        from app.vault import changing

        return await self._change(lambda: changing.remove_passphrase(self._vault))

    async def renew_recovery_code(self) -> str:
        from app.vault import changing

        return await asyncio.to_thread(changing.renew_recovery_code, self._vault)

    async def rotate(self) -> None:
        from app.vault import changing

        await self._change(lambda: changing.rotate(self._vault))

    async def back_up(self, path: Path) -> int:
        from app.vault import backup

        return await asyncio.to_thread(backup.back_up, self._vault, path)

    async def retention(self) -> Retention:
        from app.vault import retention

        return await self._lane.read(lambda connection: retention.look(connection, time.time()))

    async def keep_days(self, label: Label, days: int | None) -> None:
        from app.vault import retention

        await self._lane.write(lambda connection: retention.set_rule(connection, label, days))

    async def hold(self, item_id: str, held: bool) -> None:
        from app.vault import retention

        await self._lane.write(lambda connection: retention.hold(connection, item_id, held))

    async def shred(self, ids: Sequence[str]) -> Shredded:
        from app.vault import retention

        gone = await self._lane.write(lambda connection: retention.remove(connection, ids, time.time()))
        if not gone.count:
            return Shredded(0, self._vault.page_key is not None, 0)
        for forget in self._at_lock:
            forget()
        if self.tell_gone is not None:
            await self.tell_gone(gone)
        return await self._change(lambda: retention.shred_remains(self._vault, gone.count))

    async def close(self) -> None:
        """End what waits for quiet."""
        if self._closing is not None:
            self._closing.cancel()
            await asyncio.gather(self._closing, return_exceptions=True)
            self._closing = None

    async def _change(self, work: Callable[[], T]) -> T:
        """Run ``work`` while nobody has the store open; it is opened again whatever happened."""
        async with self._changes:
            await self._lane.suspend()
            try:
                return await asyncio.shield(asyncio.to_thread(work))
            finally:
                await self._lane.resume(self._vault.page_key)

    async def _close_when_quiet(self) -> None:
        while self.is_busy() or self._lane.idle_s < _QUIET_S:  # noqa: ASYNC110 - quiet is the absence of events
            await asyncio.sleep(_LOOK_S)
        async with self._changes:
            await self._lane.suspend()
            self._vault.forget()
