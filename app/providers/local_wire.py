"""A worker's chat API as bytes: a request's body, the parts of a stream, and what a part says. Pure.

Taken apart by hand: the openai SDK takes 24 MiB and half a second of processor to import, and several times as long for
a part. It stays for the clouds (``remote.py``), whose API is less well known than our own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from app.providers.provider import Chunk, Endpoint, PromptMessage, Sampling, Timings, Usage

MAX_PART_BYTES: Final = 64 << 20
"""Of one event; the longest honest one brings the log-probabilities of a twentieth of a second."""
_DATA: Final = b"data: "
_DONE: Final = b"data: [DONE]"


def request_body(
    endpoint: Endpoint, messages: Sequence[PromptMessage], sampling: Sampling, cache_key: str = ""
) -> bytes:
    """What is asked. Half a surrogate pair, which UTF-8 has no bytes for, becomes a question mark."""
    fields: dict[str, object] = {
        "model": endpoint.model_id,
        "messages": [{"role": message.role, "content": message.text} for message in messages],
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "repeat_penalty": sampling.repeat_penalty,
    }
    if sampling.max_tokens is not None:
        fields["max_tokens"] = sampling.max_tokens
    if sampling.seed is not None:
        fields["seed"] = sampling.seed
    if sampling.logprobs:
        fields["logprobs"] = True
    if cache_key:
        fields["prompt_cache_key"] = cache_key
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


class Parts:
    """Cuts a stream of server-sent events into its parts. Lines end in a line feed and in nothing else."""

    def __init__(self) -> None:
        self._pending = b""

    def feed(self, data: bytes) -> list[Mapping[str, Any]]:
        """The parts that are whole now. Raises: ``ValueError`` for what is none."""
        *lines, self._pending = (self._pending + data).split(b"\n")
        if len(self._pending) > MAX_PART_BYTES:
            raise ValueError("a part has no end")
        return [_object(line[len(_DATA) :]) for line in lines if line.startswith(_DATA) and line.rstrip() != _DONE]


def _object(data: bytes) -> Mapping[str, Any]:
    part = json.loads(data)
    if not isinstance(part, dict):
        raise ValueError("a part is no object")
    return part


def chunk_of(part: Mapping[str, Any]) -> Chunk:
    """What a part says; what is of another type than it should be is left out."""
    usage, timings = _usage(part.get("usage")), _timings(part.get("timings"))
    choices = part.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, dict):
        return Chunk(usage=usage, timings=timings)
    delta = choice.get("delta")
    said: Mapping[str, object] = delta if isinstance(delta, dict) else {}
    reason = choice.get("finish_reason")
    return Chunk(
        text=_text(said.get("content")),
        reasoning=_text(said.get("reasoning_content")),
        finish_reason=reason if isinstance(reason, str) else None,
        usage=usage,
        timings=timings,
        logprobs=_logprobs(choice.get("logprobs")),
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _whole(value: object) -> int | None:
    number = _number(value)
    return None if number is None else int(number)


def _usage(raw: object) -> Usage | None:
    if not isinstance(raw, dict):
        return None
    details = raw.get("prompt_tokens_details")
    cached = _whole(details.get("cached_tokens")) if isinstance(details, dict) else None
    return Usage(_whole(raw.get("prompt_tokens")) or 0, _whole(raw.get("completion_tokens")) or 0, cached)


def _logprobs(raw: object) -> tuple[float, ...]:
    tokens = raw.get("content") if isinstance(raw, dict) else None
    if not isinstance(tokens, list):
        return ()
    found = (_number(token.get("logprob")) for token in tokens if isinstance(token, dict))
    return tuple(number for number in found if number is not None)


def _timings(raw: object) -> Timings | None:
    if not isinstance(raw, dict):
        return None
    return Timings(
        prompt_n=_whole(raw.get("prompt_n")),
        cache_n=_whole(raw.get("cache_n")),
        prompt_ms=_number(raw.get("prompt_ms")),
        prompt_per_second=_number(raw.get("prompt_per_second")),
        predicted_n=_whole(raw.get("predicted_n")),
        predicted_ms=_number(raw.get("predicted_ms")),
        predicted_per_second=_number(raw.get("predicted_per_second")),
    )
