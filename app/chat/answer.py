"""One answer while it is being written: its text so far, and events merged to a screen's pace.

Runs in the core thread. Asking for it is ``app.chat.local_answer``'s or the gate's, saving is ``app.chat.saver``'s.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from app.chat.records import AnswerStats, Message, MessageStatus
from app.events import AnswerFlagged, AnswerGrew
from app.gate.label import Label, strictest
from app.gate.records import Flag
from app.providers.provider import Chunk, Endpoint, Timings, Usage

FRAME_S = 1 / 60
"""Pieces that arrive within one frame of a screen travel as one event."""


@dataclass(frozen=True, slots=True)
class Source:
    """Who writes an answer."""

    model_id: str
    device: str
    """In words, e.g. ``CPU``; the host of who answers elsewhere."""
    route: Literal["local", "team", "cloud"] = "local"
    provider: str = ""
    request_id: str = ""
    cost: Callable[[Usage | None, int], float | None] | None = None
    """What it costs in US dollars, by its usage or else by its number of pieces."""


class LiveAnswer:
    """Grows by chunks; ``message()`` is its whole state at any moment."""

    def __init__(
        self,
        pending: Message,
        publish: Callable[[AnswerGrew | AnswerFlagged], None],
        note_change: Callable[[LiveAnswer], None],
    ) -> None:
        """``pending`` may have a text already, which then goes on."""
        self._message = pending
        self._publish = publish
        self._note_change = note_change
        self._asked_at = time.monotonic()
        self._first_at: float | None = None
        self._last_at: float | None = None
        self._text: list[str] = [pending.text] if pending.text else []
        self._reasoning: list[str] = []
        self._published = [len(pending.text), 0]
        self._waiting = [0, 0]
        self._flush_handle: asyncio.TimerHandle | None = None
        self._flushed_at = 0.0
        self._pieces = 0
        self._usage: Usage | None = None
        self._timings: Timings | None = None
        self._finish_reason: str | None = None
        self._source: Source | None = None

    @property
    def id(self) -> str:
        return self._message.id

    @property
    def conversation_id(self) -> str:
        return self._message.conversation_id

    @property
    def has_text(self) -> bool:
        return bool(self._text or self._reasoning)

    def sent_to(self, endpoint: Endpoint) -> None:
        """Note which model of this machine answers."""
        self.sent_elsewhere(Source(endpoint.model_id, endpoint.device))

    def sent_elsewhere(self, source: Source) -> None:
        """Note who answers."""
        self._source = source
        self._message = replace(self._message, model_id=source.model_id)

    def inherit(self, label: Label | None) -> None:
        """It is made of something with this label."""
        if label is not None:
            own = self._message.label
            self._message = replace(self._message, label=label if own is None else strictest((own, label)))

    def flag(self, flag: Flag) -> None:
        """Say why this answer may not be good enough; the text so far is announced with it."""
        if flag == self._message.flag:
            return
        self._message = replace(self._message, flag=flag)
        self._note_change(self)
        self.flush()
        self._publish(AnswerFlagged(self.message()))

    def take(self, chunk: Chunk) -> None:
        """Add a chunk of the stream."""
        self._usage = chunk.usage or self._usage
        self._timings = chunk.timings or self._timings
        self._finish_reason = chunk.finish_reason or self._finish_reason
        if not (chunk.text or chunk.reasoning):
            return
        self._last_at = time.monotonic()
        if self._first_at is None:
            self._first_at = self._last_at
            self._message = replace(self._message, status=MessageStatus.STREAMING)
        self._pieces += 1
        for kept, waiting, piece in ((self._text, 0, chunk.text), (self._reasoning, 1, chunk.reasoning)):
            if piece:
                kept.append(piece)
                self._waiting[waiting] += len(piece)
        self._note_change(self)
        self._flush_soon()

    def flush(self) -> None:
        """Publish what has not been published yet."""
        if self._flush_handle is not None:
            self._flush_handle.cancel()
            self._flush_handle = None
        if not any(self._waiting):
            return
        text = _tail(self._text, self._waiting[0])
        reasoning = _tail(self._reasoning, self._waiting[1])
        starts = tuple(self._published)
        self._published = [starts[0] + len(text), starts[1] + len(reasoning)]
        self._waiting = [0, 0]
        self._flushed_at = time.monotonic()
        self._publish(AnswerGrew(self.conversation_id, self.id, text, reasoning, *starts))

    def message(self) -> Message:
        """The answer as it is now."""
        self._text = ["".join(self._text)] if self._text else []
        self._reasoning = ["".join(self._reasoning)] if self._reasoning else []
        return replace(self._message, text="".join(self._text), reasoning="".join(self._reasoning))

    def end(self, status: MessageStatus, error: str = "") -> Message:
        """Publish the rest and return the final message, with its statistics."""
        self.flush()
        self._message = replace(self.message(), status=status, error=error, stats=self._stats())
        return self._message

    def _flush_soon(self) -> None:
        if self._flush_handle is not None:
            return
        wait_s = self._flushed_at + FRAME_S - time.monotonic()
        if wait_s <= 0:
            self.flush()
        else:
            self._flush_handle = asyncio.get_running_loop().call_later(wait_s, self.flush)

    def _stats(self) -> AnswerStats | None:
        if self._source is None:
            return None
        usage, timings = self._usage, self._timings
        return AnswerStats(
            prompt_tokens=usage.prompt_tokens if usage else None,
            cached_tokens=usage.cached_tokens if usage else (timings.cache_n if timings else None),
            completion_tokens=usage.completion_tokens if usage else None,
            ttft_s=None if self._first_at is None else self._first_at - self._asked_at,
            decode_tok_s=self._decode_tok_s(),
            total_s=time.monotonic() - self._asked_at,
            finish_reason=self._finish_reason,
            device=self._source.device,
            route=self._source.route,
            cost_usd=None if self._source.cost is None else self._source.cost(usage, self._pieces),
            provider=self._source.provider,
            request_id=self._source.request_id,
        )

    def _decode_tok_s(self) -> float | None:
        """The worker's own figure; of an answer that was cut short, what arrived here (a piece is about a token)."""
        if self._timings is not None and self._timings.predicted_per_second is not None:
            return self._timings.predicted_per_second
        if self._first_at is None or self._last_at is None or self._last_at <= self._first_at:
            return None
        tokens = self._usage.completion_tokens if self._usage else self._pieces
        return (tokens - 1) / (self._last_at - self._first_at) if tokens > 1 else None


def _tail(pieces: list[str], length: int) -> str:
    """The last ``length`` characters, without joining the whole."""
    found: list[str] = []
    for piece in reversed(pieces):
        if length <= 0:
            break
        found.append(piece[-length:])
        length -= len(piece)
    return "".join(reversed(found))
