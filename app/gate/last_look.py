"""The last look at the final bytes: nothing hidden or planted is in them, and no number that nobody let through.

Used when a sheet is made, and again by the transport a moment before the first byte leaves. What to look for is
``app.gate.leaks``'s, numbers with check digits are ``app.gate.scan``'s to find.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from app.gate.leaks import LeakFinder, readable, unconsented
from app.gate.records import Finding


class Scan(Protocol):
    """The recognisers."""

    async def scan(self, texts: Sequence[str]) -> Sequence[tuple[Finding, ...]]:
        """Raises ``GatehouseError`` when it is not certain that everything was looked at."""


@dataclass(frozen=True, slots=True)
class LastLook:
    """For one request."""

    scanner: Scan
    hidden: Mapping[str, str] = field(repr=False)
    """Placeholder to string, without those that the person lets through."""
    let_through: tuple[str, ...] = field(repr=False)
    canaries: tuple[str, ...] = field(repr=False)

    async def find(self, body: bytes) -> tuple[str, ...]:
        """The kinds of what is in ``body`` and must stay. Raises ``GatehouseError`` when nobody could look."""
        found = await asyncio.to_thread(LeakFinder(self.hidden, self.canaries).find, body)
        texts = readable(body)
        scanned = await self.scanner.scan(texts)
        numbers = unconsented((one for findings in scanned for one in findings), self.let_through)
        return (*(leak.kind for leak in found), *(one.kind for one in numbers))
