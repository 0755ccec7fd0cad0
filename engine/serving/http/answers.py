"""What answers of all protocols have in common: usage, timings, errors as JSON. Pure."""

from __future__ import annotations

import json
from typing import Any, Final

from engine.errors import RequestError
from engine.serving.sequence import StepRecord, Timings

JsonObject = dict[str, Any]

DONE: Final = b"data: [DONE]\n\n"
_ANTHROPIC_TYPES: Final = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
}
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
        "ttft_ms": round(timings.ttft_s * 1e3, 3),
        "device": timings.device,
        **_saved(timings),
    }


def stream_end(chunk_head: bytes, total: Timings) -> bytes:
    """The last event of OpenAI's streams where the counts are wanted, and the end mark.

    ``chunk_head`` is a chunk up to the opening bracket of its choices.
    """
    usage, times = dumps(usage_object(total)), dumps(timings_object(total))
    return chunk_head + b'],"usage":' + usage + b',"timings":' + times + b"}\n\n" + DONE


def _saved(timings: Timings) -> JsonObject:
    """Tokens that took no step of their own, where there were any; guesses by llama-server's names."""
    saved: JsonObject = {}
    if timings.forced_tokens:
        saved["forced_n"] = timings.forced_tokens
    if timings.drafted_tokens:
        saved |= {"draft_n": timings.drafted_tokens, "draft_n_accepted": timings.accepted_tokens}
    if timings.steps:
        saved["steps"] = [step_object(step) for step in timings.steps]
    return saved


def step_object(step: StepRecord) -> JsonObject:
    """One step of the engine; ``own_rows`` are those of the traced request."""
    return {
        "ended_s": round(step.ended_at, 6),
        "rows": step.n_rows,
        "decoding": step.n_decoding,
        "prompt_rows": step.n_rows - step.n_decoding,
        "decode_ms": round(step.decode_s * 1e3, 3),
        "python_us": round(step.python_s * 1e6, 1),
        "active": step.n_active,
        "waiting": step.n_waiting,
        "own_rows": sum(count for _, count in step.rows),
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


def anthropic_error_object(error: RequestError) -> JsonObject:
    """The body of every refusal to Anthropic's clients, which know no code, parameter or hint."""
    kind = _ANTHROPIC_TYPES.get(error.status, "api_error" if error.status >= 500 else "invalid_request_error")
    return {"type": "error", "error": {"type": kind, "message": str(error)}}


def error_event(error: RequestError) -> bytes:
    """An error in the middle of a stream."""
    return b"data: " + dumps(error_object(error)) + b"\n\n"


def dumps(value: Any) -> bytes:
    """Compact JSON; half a surrogate pair, which is not a character, becomes a question mark."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
