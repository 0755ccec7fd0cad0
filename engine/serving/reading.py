"""One choice's deltas read as events. Pure but for the ids of tool calls."""

from __future__ import annotations

from typing import Final, Protocol

from engine.serving.events import ContentDelta, EndReason, Event, Finished
from engine.serving.sequence import Delta, FinishReason

_REASONS: Final[dict[FinishReason, EndReason]] = {
    "stop": "stop",
    "length": "length",
    "cancelled": "stop",
    "error": "stop",
}


class Reader(Protocol):
    """Keeps the place in one choice's text."""

    def read(self, delta: Delta, events: list[Event]) -> None:
        """Add what the delta says; the last delta ends in :class:`Finished`."""


class PlainReader:
    """All text is content."""

    __slots__ = ("_choice",)

    def __init__(self, choice: int) -> None:
        self._choice = choice

    def read(self, delta: Delta, events: list[Event]) -> None:
        if delta.text or delta.logprobs:
            events.append(ContentDelta(self._choice, delta.text, delta.logprobs))
        if delta.finish is not None and delta.timings is not None:
            events.append(Finished(self._choice, _REASONS[delta.finish], delta.timings, delta.stopped_by))
