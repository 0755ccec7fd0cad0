"""Answers of ``/v1/responses``: the response object, and its events, in which items open, grow and close.

Built of the same events as every other protocol's answers. Pure but for ids and the clock.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from engine.errors import RequestError
from engine.serving.http.answers import JsonObject, dumps
from engine.serving.http.events import ContentDelta, Event, Finished, Outcome, ReasoningDelta, ToolCallDelta
from engine.serving.openai.chat_answer import token_logprob
from engine.serving.openai.responses_wire import ResponsesCall
from engine.serving.sequence import ShownLogprob, Timings

ItemKind = Literal["reasoning", "message", "function_call"]

_PREFIXES: Final[dict[ItemKind, str]] = {"reasoning": "rs_", "message": "msg_", "function_call": "fc_"}
_DELTAS: Final[dict[ItemKind, str]] = {
    "reasoning": "response.reasoning_text",
    "message": "response.output_text",
    "function_call": "response.function_call_arguments",
}


@dataclass(slots=True)
class _Item:
    """An item of the output, open or closed."""

    kind: ItemKind
    id: str
    index: int
    """In the output."""
    text: list[str] = field(default_factory=list)
    logprobs: list[ShownLogprob] = field(default_factory=list)
    call_id: str = ""
    name: str = ""
    status: str = "in_progress"

    def part(self) -> JsonObject:
        """Of a message or of reasoning: its one part."""
        text = "".join(self.text)
        if self.kind == "reasoning":
            return {"type": "reasoning_text", "text": text}
        logprobs = [token_logprob(item) for item in self.logprobs]
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": logprobs}

    def as_json(self) -> JsonObject:
        head: JsonObject = {"id": self.id, "type": self.kind, "status": self.status}
        if self.kind == "function_call":
            return {**head, "call_id": self.call_id, "name": self.name, "arguments": "".join(self.text)}
        content = [self.part()] if self.status != "in_progress" else []
        if self.kind == "reasoning":
            return {**head, "summary": [], "content": content}
        return {**head, "role": "assistant", "content": content}


class ResponsesEncoder:
    """One response in the making."""

    def __init__(self, model: str, call: ResponsesCall, count_tokens: Callable[[str], int]) -> None:
        """``count_tokens``: how many tokens a text has; used on reasoning alone, whose tokens nobody has counted."""
        self._call = call
        self._count_tokens = count_tokens
        self._model = model
        self._id = "resp_" + secrets.token_hex(24)
        self._created = int(time.time())
        self._items: list[_Item] = []
        self._open: _Item | None = None
        self._number = 0
        self._end: Finished | None = None

    # Streams

    def encode(self, events: Sequence[Event]) -> bytes:
        """The protocol's events of these; before the first of all, that the response exists."""
        out: list[bytes] = []
        if self._number == 0:
            begun = self._response("in_progress")
            out += [
                self._event("response.created", response=begun),
                self._event("response.in_progress", response=begun),
            ]
        for event in events:
            self._take(event, out)
        return b"".join(out)

    def end(self) -> bytes:
        """The whole response once more, with its usage."""
        return self._event(f"response.{self._status}", response=self._response(self._status))

    def failure(self, error: RequestError) -> bytes:
        """A response that broke off, with what there is of it."""
        if self._open is not None:
            self._open.status = "incomplete"
        failed = self._response("failed")
        failed["error"] = {"code": "server_error", "message": str(error)}
        return self._event("response.failed", response=failed)

    def _take(self, event: Event, out: list[bytes]) -> None:
        if isinstance(event, Finished):
            self._end = event
            if not self._items:
                self._opened("message", out)
            self._close(out)
        elif isinstance(event, ToolCallDelta):
            item = self._opened("function_call", out, event.id, event.name) if event.id else self._open
            if item is not None and event.arguments:
                self._grow(item, event.arguments, out)
        elif isinstance(event, ReasoningDelta):
            self._grow(self._continued("reasoning", out), event.text, out)
        elif event.text or (self._open is not None and self._open.kind == "message"):
            self._grow(self._continued("message", out), event.text, out, event.logprobs)

    def _continued(self, kind: ItemKind, out: list[bytes]) -> _Item:
        return self._open if self._open is not None and self._open.kind == kind else self._opened(kind, out)

    def _opened(self, kind: ItemKind, out: list[bytes], call_id: str = "", name: str = "") -> _Item:
        self._close(out)
        item = _Item(kind, _PREFIXES[kind] + secrets.token_hex(24), len(self._items), call_id=call_id, name=name)
        self._items.append(item)
        self._open = item
        out.append(self._event("response.output_item.added", output_index=item.index, item=item.as_json()))
        if kind == "message":
            out.append(self._event("response.content_part.added", **_place(item), part=item.part()))
        return item

    def _grow(self, item: _Item, text: str, out: list[bytes], logprobs: Sequence[ShownLogprob] = ()) -> None:
        item.text.append(text)
        item.logprobs.extend(logprobs)
        more: JsonObject = {"delta": text}
        if item.kind == "message":
            more["logprobs"] = [token_logprob(shown) for shown in logprobs]
        out.append(self._event(f"{_DELTAS[item.kind]}.delta", **_place(item), **more))

    def _close(self, out: list[bytes]) -> None:
        item, self._open = self._open, None
        if item is None:
            return
        item.status = self._status
        text = "".join(item.text)
        name = f"{_DELTAS[item.kind]}.done"
        if item.kind == "function_call":
            out.append(self._event(name, **_place(item), name=item.name, arguments=text))
        elif item.kind == "reasoning":
            out.append(self._event(name, **_place(item), text=text))
        else:
            part = item.part()
            out.append(self._event(name, **_place(item), text=text, logprobs=part["logprobs"]))
            out.append(self._event("response.content_part.done", **_place(item), part=part))
        out.append(self._event("response.output_item.done", output_index=item.index, item=item.as_json()))

    def _event(self, kind: str, /, **fields: object) -> bytes:
        number, self._number = self._number, self._number + 1
        event = dumps({"type": kind, "sequence_number": number, **fields})
        return b"event: " + kind.encode() + b"\ndata: " + event + b"\n\n"

    # In one piece

    def whole(self, outcomes: Sequence[Outcome]) -> JsonObject:
        """The response, from its one choice."""
        (outcome,) = outcomes
        events: list[Event] = []
        if outcome.reasoning:
            events.append(ReasoningDelta(0, outcome.reasoning))
        if outcome.content or outcome.logprobs:
            events.append(ContentDelta(0, outcome.content, outcome.logprobs))
        events += [
            ToolCallDelta(0, index, call.arguments, call.id, call.name) for index, call in enumerate(outcome.tool_calls)
        ]
        if outcome.timings is not None:
            events.append(Finished(0, outcome.reason, outcome.timings))
        for event in events:
            self._take(event, [])
        return self._response(self._status)

    @property
    def _status(self) -> str:
        return "incomplete" if self._end is not None and self._end.reason == "length" else "completed"

    def _response(self, status: str) -> JsonObject:
        call = self._call
        sampling = call.chat.options.sampling
        over = status in ("completed", "incomplete")
        return {
            "id": self._id,
            "object": "response",
            "created_at": self._created,
            "completed_at": int(time.time()) if status == "completed" else None,
            "status": status,
            "background": False,
            "error": None,
            "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
            "instructions": call.instructions,
            "max_output_tokens": call.max_output_tokens,
            "max_tool_calls": None,
            "metadata": call.metadata,
            "model": self._model,
            "output": [item.as_json() for item in self._items],
            "parallel_tool_calls": call.parallel_tool_calls,
            "previous_response_id": None,
            "reasoning": {"effort": call.reasoning_effort, "summary": None},
            "service_tier": "default",
            "store": False,
            "temperature": sampling.temperature,
            "text": {"format": call.text_format},
            "tool_choice": call.tool_choice,
            "tools": list(call.tools),
            "top_logprobs": call.top_logprobs,
            "top_p": sampling.top_p,
            "truncation": "disabled",
            "usage": self._usage(self._end.timings) if over and self._end is not None else None,
            "user": call.user,
        }

    def _usage(self, timings: Timings) -> JsonObject:
        reasoning = sum(self._count_tokens("".join(item.text)) for item in self._items if item.kind == "reasoning")
        return {
            "input_tokens": timings.prompt_tokens,
            "input_tokens_details": {"cached_tokens": timings.cached_tokens, "cache_write_tokens": 0},
            "output_tokens": timings.completion_tokens,
            "output_tokens_details": {"reasoning_tokens": reasoning},
            "total_tokens": timings.prompt_tokens + timings.completion_tokens,
        }


def _place(item: _Item) -> JsonObject:
    place: JsonObject = {"item_id": item.id, "output_index": item.index}
    return place if item.kind == "function_call" else {**place, "content_index": 0}
