"""The last look at the final bytes: nothing in them was hidden or planted, no number that nobody let through, no quote.

Used when a sheet is made, and again by the transport a moment before the first byte leaves. What to look for is
``app.gate.leaks``'s, numbers with check digits are ``app.gate.scan``'s to find, quotes ``app.gate.quoting``'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from app.gate.leaks import LeakFinder, Views, readable, unconsented, views_of
from app.gate.records import Finding


class Scan(Protocol):
    """The recognisers."""

    async def scan(self, texts: Sequence[str]) -> Sequence[tuple[Finding, ...]]:
        """Raises ``GatehouseError`` when it is not certain that everything was looked at."""


class Quotes(Protocol):
    """Who knows restricted texts again."""

    async def find(self, texts: Sequence[str]) -> tuple[str, ...]:
        """Names of what is quoted. Raises ``GatehouseError`` when it is not certain that everything was looked at."""


@dataclass(frozen=True, slots=True)
class Eyes:
    """Who looks at bytes."""

    scanner: Scan
    quotes: Quotes


@dataclass(frozen=True, slots=True)
class Found:
    """What is in the bytes and must stay."""

    leaks: tuple[str, ...]
    """Kinds."""
    quoted: tuple[str, ...]
    """Names of what is restricted and quoted."""


@dataclass(frozen=True, slots=True)
class LastLook:
    """For one request."""

    eyes: Eyes
    hidden: Mapping[str, str] = field(repr=False)
    """Placeholder to string, without those that the person lets through."""
    let_through: tuple[str, ...] = field(repr=False)
    canaries: tuple[str, ...] = field(repr=False)

    originals: tuple[str, ...] = field(repr=False)
    """The texts as they were before anything was hidden in them: a placeholder would cut a quote in two."""

    async def find(self, body: bytes) -> Found:
        """Raises ``GatehouseError`` when nobody could look."""
        views, before = await asyncio.to_thread(_all_views, body, self.originals)
        found = await asyncio.to_thread(LeakFinder(self.hidden, self.canaries).find_in, views)
        texts = readable(body)
        scanned = await self.eyes.scanner.scan(texts)
        numbers = unconsented((one for findings in scanned for one in findings), self.let_through)
        leaks = (*(leak.kind for leak in found), *(one.kind for one in numbers))
        return Found(leaks, await self.eyes.quotes.find((views.squeezed, *before)))


def _all_views(body: bytes, originals: Sequence[str]) -> tuple[Views, list[str]]:
    """What the body says, and what the texts said before anything was hidden in them, in all ways of reading them."""
    return views_of(body), [views_of(text.encode("utf-8", "replace")).squeezed for text in originals]
