"""Deltas on their way from the engine's thread to one HTTP answer, with a bound for readers that do not read.

The engine posts a whole step at once; everything here runs on the event loop's thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from engine.errors import RequestError
from engine.serving.engine import Outgoing
from engine.serving.sequence import Delta, DeltaSink

MAX_WAITING_DELTAS: Final = 4096
"""An answer whose reader is so far behind is dropped."""

Numbered = tuple[int, Delta]
"""A delta with the number of its choice in the whole answer."""


class Mailbox:
    """Collects the deltas of one answer, which may consist of several requests to the engine."""

    def __init__(self, on_overflow: Callable[[], None]) -> None:
        """``on_overflow`` is called once, when the reader has fallen too far behind."""
        self._on_overflow = on_overflow
        self._waiting: list[Numbered] = []
        self._reader: asyncio.Future[None] | None = None
        """Set while somebody waits; an ``asyncio.Event`` would cost twice as much, once a token."""
        self._overflowed = False

    def sink(self, first_choice: int) -> DeltaSink:
        """A receiver for a request whose choices are numbered from ``first_choice``."""

        def receive(delta: Delta) -> None:
            if len(self._waiting) < MAX_WAITING_DELTAS:
                self._waiting.append((first_choice + delta.choice, delta))
            elif not self._overflowed:
                self._overflowed = True
                self._on_overflow()
            reader = self._reader
            if reader is not None and not reader.done():
                reader.set_result(None)

        return receive

    async def take(self) -> list[Numbered]:
        """All that has arrived; waits for at least one.

        Raises: ``RequestError`` when the reader fell too far behind.
        """
        if not self._waiting and not self._overflowed:
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        if self._overflowed:
            raise RequestError("slow_reader", f"The answer was dropped: {MAX_WAITING_DELTAS} pieces were not read.")
        taken, self._waiting = self._waiting, []
        return joined(taken) if len(taken) > 1 else taken


def joined(numbered: list[Numbered]) -> list[Numbered]:
    """Neighbouring deltas of the same choice as one: an event costs the same however much it carries."""
    result = numbered[:1]
    for choice, delta in numbered[1:]:
        last_choice, last = result[-1]
        if choice == last_choice and last.finish is None and last.error is None:
            whole = Delta(
                delta.choice,
                last.text + delta.text,
                last.logprobs + delta.logprobs,
                delta.finish,
                delta.timings,
                delta.error,
                delta.stopped_by,
            )
            result[-1] = (choice, whole)
        else:
            result.append((choice, delta))
    return result


def deliver(outgoing: Outgoing) -> None:
    """Hand out a step's deltas. On the loop's thread."""
    for sink, delta in outgoing:
        sink(delta)


def poster(loop: asyncio.AbstractEventLoop) -> Callable[[Outgoing], None]:
    """What the engine calls once a step, from its own thread."""

    def post(outgoing: Outgoing) -> None:
        # The loop may be gone while the engine ends; then nobody is left to read.
        if not loop.is_closed():
            loop.call_soon_threadsafe(deliver, outgoing)

    return post
