"""Answers in the shapes of the OpenAI API, and their events for streams. Pure; built cheaply, once a token."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Sequence
from typing import Any, Final, Literal

from engine.errors import RequestError
from engine.serving.sequence import Delta, FinishReason, ShownLogprob, Timings

JsonObject = dict[str, Any]
Kind = Literal["chat", "text"]

DONE: Final = b"data: [DONE]\n\n"
_FINISH: Final[dict[FinishReason, str]] = {"stop": "stop", "length": "length", "cancelled": "stop", "error": "stop"}
_TYPES: Final = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}


class Answer:
    """One answer in the making: its id, its kind, and what its choices have said."""

    def __init__(
        self, kind: Kind, model: str, fingerprint: str, *, choices_per_prompt: int = 1, echoes: Sequence[str] = ()
    ) -> None:
        """``echoes``: text to repeat before each choice's own."""
        self._per_prompt = choices_per_prompt
        self._chat = kind == "chat"
        self._id = ("chatcmpl-" if self._chat else "cmpl-") + secrets.token_hex(12)
        self._head: JsonObject = {
            "id": self._id,
            "object": "chat.completion" if self._chat else "text_completion",
            "created": int(time.time()),
            "model": model,
            "system_fingerprint": fingerprint,
        }
        chunk = {**self._head, "object": "chat.completion.chunk" if self._chat else "text_completion"}
        # Everything of a chunk but its choices, serialised once.
        self._chunk_head = b"data: " + _dumps(chunk)[:-1] + b',"choices":['
        self._echoes = list(echoes)
        self._begun: set[int] = set()
        self._offsets: dict[int, int] = {}

    def chunk(self, choice: int, delta: Delta) -> bytes:
        """The event or events of a delta."""
        head = b""
        text = delta.text
        if choice not in self._begun:
            self._begun.add(choice)
            if self._chat:
                head = self._event(choice, b'"delta":{"role":"assistant","content":""},"logprobs":null', None)
            elif choice < len(self._echoes):
                text = self._echoes[choice] + text
        body = b""
        if text or delta.logprobs:
            logprobs = _dumps(self._logprobs(choice, delta.logprobs)) if delta.logprobs else b"null"
            body = self._event(choice, self._text_field(text) + b',"logprobs":' + logprobs, None)
        return head + body

    def closing(self, choice: int, delta: Delta, timings: Sequence[Timings] = ()) -> bytes:
        """The event that ends a choice; the last of all brings every choice's timings."""
        field = b'"delta":{}' if self._chat else b'"text":""'
        extra = b',"timings":' + _dumps(timings_object(self.total(timings))) if timings else b""
        return self._event(choice, field + b',"logprobs":null', _FINISH[delta.finish or "stop"], extra)

    def usage_chunk(self, timings: Sequence[Timings]) -> bytes:
        """The extra event for ``stream_options.include_usage``."""
        total = self.total(timings)
        usage, times = _dumps(usage_object(total)), _dumps(timings_object(total))
        return self._chunk_head + b'],"usage":' + usage + b',"timings":' + times + b"}\n\n"

    def total(self, timings: Sequence[Timings]) -> Timings:
        """All choices' timings as one: a prompt counts once, tokens add up, times are those of the longest."""
        if len(timings) == 1:
            return timings[0]
        prompts = timings[:: self._per_prompt]
        return Timings(
            prompt_tokens=sum(t.prompt_tokens for t in prompts),
            cached_tokens=sum(t.cached_tokens for t in prompts),
            completion_tokens=sum(t.completion_tokens for t in timings),
            queue_s=max((t.queue_s for t in timings), default=0.0),
            prefill_s=max((t.prefill_s for t in timings), default=0.0),
            decode_s=max((t.decode_s for t in timings), default=0.0),
        )

    def _text_field(self, text: str) -> bytes:
        encoded = json.dumps(text, ensure_ascii=False).encode("utf-8", "replace")
        return b'"delta":{"content":' + encoded + b"}" if self._chat else b'"text":' + encoded

    def _event(self, choice: int, fields: bytes, finish: str | None, extra: bytes = b"") -> bytes:
        reason = b"null" if finish is None else b'"' + finish.encode() + b'"'
        return b'%s{"index":%d,%s,"finish_reason":%s}]%s}\n\n' % (self._chunk_head, choice, fields, reason, extra)

    def whole(self, finals: Sequence[Delta]) -> JsonObject:
        """The answer in one piece, from each choice's one delta."""
        total = self.total([delta.timings for delta in finals if delta.timings is not None])
        choices = [self._choice(index, delta) for index, delta in enumerate(finals)]
        return {
            **self._head,
            "choices": choices,
            "usage": usage_object(total),
            "timings": timings_object(total),
        }

    def _choice(self, index: int, delta: Delta) -> JsonObject:
        logprobs = self._logprobs(index, delta.logprobs) if delta.logprobs else None
        finish = _FINISH[delta.finish or "stop"]
        if self._chat:
            message = {"role": "assistant", "content": delta.text, "refusal": None}
            return {"index": index, "message": message, "logprobs": logprobs, "finish_reason": finish}
        echo = self._echoes[index] if index < len(self._echoes) else ""
        return {"index": index, "text": echo + delta.text, "logprobs": logprobs, "finish_reason": finish}

    def _logprobs(self, choice: int, shown: Sequence[ShownLogprob]) -> JsonObject:
        if self._chat:
            return {"content": [_chat_logprob(item) for item in shown], "refusal": None}
        offsets: list[int] = []
        at = self._offsets.get(choice, len(self._echoes[choice]) if choice < len(self._echoes) else 0)
        for item in shown:
            offsets.append(at)
            at += len(_readable(item.piece))
        self._offsets[choice] = at
        return {
            "tokens": [_readable(item.piece) for item in shown],
            "token_logprobs": [item.logprob.logprob for item in shown],
            "top_logprobs": [_text_top(item) for item in shown],
            "text_offset": offsets,
        }


