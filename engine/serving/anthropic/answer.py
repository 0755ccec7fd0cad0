"""Answers of Anthropic's ``/v1/messages``: the message, and its events, in which blocks open, grow and close.

Built of the same events as every other protocol's answers. Pure but for ids.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from typing import Any, Final, Literal

from engine.errors import RequestError
from engine.serving.http.answers import JsonObject, anthropic_error_object, dumps
from engine.serving.http.events import ContentDelta, Event, Finished, Outcome, ReasoningDelta, ToolCall, ToolCallDelta
from engine.serving.sequence import Timings

BlockKind = Literal["text", "thinking", "tool_use"]

_DELTAS: Final[dict[BlockKind, tuple[str, str]]] = {
    "text": ("text_delta", "text"),
    "thinking": ("thinking_delta", "thinking"),
    "tool_use": ("input_json_delta", "partial_json"),
}


class MessagesEncoder:
    """One message in the making."""

    def __init__(self, model: str, *, prompt_tokens: int, max_tokens: int) -> None:
        self._model = model
        self._id = "msg_" + secrets.token_hex(12)
        self._prompt_tokens = prompt_tokens
        self._max_tokens = max_tokens
        self._begun = False
        self._open: BlockKind | None = None
        self._index = -1
        """Of the block that is open, or was last."""

    # Streams

    def encode(self, events: Sequence[Event]) -> bytes:
        """The protocol's events of these; before the first of all, that the message begins."""
        out: list[bytes] = []
        if not self._begun:
            self._begun = True
            usage = {"input_tokens": self._prompt_tokens, "output_tokens": 0}
            out.append(_event("message_start", message=self._message([], None, None, usage)))
        for event in events:
            self._take(event, out)
        return b"".join(out)

    def end(self) -> bytes:
        """That the message is whole."""
        return _event("message_stop")

    def failure(self, error: RequestError) -> bytes:
        """An error in the middle of a stream."""
        return b"event: error\ndata: " + dumps(anthropic_error_object(error)) + b"\n\n"

    def _take(self, event: Event, out: list[bytes]) -> None:
        if isinstance(event, ToolCallDelta):
            if event.id:
                self._start({"type": "tool_use", "id": event.id, "name": event.name, "input": {}}, "tool_use", out)
            self._grow(event.arguments, out)
        elif isinstance(event, ReasoningDelta):
            if self._open != "thinking":
                self._start({"type": "thinking", "thinking": "", "signature": ""}, "thinking", out)
            self._grow(event.text, out)
        elif isinstance(event, ContentDelta):
            if event.text and self._open != "text":
                self._start({"type": "text", "text": ""}, "text", out)
            self._grow(event.text, out)
        else:
            self._close(out)
            delta = {"stop_reason": self._stop_reason(event), "stop_sequence": event.stopped_by}
            out.append(_event("message_delta", delta=delta, usage=_usage(event.timings)))

    def _start(self, block: JsonObject, kind: BlockKind, out: list[bytes]) -> None:
        self._close(out)
        self._open = kind
        self._index += 1
        out.append(_event("content_block_start", index=self._index, content_block=block))

    def _grow(self, text: str, out: list[bytes]) -> None:
        if self._open is not None and text:
            kind, name = _DELTAS[self._open]
            out.append(_event("content_block_delta", index=self._index, delta={"type": kind, name: text}))

    def _close(self, out: list[bytes]) -> None:
        if self._open is not None:
            self._open = None
            out.append(_event("content_block_stop", index=self._index))

    # In one piece

    def whole(self, outcomes: Sequence[Outcome]) -> JsonObject:
        """The message, from its one choice."""
        (outcome,) = outcomes
        content: list[JsonObject] = []
        if outcome.reasoning:
            content.append({"type": "thinking", "thinking": outcome.reasoning, "signature": ""})
        if outcome.content:
            content.append({"type": "text", "text": outcome.content})
        content += [_tool_use(call) for call in outcome.tool_calls]
        assert outcome.timings is not None
        end = Finished(0, outcome.reason, outcome.timings, outcome.stopped_by)
        return self._message(content, self._stop_reason(end), outcome.stopped_by, _usage(outcome.timings))

    def _stop_reason(self, end: Finished) -> str:
        if end.reason == "tool_calls":
            return "tool_use"
        if end.reason == "length":
            whole = end.timings.completion_tokens >= self._max_tokens
            return "max_tokens" if whole else "model_context_window_exceeded"
        return "end_turn" if end.stopped_by is None else "stop_sequence"

    def _message(
        self, content: list[JsonObject], stop_reason: str | None, stop_sequence: str | None, usage: JsonObject
    ) -> JsonObject:
        return {
            "id": self._id,
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": content,
            "stop_reason": stop_reason,
            "stop_sequence": stop_sequence,
            "usage": usage,
        }


def _event(kind: str, /, **fields: object) -> bytes:
    return b"event: " + kind.encode() + b"\ndata: " + dumps({"type": kind, **fields}) + b"\n\n"


def _tool_use(call: ToolCall) -> JsonObject:
    """A call; one whose arguments the model did not write as an object is shown as the text that it is."""
    try:
        arguments: Any = json.loads(call.arguments or "{}")
    except (ValueError, RecursionError):
        arguments = None
    if not isinstance(arguments, dict):
        return {"type": "text", "text": f"{call.name} {call.arguments}"}
    return {"type": "tool_use", "id": call.id, "name": call.name, "input": arguments}


def _usage(timings: Timings) -> JsonObject:
    """What was read from memory does not count among the input tokens here."""
    return {
        "input_tokens": timings.prompt_tokens - timings.cached_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": timings.cached_tokens,
        "output_tokens": timings.completion_tokens,
    }
