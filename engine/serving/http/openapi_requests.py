"""What may be sent, as JSON schemas: built from the limits that the parsers use, so that both say the same. Pure.

Where a field has a form of its own that only its parser knows (a schema, a grammar), it is described, not spelled out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from engine.serving.http.openapi_shapes import (
    JsonObject,
    all_maybe,
    either,
    flag,
    listed,
    maybe,
    number,
    one_of,
    record,
    text,
    whole,
)
from engine.serving.openai import wire, wire_messages, wire_options, wire_tools
from engine.serving.openai.wire_fields import HARMLESS, MAX_WHOLE, NEUTRAL
from engine.serving.vectors import wire as embedding_wire


@dataclass(frozen=True, slots=True)
class Limits:
    """What differs from worker to worker."""

    model_id: str
    n_vocab: int
    n_choices: int
    """Answers to one call, as many as there are slots."""
    width: int = 0
    """Numbers in a vector, of a model that makes vectors."""


_ANY: Final[JsonObject] = {}
_TEXT_PART: Final = record({"type": one_of("text"), "text": text()}, required=("type", "text"))
_CONTENT: Final = either(text(), listed(_TEXT_PART))
_TOOL: Final = record(
    {
        "type": maybe(one_of("function")),
        "function": record({"name": text(pattern=r"^[A-Za-z0-9_.\-]{1,128}$")}, required=("name",)),
    },
    required=("function",),
)
_PAST_CALL: Final = record(
    {
        "id": text(maxLength=wire_messages.MAX_ID_CHARS),
        "type": one_of("function"),
        "function": record({"name": text(minLength=1), "arguments": text()}, required=("name",)),
    },
    required=("function",),
)
_ITEM_PART: Final = record(
    {"type": one_of("input_text", "output_text", "text"), "text": text()}, required=("type", "text")
)
_CALL_ID: Final = text(minLength=1, maxLength=wire_messages.MAX_ID_CHARS)
_ITEM: Final = either(
    record(
        {
            "type": one_of("message"),
            "role": one_of("system", "developer", "user", "assistant"),
            "content": either(text(), listed(_ITEM_PART)),
        },
        required=("role", "content"),
    ),
    record(
        {"type": one_of("function_call"), "call_id": _CALL_ID, "name": text(minLength=1), "arguments": text()},
        required=("type", "call_id", "name", "arguments"),
    ),
    record(
        {"type": one_of("function_call_output"), "call_id": _CALL_ID, "output": either(text(), listed(_ITEM_PART))},
        required=("type", "call_id", "output"),
    ),
    record({"type": one_of("reasoning")}, required=("type",)),
)


def _model(limits: Limits) -> JsonObject:
    return {"enum": ["", "default", limits.model_id], "description": "The one model that this worker serves."}


def _extras(taken: JsonObject) -> JsonObject:
    """Fields that change nothing, and fields that are known and must ask for nothing."""
    neutral = {name: one_of(*values, None) for name, values in NEUTRAL.items()}
    return {**dict.fromkeys(sorted(HARMLESS), _ANY), **neutral, **taken}


def _token(limits: Limits) -> JsonObject:
    return whole(0, limits.n_vocab - 1)


def _stops() -> JsonObject:
    stop = text(minLength=1, maxLength=wire_options.MAX_STOP_CHARS)
    return either(stop, listed(stop, most=wire_options.MAX_STOPS))


def _options(limits: Limits) -> JsonObject:
    """What every kind of generation takes."""
    choices = min(limits.n_choices, wire_options.MAX_CHOICES)
    biases = {
        "type": "object",
        "maxProperties": wire_options.MAX_BIASES,
        "propertyNames": {"pattern": "^[0-9]{1,9}$"},
        "additionalProperties": number(-100, 100),
        "description": f"By token number, below {limits.n_vocab}.",
    }
    return {
        "model": _model(limits),
        "stream": flag(),
        "stream_options": record(all_maybe({"include_usage": flag()})),
        "n": whole(1, choices),
        "max_tokens": whole(1, MAX_WHOLE),
        "max_completion_tokens": whole(1, MAX_WHOLE),
        "temperature": number(0, 5),
        "top_k": whole(-1, MAX_WHOLE),
        "top_p": number(0, 1),
        "min_p": number(0, 1),
        "repeat_penalty": number(0.01, 10),
        "repeat_last_n": whole(-1, 1 << 20),
        "frequency_penalty": number(-2, 2),
        "presence_penalty": number(-2, 2),
        "seed": whole(-(1 << 63), (1 << 64) - 1),
        "logit_bias": biases,
        "masked_logprobs": flag(),
        "stop": _stops(),
        "ignore_eos": flag(),
        "cache_prompt": flag(),
        "prompt_cache_key": text(maxLength=wire_options.MAX_CACHE_KEY_CHARS),
        "priority": one_of("interactive", "batch"),
        "user": text(),
        "trace": flag(),
        "prompt_lookup": flag(),
        "fast_forward": flag(),
        "forced_logprobs": flag(),
        "response_format": {"type": "object", "description": "text, json_object, or json_schema with a schema."},
        "json_schema": {"type": "object", "description": "The answer's JSON schema."},
        "grammar": text(description="The answer's grammar, GBNF."),
        "regex": text(description="The answer's regular expression."),
        "choice": listed(text()),
    }


def _messages() -> JsonObject:
    name = {"name": maybe(text())}
    asked = {"role": one_of("system", "developer", "user"), "content": _CONTENT, **name}
    answer = {
        "role": one_of("assistant"),
        "content": _CONTENT,
        "tool_calls": maybe(listed(_PAST_CALL, most=wire_messages.MAX_CALLS)),
        "reasoning_content": maybe(text()),
        **name,
    }
    result = {"role": one_of("tool"), "content": _CONTENT, "tool_call_id": _CALL_ID, **name}
    thought = {**answer, "content": maybe(_CONTENT), "reasoning_content": text(minLength=1)}
    silent = {**answer, "content": maybe(_CONTENT), "tool_calls": listed(_PAST_CALL, least=1, most=128)}
    return listed(
        either(
            record(asked, required=("role", "content")),
            record(answer, required=("role", "content")),
            record(silent, required=("role", "tool_calls")),
            record(thought, required=("role", "reasoning_content")),
            record(result, required=("role", "content", "tool_call_id")),
        ),
        least=1,
    )


def _tools() -> JsonObject:
    return {
        "tools": listed(_TOOL, most=wire_tools.MAX_TOOLS),
        "tool_choice": either(one_of("none", "auto", "required"), {"type": "object"}),
        "parallel_tool_calls": flag(),
    }


def chat(limits: Limits) -> JsonObject:
    """``POST /v1/chat/completions``."""
    fields = {
        **_options(limits),
        **_tools(),
        "messages": _messages(),
        "logprobs": flag(),
        "top_logprobs": whole(0, wire.MAX_LOGPROBS),
        "reasoning_effort": one_of(*wire_tools.EFFORTS),
        "chat_template_kwargs": {"type": "object", "maxProperties": wire_tools.MAX_TEMPLATE_OPTIONS},
    }
    return record(_extras(all_maybe(fields, but=("messages",))), required=("messages",), closed=True)


def completion(limits: Limits) -> JsonObject:
    """``POST /v1/completions``."""
    tokens = listed(_token(limits), least=1)
    prompt = either(text(), tokens, listed(either(text(), tokens), least=1, most=wire.MAX_PROMPTS))
    fields = {
        **_options(limits),
        "prompt": prompt,
        "echo": flag(),
        "logprobs": whole(0, wire.MAX_LOGPROBS),
    }
    return record(_extras(all_maybe(fields, but=("prompt",))), required=("prompt",), closed=True)


def responses(limits: Limits) -> JsonObject:
    """``POST /v1/responses``."""
    options = _options(limits)
    for name in ("max_tokens", "max_completion_tokens", "response_format"):
        del options[name]
    fields = {
        **options,
        "n": one_of(1),
        "input": either(text(), listed(_ITEM, least=1)),
        "instructions": text(),
        "max_output_tokens": whole(1, MAX_WHOLE),
        "max_tool_calls": whole(0, 1 << 31),
        "metadata": {"type": "object", "maxProperties": 16, "additionalProperties": text()},
        "parallel_tool_calls": flag(),
        "reasoning": {"type": "object"},
        "text": record({"format": maybe({"type": "object"}), "verbosity": _ANY}, closed=True),
        "tools": listed(record({"type": one_of("function")}, required=("type",))),
        "tool_choice": either(one_of("none", "auto", "required"), {"type": "object"}),
        "include": listed(one_of("message.output_text.logprobs", "reasoning.encrypted_content")),
        "top_logprobs": whole(0, wire.MAX_LOGPROBS),
        "truncation": one_of("disabled"),
        "background": one_of(False),
        **dict.fromkeys(("previous_response_id", "conversation", "prompt"), one_of()),
    }
    fields["chat_template_kwargs"] = {"type": "object", "maxProperties": wire_tools.MAX_TEMPLATE_OPTIONS}
    shape = _extras(all_maybe(fields, but=("input",)))
    shape.pop("reasoning_effort", None)  # it has another name here
    return record(shape, required=("input",), closed=True)


def messages(limits: Limits) -> JsonObject:
    """``POST /v1/messages``."""
    fields = {**_anthropic(limits), "max_tokens": whole(1, MAX_WHOLE)}
    return record(
        all_maybe(fields, but=("messages", "max_tokens")),
        required=("messages", "max_tokens"),
    )


def count(limits: Limits) -> JsonObject:
    """``POST /v1/messages/count_tokens``."""
    return record(all_maybe(_anthropic(limits), but=("messages",)), required=("messages",))


def _anthropic(limits: Limits) -> JsonObject:
    options = _options(limits)
    turn = record(
        {"role": one_of("user", "assistant", "system"), "content": either(text(), listed(_TEXT_PART, least=1))},
        required=("role", "content"),
    )
    return {
        **{name: options[name] for name in ("model", "stream", "temperature", "top_k", "top_p", "seed", "ignore_eos")},
        "messages": listed(turn, least=1),
        "system": _CONTENT,
        "stop_sequences": listed(text(minLength=1, maxLength=256), most=wire_options.MAX_STOPS),
        "tools": listed(record({"name": text(), "input_schema": {"type": "object"}}, required=("name",))),
        "tool_choice": record({"type": one_of("auto", "any", "tool", "none")}, required=("type",)),
        "thinking": record({"type": one_of("enabled", "disabled", "adaptive", "between_tools")}, required=("type",)),
        "output_config": {"type": "object"},
        "metadata": _ANY,
    }


def embedding(limits: Limits) -> JsonObject:
    """``POST /v1/embeddings``."""
    tokens = listed(_token(limits), least=1)
    several = listed(either(text(), tokens), least=1, most=embedding_wire.MAX_INPUTS)
    fields = {
        "model": _model(limits),
        "input": either(text(), tokens, several),
        "encoding_format": one_of("float", "base64"),
        "dimensions": whole(1, max(1, limits.width)),
    }
    return record(_extras(all_maybe(fields, but=("input",))), required=("input",), closed=True)


def rerank(limits: Limits) -> JsonObject:
    """``POST /v1/rerank``."""
    document = either(text(), record({"text": text()}, required=("text",)))
    fields = {
        "model": _model(limits),
        "query": text(),
        "documents": listed(document, least=1, most=embedding_wire.MAX_DOCUMENTS),
        "top_n": whole(1, MAX_WHOLE),
        "return_documents": flag(),
    }
    shape = all_maybe(fields, but=("query", "documents"))
    return record(_extras(shape), required=("query", "documents"), closed=True)


def tokenize(limits: Limits) -> JsonObject:
    """``POST /tokenize``."""
    fields = {"content": text(), "messages": _messages(), **_tools(), "add_special": flag(), "parse_special": flag()}
    return record(_extras(all_maybe(fields)), closed=True)


def tokenize_text(limits: Limits) -> JsonObject:
    """``POST /tokenize`` of a model that makes vectors."""
    return record(_extras(all_maybe({"content": text(), "add_special": flag()})), closed=True)


def drop(limits: Limits) -> JsonObject:
    """``POST /cache/drop``: one conversation by its name, or all of them."""
    key = text(maxLength=wire_options.MAX_CACHE_KEY_CHARS)
    return record(_extras(all_maybe({"prompt_cache_key": key})), closed=True)


def watch(limits: Limits) -> JsonObject:
    """``POST /experts/watch``."""
    return record(_extras({"watching": flag()}), required=("watching",), closed=True)


def detokenize(limits: Limits) -> JsonObject:
    """``POST /detokenize``."""
    return record(_extras({"tokens": listed(_token(limits))}), required=("tokens",), closed=True)