def _chat_logprob(item: ShownLogprob) -> JsonObject:
    top = [
        {"token": _readable(piece), "logprob": logprob, "bytes": list(piece)}
        for piece, (_, logprob) in zip(item.top_pieces, item.logprob.top, strict=True)
    ]
    return {
        "token": _readable(item.piece),
        "logprob": item.logprob.logprob,
        "bytes": list(item.piece),
        "top_logprobs": top,
    }


def _text_top(item: ShownLogprob) -> dict[str, float]:
    top: dict[str, float] = {}
    for piece, (_, logprob) in zip(item.top_pieces, item.logprob.top, strict=True):
        top.setdefault(_readable(piece), logprob)
    top.setdefault(_readable(item.piece), item.logprob.logprob)
    return top


def _readable(piece: bytes) -> str:
    return piece.decode("utf-8", "replace")


def usage_object(total: Timings) -> JsonObject:
    """OpenAI's ``usage``."""
    return {
        "prompt_tokens": total.prompt_tokens,
        "completion_tokens": total.completion_tokens,
        "total_tokens": total.prompt_tokens + total.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": total.cached_tokens},
    }


def timings_object(timings: Timings) -> JsonObject:
    """llama-server's ``timings``, and the time in the queue.

    ``predicted_ms`` runs from the first token to the last, so the speed counts the tokens after the first.
    """
    prompt_n = timings.prompt_tokens - timings.cached_tokens
    intervals = max(0, timings.completion_tokens - 1)
    return {
        "cache_n": timings.cached_tokens,
        "prompt_n": prompt_n,
        **_speed("prompt", prompt_n, timings.prefill_s),
        "predicted_n": timings.completion_tokens,
        **_speed("predicted", intervals, timings.decode_s),
        "queue_ms": round(timings.queue_s * 1e3, 3),
    }


def _speed(name: str, n: int, seconds: float) -> JsonObject:
    return {
        f"{name}_ms": round(seconds * 1e3, 3),
        f"{name}_per_token_ms": round(seconds * 1e3 / n, 3) if n else 0.0,
        f"{name}_per_second": round(n / seconds, 3) if seconds > 0 else 0.0,
    }


def error_object(error: RequestError) -> JsonObject:
    """The body of every refusal."""
    kind = _TYPES.get(error.status, "server_error" if error.status >= 500 else "invalid_request_error")
    return {
        "error": {
            "message": error.sentence,
            "type": kind,
            "code": error.code,
            "param": error.param,
            "hint": error.hint,
        }
    }


def error_event(error: RequestError) -> bytes:
    """An error in the middle of a stream."""
    return b"data: " + _dumps(error_object(error)) + b"\n\n"


def _dumps(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
