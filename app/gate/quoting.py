"""Looks for quotes of what is restricted in texts that would leave: prints what has no print yet, then compares.

Fails closed: whatever goes wrong here raises, and nothing leaves. Fingerprints are ``app.gate.quotes``'s, their rows
``app.store.prints``'s. In the core thread; hashing is done in others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Final

from app.gate import quotes
from app.lanes import StoreLane
from app.store import prints
from app.store.database import Connection

_PRINTED_AT_ONCE: Final = 64


class Quoting:
    """Of one store."""

    def __init__(self, lane: StoreLane) -> None:
        self._lane = lane
        self._known: tuple[object, frozenset[int]] | None = None
        """All fingerprints of what is restricted, and what they depend on."""

    def forget(self) -> None:
        """The app is locked."""
        self._known = None

    async def find(self, texts: Sequence[str]) -> tuple[str, ...]:
        """The names of restricted conversations and documents that ``texts`` quote. Raises ``StoreError``."""
        if not await self._lane.read(prints.is_any):
            return ()
        key = await self._lane.read(prints.key)
        await self._print_all(key)
        known = await self._all()
        names: dict[str, None] = {}
        looked = quotes.windows(texts, key)
        while (window := await asyncio.to_thread(next, looked, None)) is not None:
            if not window.isdisjoint(known):
                names |= dict.fromkeys(await self._lane.read(partial(_among, window=window)))
        return tuple(names)

    async def _print_all(self, key: bytes) -> None:
        while missing := await self._lane.read(prints.unprinted):
            for start in range(0, len(missing), _PRINTED_AT_ONCE):
                some = missing[start : start + _PRINTED_AT_ONCE]
                texts = await self._lane.read(partial(prints.texts, sources=some))
                made = await asyncio.to_thread(_printed, some, texts, key)
                await self._lane.write(partial(prints.keep, made=made))

    async def _all(self) -> frozenset[int]:
        state = await self._lane.read(prints.state)
        if self._known is None or self._known[0] != state:
            state, joined = await self._lane.read(
                lambda connection: (prints.state(connection), prints.every_block(connection))
            )
            self._known = state, await asyncio.to_thread(quotes.numbers, joined)
        return self._known[1]


def _printed(
    sources: Sequence[prints.Source], texts: Sequence[str], key: bytes
) -> list[tuple[prints.Source, str, bytes]]:
    return [(one, text, quotes.blocks(text, key)) for one, text in zip(sources, texts, strict=True)]


def _among(connection: Connection, window: frozenset[int]) -> tuple[str, ...]:
    return tuple(one.name for one in prints.every(connection) if quotes.is_quoted(one.blocks, window))
