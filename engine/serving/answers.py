"""What answers of all protocols have in common: usage, timings, errors as JSON. Pure."""

from __future__ import annotations

import json
from typing import Any, Final

from engine.errors import RequestError
from engine.serving.sequence import Timings

JsonObject = dict[str, Any]

DONE: Final = b"data: [DONE]\n\n"
_TYPES: Final = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}


def readable(piece: bytes) -> str:
    """A token's bytes as text; parts of a character are replaced."""
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
        **_saved(timings),
    }


def _saved(timings: Timings) -> JsonObject:
    """Tokens that took no step of their own, where there were any; guesses by llama-server's names."""
    saved: JsonObject = {}
    if timings.forced_tokens:
        saved["forced_n"] = timings.forced_tokens
    if timings.drafted_tokens:
        saved |= {"draft_n": timings.drafted_tokens, "draft_n_accepted": timings.accepted_tokens}
    return saved


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
    return b"data: " + dumps(error_object(error)) + b"\n\n"


def dumps(value: Any) -> bytes:
    """Compact JSON; half a surrogate pair, which is not a character, becomes a question mark."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
