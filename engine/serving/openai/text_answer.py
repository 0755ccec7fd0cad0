"""Plain completions in OpenAI's shape, whole and as events."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Sequence

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
from engine.serving.http.events import ContentDelta, Event, Finished, Outcome, total_timings
from engine.serving.sequence import ShownLogprob, Timings


class TextEncoder:
    """One plain completion in the making; its choices say nothing but content."""

    def __init__(
        self,
        model: str,
        fingerprint: str,
        n_choices: int,
        *,
        choices_per_prompt: int = 1,
        echoes: Sequence[str] = (),
        include_usage: bool = False,
    ) -> None:
        """``echoes``: text to repeat before each choice's own, or none."""
        self._head: JsonObject = {
            "id": "cmpl-" + secrets.token_hex(12),
            "object": "text_completion",
            "created": int(time.time()),
            "model": model,
            "system_fingerprint": fingerprint,
        }
        self._chunk_head = b"data: " + dumps(self._head)[:-1] + b',"choices":['
        self._n_choices = n_choices
        self._per_prompt = choices_per_prompt
        self._echoes = list(echoes) or [""] * n_choices
        self._include_usage = include_usage
        self._offsets = [len(echo) for echo in self._echoes]
        """Characters before each choice's next token."""
        self._begun: set[int] = set()
        self._timings: dict[int, Timings] = {}

    def encode(self, events: Sequence[Event]) -> bytes:
        """An event of the stream for each of these."""
        return b"".join([self._event(event) for event in events])

    def end(self) -> bytes:
        """The counts, if they are wanted, and the end mark."""
        return stream_end(self._chunk_head, self._total()) if self._include_usage else DONE

    def failure(self, error: RequestError) -> bytes:
        """An error in the middle of a stream."""
        return error_event(error)

    def whole(self, outcomes: Sequence[Outcome]) -> JsonObject:
        """The answer in one piece."""
        timings = [outcome.timings for outcome in outcomes if outcome.timings is not None]
        total = total_timings(timings, self._per_prompt)
        choices = [
            {
                "index": index,
                "text": self._echoes[index] + outcome.content,
                "logprobs": self._logprobs(index, outcome.logprobs) if outcome.logprobs else None,
                "finish_reason": outcome.reason,
            }
            for index, outcome in enumerate(outcomes)
        ]
        return {**self._head, "choices": choices, "usage": usage_object(total), "timings": timings_object(total)}

    def _event(self, event: Event) -> bytes:
        if isinstance(event, ContentDelta):
            logprobs = dumps(self._logprobs(event.choice, event.logprobs)) if event.logprobs else b"null"
            return self._chunk(event.choice, self._echo(event.choice) + event.text, logprobs, b"null")
        return self._closing(event) if isinstance(event, Finished) else b""

    def _echo(self, choice: int) -> str:
        if choice in self._begun:
            return ""
        self._begun.add(choice)
        return self._echoes[choice]

    def _closing(self, event: Finished) -> bytes:
        """The event that ends a choice; the last of all brings every choice's timings."""
        self._timings[event.choice] = event.timings
        extra = b""
        if len(self._timings) == self._n_choices:
            extra = b',"timings":' + dumps(timings_object(self._total()))
        reason = b'"' + event.reason.encode() + b'"'
        return self._chunk(event.choice, self._echo(event.choice), b"null", reason, extra)

    def _total(self) -> Timings:
        return total_timings([self._timings[choice] for choice in range(self._n_choices)], self._per_prompt)

    def _chunk(self, choice: int, text: str, logprobs: bytes, finish_reason: bytes, extra: bytes = b"") -> bytes:
        encoded = json.dumps(text, ensure_ascii=False).encode("utf-8", "replace")
        return b'%s{"index":%d,"text":%s,"logprobs":%s,"finish_reason":%s}]%s}\n\n' % (
            self._chunk_head,
            choice,
            encoded,
            logprobs,
            finish_reason,
            extra,
        )

    def _logprobs(self, choice: int, shown: Sequence[ShownLogprob]) -> JsonObject:
        offsets: list[int] = []
        for item in shown:
            offsets.append(self._offsets[choice])
            self._offsets[choice] += len(readable(item.piece))
        masked = [item.logprob.masked_logprob for item in shown]
        return {
            "tokens": [readable(item.piece) for item in shown],
            "token_logprobs": [item.logprob.logprob for item in shown],
            **({} if None in masked else {"masked_logprobs": masked}),
            "top_logprobs": [_top(item) for item in shown],
            "text_offset": offsets,
        }


def _top(item: ShownLogprob) -> dict[str, float]:
    top: dict[str, float] = {}
    for piece, (_, logprob) in zip(item.top_pieces, item.logprob.top, strict=True):
        top.setdefault(readable(piece), logprob)
    top.setdefault(readable(item.piece), item.logprob.logprob)
    return top
