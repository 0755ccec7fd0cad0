"""What is answered, as JSON schemas: every field that is always there, with its type. Pure."""

from __future__ import annotations

from typing import Final

from engine.serving.http.openapi_shapes import (
    JsonObject,
    answered,
    either,
    flag,
    listed,
    maybe,
    number,
    one_of,
    record,
    reference,
    text,
    whole,
)

_COUNT: Final = whole(0)
_OBJECT: Final[JsonObject] = {"type": "object"}

_USAGE: Final = answered(
    {
        "prompt_tokens": _COUNT,
        "completion_tokens": _COUNT,
        "total_tokens": _COUNT,
        "prompt_tokens_details": answered({"cached_tokens": _COUNT}),
    }
)
_TIMINGS: Final = record(
    dict.fromkeys(("cache_n", "prompt_n", "prompt_ms", "predicted_n", "predicted_ms", "queue_ms"), number(0))
)
_TOOL_CALL: Final = answered(
    {"id": text(), "type": one_of("function"), "function": answered({"name": text(), "arguments": text()})}
)
_FINISH: Final = one_of("stop", "length", "tool_calls")
_TOP: Final = answered({"token": text(), "logprob": number(), "bytes": listed(whole(0, 255))})
_LOGPROB: Final = answered({**_TOP["properties"], "top_logprobs": listed(_TOP)})

ERROR: Final = answered(
    {
        "error": answered(
            {"message": text(minLength=1), "type": text(), "code": text(), "param": maybe(text()), "hint": text()}
        )
    }
)
ANTHROPIC_ERROR: Final = answered(
    {"type": one_of("error"), "error": answered({"type": text(), "message": text(minLength=1)})}
)

CHAT: Final = answered(
    {
        "id": text(),
        "object": one_of("chat.completion"),
        "created": _COUNT,
        "model": text(),
        "system_fingerprint": text(),
        "choices": listed(
            answered(
                {
                    "index": _COUNT,
                    "message": answered(
                        {"role": one_of("assistant"), "content": maybe(text()), "refusal": {"type": "null"}},
                    ),
                    "logprobs": maybe(answered({"content": listed(_LOGPROB)})),
                    "finish_reason": _FINISH,
                }
            ),
            least=1,
        ),
        "usage": _USAGE,
        "timings": _TIMINGS,
    }
)
CHAT["properties"]["choices"]["items"]["properties"]["message"]["properties"] |= {
    "reasoning_content": text(),
    "tool_calls": listed(_TOOL_CALL, least=1),
}

COMPLETION: Final = answered(
    {
        "id": text(),
        "object": one_of("text_completion"),
        "created": _COUNT,
        "model": text(),
        "system_fingerprint": text(),
        "choices": listed(
            answered({"index": _COUNT, "text": text(), "logprobs": maybe(_OBJECT), "finish_reason": _FINISH}), least=1
        ),
        "usage": _USAGE,
        "timings": _TIMINGS,
    }
)

_OUTPUT: Final = either(
    answered({"type": one_of("message"), "id": text(), "role": one_of("assistant"), "content": listed(_OBJECT)}),
    answered({"type": one_of("reasoning"), "id": text(), "summary": listed(_OBJECT), "content": listed(_OBJECT)}),
    answered(
        {"type": one_of("function_call"), "id": text(), "call_id": text(), "name": text(), "arguments": text()},
    ),
)
RESPONSE: Final = answered(
    {
        "id": text(),
        "object": one_of("response"),
        "created_at": _COUNT,
        "status": one_of("completed", "incomplete"),
        "error": {"type": "null"},
        "incomplete_details": maybe(_OBJECT),
        "instructions": maybe(text()),
        "max_output_tokens": maybe(_COUNT),
        "metadata": _OBJECT,
        "model": text(),
        "output": listed(_OUTPUT, least=1),
        "parallel_tool_calls": flag(),
        "store": one_of(False),
        "temperature": number(),
        "text": _OBJECT,
        "tool_choice": either(text(), _OBJECT),
        "tools": listed(_OBJECT),
        "top_p": number(),
        "usage": answered({"input_tokens": _COUNT, "output_tokens": _COUNT, "total_tokens": _COUNT}),
    }
)

_BLOCK: Final = either(
    answered({"type": one_of("text"), "text": text()}),
    answered({"type": one_of("thinking"), "thinking": text(), "signature": text()}),
    answered({"type": one_of("tool_use"), "id": text(), "name": text(), "input": _OBJECT}),
)
_REASONS: Final = one_of("end_turn", "max_tokens", "stop_sequence", "tool_use", "model_context_window_exceeded")
MESSAGE: Final = answered(
    {
        "id": text(),
        "type": one_of("message"),
        "role": one_of("assistant"),
        "model": text(),
        "content": listed(_BLOCK),
        "stop_reason": _REASONS,
        "stop_sequence": maybe(text()),
        "usage": answered({"input_tokens": _COUNT, "output_tokens": _COUNT, "cache_read_input_tokens": _COUNT}),
    }
)
COUNTED: Final = answered({"input_tokens": _COUNT})

_FEW: Final = answered({"prompt_tokens": _COUNT, "total_tokens": _COUNT})
EMBEDDINGS: Final = answered(
    {
        "object": one_of("list"),
        "model": text(),
        "data": listed(
            answered(
                {
                    "object": one_of("embedding"),
                    "index": _COUNT,
                    "embedding": either(listed(number(-1.001, 1.001)), text(contentEncoding="base64")),
                }
            ),
            least=1,
        ),
        "usage": _FEW,
    }
)
RANKING: Final = answered(
    {
        "object": one_of("list"),
        "model": text(),
        "results": listed(answered({"index": _COUNT, "relevance_score": number()}), least=1),
        "usage": _FEW,
    }
)

MODEL: Final = answered(
    {
        "id": text(),
        "object": one_of("model"),
        "type": one_of("model"),
        "created": _COUNT,
        "created_at": text(),
        "owned_by": text(),
        "display_name": text(),
        "meta": _OBJECT,
    }
)
MODELS: Final = answered({"object": one_of("list"), "data": listed(reference("Model"), least=1), "has_more": flag()})
HEALTH: Final = answered({"status": one_of("ok"), "model": text(), "busy": flag()})
TOKENS: Final = answered({"tokens": listed(_COUNT), "count": _COUNT})
CONTENT: Final = answered({"content": text()})
DROPPED: Final = answered({"dropped": _COUNT})
EXPERTS: Final = answered(
    {
        "watching": flag(),
        "n_experts": _COUNT,
        "n_used": _COUNT,
        "tokens": _COUNT,
        "hottest_share": number(0, 1),
        "never_used": _COUNT,
        "layers": listed(_OBJECT),
    }
)
TRACE: Final = answered({"object": one_of("list"), "data": listed(_OBJECT)})
