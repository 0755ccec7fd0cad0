"""The OpenAI chat API as bytes: a request's exact body, and what a stream's parts say. Pure.

The body is made once; the sheet shows it, the checks see it, and the transport lets nothing else leave. Parts come from
strangers: every value is held against its type and bounds before it is used.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from app.gate.addresses import target_of
from app.gate.records import Provider
from app.providers.provider import Chunk, PromptMessage, Usage

GO_ON: Final = "Your last message was cut off. Go on exactly where it stopped, without repeating anything."
"""Asked after a cut answer: the API has no way to continue one."""
_NEW_NAMES: Final = ("api.openai.com", ".openai.azure.com")
"""Hosts that refuse ``max_tokens`` for their newer models. Source: platform.openai.com/docs/api-reference/chat."""
_MOST_TOKENS: Final = 1_000_000_000
_LONGEST_REASON: Final = 64


def request_body(
    provider: Provider,
    messages: Sequence[PromptMessage],
    *,
    max_tokens: int | None,
    temperature: float | None = None,
    stream: bool = True,
) -> bytes:
    """Byte for byte what leaves. Without ``temperature`` the provider's own: some models refuse any other.

    Half a surrogate pair, which UTF-8 has no bytes for, leaves as a question mark.
    """
    fields: dict[str, object] = {
        "model": provider.model,
        "messages": [{"role": message.role, "content": message.text} for message in messages],
        "stream": stream,
    }
    if stream:
        fields["stream_options"] = {"include_usage": True}
    if max_tokens is not None:
        host = target_of(provider.base_url).host
        new = any(host == name or (name.startswith(".") and host.endswith(name)) for name in _NEW_NAMES)
        fields["max_completion_tokens" if new else "max_tokens"] = max_tokens
    if temperature is not None:
        fields["temperature"] = temperature
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode("utf-8", "replace")


def chunk_of(part: object) -> Chunk:
    """A part of a stream. Raises ``ValueError`` for what is none."""
    if not isinstance(part, dict):
        raise ValueError("a part is no object")
    usage = _usage(part.get("usage"))
    choices = part.get("choices")
    if choices is None and usage is None:
        raise ValueError("a part has no choices")
    if not choices:
        return Chunk(usage=usage)
    if not isinstance(choices, list) or not isinstance(choices[0], dict):
        raise ValueError("choices are no list of objects")
    delta, reason = choices[0].get("delta"), choices[0].get("finish_reason")
    if not isinstance(delta, dict):
        delta = {}
    thoughts = delta.get("reasoning_content")
    return Chunk(
        text=_text(delta.get("content")),
        reasoning=_text(thoughts if thoughts is not None else delta.get("reasoning")),
        finish_reason=reason[:_LONGEST_REASON] if isinstance(reason, str) else None,
        usage=usage,
    )


def model_ids(fields: object) -> tuple[str, ...]:
    """The names in an answer of ``/models``; none when it is in another form."""
    data = fields.get("data") if isinstance(fields, dict) else None
    if not isinstance(data, list):
        return ()
    found = [entry.get("id") for entry in data[:1000] if isinstance(entry, dict)]
    return tuple(name[:200] for name in found if isinstance(name, str) and name)


def _text(value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ValueError("a text is no text")
    # Half a surrogate pair can be written in JSON, but neither stored nor shown.
    return value.encode("utf-8", "replace").decode("utf-8")


def _usage(raw: object) -> Usage | None:
    if not isinstance(raw, dict):
        return None
    prompt, completion = _count(raw.get("prompt_tokens")), _count(raw.get("completion_tokens"))
    if prompt is None or completion is None:
        return None
    details = raw.get("prompt_tokens_details")
    return Usage(prompt, completion, _count(details.get("cached_tokens")) if isinstance(details, dict) else None)


def _count(value: object) -> int | None:
    right = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_TOKENS
    return value if right and isinstance(value, int) else None
