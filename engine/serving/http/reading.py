"""One choice's deltas read as events. Pure but for the ids of tool calls."""

from __future__ import annotations

import secrets
from typing import Final, Protocol

from engine.serving.dialects.dialect import Dialect, Parser, Setting
from engine.serving.dialects.pieces import Arguments, Call, Piece, Text, Thought
from engine.serving.http.events import ContentDelta, EndReason, Event, Finished, ReasoningDelta, ToolCallDelta
from engine.serving.sequence import Delta, FinishReason, ShownLogprob

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


class DialectReader:
    """Content, reasoning and calls apart, as the model's dialect writes them."""

    def __init__(self, choice: int, dialect: Dialect, setting: Setting, *, parallel: bool = True) -> None:
        """Without ``parallel``, calls after the first are left out."""
        self._choice = choice
        self._parser = Parser(dialect, setting)
        self._parallel = parallel
        self._calls = 0
        self._logprobs: tuple[ShownLogprob, ...] = ()

    def read(self, delta: Delta, events: list[Event]) -> None:
        pieces = self._parser.feed(delta.text) if delta.text else []
        if delta.finish is not None:
            pieces += self._parser.finish()
        self._logprobs += delta.logprobs
        for piece in pieces:
            self._add(piece, events)
        if self._logprobs:
            events.append(ContentDelta(self._choice, "", self._take_logprobs()))
        if delta.finish is not None and delta.timings is not None:
            reason = _REASONS[delta.finish]
            if reason == "stop" and self._calls and delta.finish == "stop":
                reason = "tool_calls"
            events.append(Finished(self._choice, reason, delta.timings, delta.stopped_by))

    def _add(self, piece: Piece, events: list[Event]) -> None:
        match piece:
            case Text(text):
                events.append(ContentDelta(self._choice, text, self._take_logprobs()))
            case Thought(text):
                events.append(ReasoningDelta(self._choice, text))
            case Call(name, call_id):
                self._calls += 1
                if self._wanted:
                    call_id = call_id or "call_" + secrets.token_hex(12)
                    events.append(ToolCallDelta(self._choice, self._calls - 1, "", call_id, name))
            case Arguments(text):
                if self._wanted:
                    events.append(ToolCallDelta(self._choice, self._calls - 1, text))

    @property
    def _wanted(self) -> bool:
        return self._parallel or self._calls == 1

    def _take_logprobs(self) -> tuple[ShownLogprob, ...]:
        taken, self._logprobs = self._logprobs, ()
        return taken
