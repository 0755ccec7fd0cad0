"""The switch for the whole product: while it is on, nothing asks anybody but this machine.

It is a file beside the settings, so that a window and a command that run side by side have one switch, and neither
writes over what the other did. The environment can hold it on for one run. What is under way when it is switched on is
broken off.
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
FILE_NAME: Final = "offline"
_LOOK_S: Final = 2.0


class Offline:
    """Read from any thread, switched in the core thread."""

    def __init__(self, settings: Settings) -> None:
        self._path = settings.path.with_name(FILE_NAME)
        self._held = False
        """Switched on for this run, though the disk refused."""
        self._listeners: list[Callable[[bool], None]] = []
        if settings.values.offline:  # where earlier versions had it
            self._path.touch()
            settings.update(offline=False)
        self._told = self.is_on

    @property
    def is_forced(self) -> bool:
        """The environment holds the switch on."""
        return os.environ.get(OFFLINE_VARIABLE, "").strip() not in ("", "0")

    @property
    def is_on(self) -> bool:
        """As it is now, whoever switched it; a disk that cannot say it counts as on."""
        if self._held or self.is_forced:
            return True
        try:
            self._path.lstat()
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return True

    def check(self) -> None:
        """Raises ``GatehouseError`` ``offline`` while the switch is on."""
        if self.is_on:
            raise refused(forced=self.is_forced)

    def set(self, on: bool) -> None:
        """Set it, for good; blocking. Raises ``OSError`` when the disk refuses; on holds even then, for this run."""
        self._held = on
        if on:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.touch(mode=0o600)
            self._held = False
        else:
            self._path.unlink(missing_ok=True)

    async def switch(self, on: bool) -> None:
        """As :meth:`set`, and tell whoever listens."""
        try:
            await asyncio.to_thread(self.set, on)
        finally:
            self._tell()

    def listen(self, listener: Callable[[bool], None]) -> None:
        """Call ``listener`` at each switch, in the core thread."""
        self._listeners.append(listener)

    def follow(self) -> None:
        """From now on also tell when another process turned the switch. In the core thread, as long as it runs."""
        if self.is_on is not self._told:
            self._tell()
        asyncio.get_running_loop().call_later(_LOOK_S, self.follow)

    def _tell(self) -> None:
        self._told = self.is_on
        for listener in tuple(self._listeners):
            listener(self._told)


def refused(*, forced: bool = False) -> GatehouseError:
    """What a request gets while the switch is on."""
    hint = f"{OFFLINE_VARIABLE} is set; start Gatehouse without it." if forced else "Set-up has the switch."
    return GatehouseError("offline", "Gatehouse is switched offline, so nothing was asked of anybody.", hint)
