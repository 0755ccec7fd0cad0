"""The switch for the whole product: while it is on, nothing asks anybody but this machine.

It is a setting; the environment can hold it on for one run. What is under way when it is switched on is broken off.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Final

from app.settings import Settings
from engine.errors import GatehouseError

OFFLINE_VARIABLE: Final = "GATEHOUSE_OFFLINE"
"""Environment variable; anything but nothing and ``0`` keeps the product offline."""


class Offline:
    """Read from any thread, switched in the core thread."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._listeners: list[Callable[[bool], None]] = []

    @property
    def is_forced(self) -> bool:
        """The environment holds the switch on."""
        return os.environ.get(OFFLINE_VARIABLE, "").strip() not in ("", "0")

    @property
    def is_on(self) -> bool:
        return self._settings.values.offline or self.is_forced

    def check(self) -> None:
        """Raises ``GatehouseError`` ``offline`` while the switch is on."""
        if self.is_on:
            raise refused(forced=self.is_forced)

    async def switch(self, on: bool) -> None:
        """Set it, for good. Raises ``OSError`` when the disk refuses; the switch holds even then, for this run."""
        try:
            await asyncio.to_thread(self._settings.update, offline=on)
        finally:
            for listener in tuple(self._listeners):
                listener(self.is_on)

    def listen(self, listener: Callable[[bool], None]) -> None:
        """Call ``listener`` at each switch, in the core thread."""
        self._listeners.append(listener)


def refused(*, forced: bool = False) -> GatehouseError:
    """What a request gets while the switch is on."""
    hint = f"{OFFLINE_VARIABLE} is set; start Gatehouse without it." if forced else "Set-up has the switch."
    return GatehouseError("offline", "Gatehouse is switched offline, so nothing was asked of anybody.", hint)
