"""How long to wait for a hub and how often to try again. Pure; waiting itself is left to the caller's halt signal."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Protocol

from engine.errors import HubError


class Halt(Protocol):
    """A wish to stop that another thread may utter at any time; ``threading.Event`` is one."""

    def is_set(self) -> bool: ...

    def wait(self, timeout: float | None = None) -> bool:
        """Wait at most ``timeout`` seconds; true when the wish was uttered."""


@dataclass(frozen=True, slots=True)
class Patience:
    """Limits for one piece of work."""

    connect_s: float = 15.0
    stall_s: float = 30.0
    """Silence on an open connection before it counts as stalled."""
    attempts: int = 6
    """Failures in a row, without progress between them, before giving up."""
    first_pause_s: float = 1.0
    longest_pause_s: float = 60.0
    longest_asked_pause_s: float = 300.0
    """A hub that asks for more (``Retry-After``) is reported instead of waited for."""
    progress_bytes: int = 65_536
    """Bytes that count as progress and make the failures before them forgotten."""

    def pause_s(self, failures: int, asked_s: float | None) -> float:
        """Before the next try, after ``failures`` (≥ 1) in a row."""
        if asked_s is not None:
            return asked_s
        return min(self.first_pause_s * 2.0 ** (failures - 1), self.longest_pause_s)


class Hiccup(Exception):
    """A failure that may pass by itself; ``error`` is what to raise when patience ends."""

    def __init__(self, error: HubError, asked_s: float | None = None) -> None:
        super().__init__(error.sentence)
        self.error = error
        self.asked_s = asked_s


class Halted(Exception):
    """The wish to stop was heard. Not an error: whoever uttered it knows what it means."""


def asked_pause_s(header: str | None, now: datetime | None = None) -> float | None:
    """The seconds of a ``Retry-After`` header, given as a number or as a date."""
    if not header:
        return None
    text = header.strip()
    if text.isdigit():
        return float(text[:9])
    try:
        when = parsedate_to_datetime(text)
    except ValueError:
        return None
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(0.0, (when - (now or datetime.now(UTC))).total_seconds())


class Failures:
    """Counts failures in a row and waits between tries."""

    def __init__(self, patience: Patience, halt: Halt) -> None:
        self._patience = patience
        self._halt = halt
        self._count = 0

    def forget(self) -> None:
        self._count = 0

    def wait_after(self, hiccup: Hiccup) -> None:
        """Wait until it is worth trying again.

        Raises: the hiccup's ``HubError`` when patience has ended; ``Halted`` when told to stop meanwhile.
        """
        self._count += 1
        asked = hiccup.asked_s
        if self._count >= self._patience.attempts or (asked or 0.0) > self._patience.longest_asked_pause_s:
            raise hiccup.error from hiccup
        if self._halt.wait(self._patience.pause_s(self._count, asked)):
            raise Halted from None
