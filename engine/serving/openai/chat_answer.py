"""Chat completions in OpenAI's shape, whole and as events. Built cheaply, once a hand-over."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Sequence
from typing import Final

from engine.errors import RequestError
from engine.serving.http.answers import (
    DONE,
    JsonObject,
    dumps,
    error_event,
    readable,
    stream_end,
    timings_object,
    usage_object,
)
from engine.serving.http.events import (
    ContentDelta,
    Event,
    Finished,
    Outcome,
    ReasoningDelta,
    ToolCall,
    ToolCallDelta,
    total_timings,
)
from engine.serving.sequence import ShownLogprob, Timings

_NO_LOGPROBS: Final = b',"logprobs":null'


class ChatEncoder:
    """One chat completion in the making."""

    def __init__(self, model: str, fingerprint: str, n_choices: int, *, include_usage: bool = False) -> None:
        """``include_usage``: an extra event with the counts at a stream's end."""
        self._head: JsonObject = {
            "id": "chatcmpl-" + secrets.token_hex(12),
            "object": "chat.completion",
            "created": int(time.time()),
            "model": model,
            "system_fingerprint": fingerprint,
        }
        # Everything of a chunk but its choices, serialised once.
        self._chunk_head = b"data: " + dumps({**self._head, "object": "chat.completion.chunk"})[:-1] + b',"choices":['
        self._n_choices = n_choices
        self._include_usage = include_usage
        self._begun: set[int] = set()
        self._timings: dict[int, Timings] = {}

    def encode(self, events: Sequence[Event]) -> bytes:
        """An event of the stream for each of these, and before a choice's first one its role."""
        return b"".join([self._opening(event) + self._event(event) for event in events])

    def end(self) -> bytes:
        """The counts, if they are wanted, and the end mark."""
        return stream_end(self._chunk_head, self._total()) if self._include_usage else DONE

    def failure(self, error: RequestError) -> bytes:
        """An error in the middle of a stream."""
        return error_event(error)

    def whole(self, outcomes: Sequence[Outcome]) -> JsonObject:
        """The answer in one piece."""
        total = total_timings([outcome.timings for outcome in outcomes if outcome.timings is not None], len(outcomes))
        return {
            **self._head,
            "choices": [_choice(index, outcome) for index, outcome in enumerate(outcomes)],
            "usage": usage_object(total),
            "timings": timings_object(total),
        }

    def _opening(self, event: Event) -> bytes:
        if event.choice in self._begun:
            return b""
        self._begun.add(event.choice)
        return self._chunk(event.choice, b'{"role":"assistant","content":""}', _NO_LOGPROBS)

    def _event(self, event: Event) -> bytes:
        if isinstance(event, ContentDelta):
            logprobs = b',"logprobs":' + dumps(_logprobs(event.logprobs)) if event.logprobs else _NO_LOGPROBS
            return self._chunk(event.choice, b'{"content":' + _text(event.text) + b"}", logprobs)
        if isinstance(event, ReasoningDelta):
            return self._chunk(event.choice, b'{"reasoning_content":' + _text(event.text) + b"}", _NO_LOGPROBS)
        if isinstance(event, ToolCallDelta):
            return self._chunk(event.choice, dumps({"tool_calls": [_call_delta(event)]}), _NO_LOGPROBS)
        return self._closing(event)

    def _closing(self, event: Finished) -> bytes:
        """The event that ends a choice; the last of all brings every choice's timings."""
        self._timings[event.choice] = event.timings
        extra = b""
        if len(self._timings) == self._n_choices:
            extra = b',"timings":' + dumps(timings_object(self._total()))
        return self._chunk(event.choice, b"{}", _NO_LOGPROBS, b'"' + event.reason.encode() + b'"', extra)

    def _total(self) -> Timings:
        return total_timings([self._timings[choice] for choice in range(self._n_choices)], self._n_choices)

    def _chunk(
        self, choice: int, delta: bytes, logprobs: bytes, finish_reason: bytes = b"null", extra: bytes = b""
    ) -> bytes:
        return b'%s{"index":%d,"delta":%s%s,"finish_reason":%s}]%s}\n\n' % (
            self._chunk_head,
            choice,
            delta,
            logprobs,
            finish_reason,
            extra,
        )


def _text(text: str) -> bytes:
    return json.dumps(text, ensure_ascii=False).encode("utf-8", "replace")


def _call_delta(event: ToolCallDelta) -> JsonObject:
    if not event.id:
        return {"index": event.index, "function": {"arguments": event.arguments}}
    function = {"name": event.name, "arguments": event.arguments}
    return {"index": event.index, "id": event.id, "type": "function", "function": function}


def _choice(index: int, outcome: Outcome) -> JsonObject:
    message: JsonObject = {"role": "assistant", "content": outcome.content, "refusal": None}
    if outcome.reasoning:
        message["reasoning_content"] = outcome.reasoning
    if outcome.tool_calls:
        message["content"] = outcome.content or None
        message["tool_calls"] = [_call(call) for call in outcome.tool_calls]
    logprobs = _logprobs(outcome.logprobs) if outcome.logprobs else None
    return {"index": index, "message": message, "logprobs": logprobs, "finish_reason": outcome.reason}


def _call(call: ToolCall) -> JsonObject:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _logprobs(shown: Sequence[ShownLogprob]) -> JsonObject:
    return {"content": [token_logprob(item) for item in shown], "refusal": None}


def token_logprob(item: ShownLogprob) -> JsonObject:
    """A token as OpenAI shows it with its log-probability."""
    top = [
        {"token": readable(piece), "logprob": logprob, "bytes": list(piece)}
        for piece, (_, logprob) in zip(item.top_pieces, item.logprob.top, strict=True)
    ]
    masked = item.logprob.masked_logprob
    return {
        "token": readable(item.piece),
        "logprob": item.logprob.logprob,
        **({} if masked is None else {"masked_logprob": masked}),
        "bytes": list(item.piece),
        "top_logprobs": top,
    }
