"""Anthropic's ``POST /v1/messages`` as a chat call: blocks become messages, its other fields the names of chat
completions.

Pure. Blocks of one turn are joined by a line break; a failed tool's result begins with ``Error:``, for which templates
have no other place. What a model thought before is given back where its template has a place for that.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from engine.errors import RequestError
from engine.llama.sampler import SamplingSettings
from engine.serving.openai.wire import ChatCall, chat_call
from engine.serving.openai.wire_fields import MAX_WHOLE, Fields, parse_object, refuse
from engine.serving.openai.wire_foreign import (
    JsonObject,
    as_list,
    as_object,
    as_text,
    by_type,
    call_of_tool,
    function_tool,
    refuse_kind,
    take_rest,
)

_EFFORTS: Final = ("low", "medium", "high", "xhigh", "max")
_TRANSLATED: Final = (
    *("stop", "reasoning_effort", "response_format", "parallel_tool_calls"),
    *("n", "max_completion_tokens", "logprobs", "top_logprobs"),
)
_BUDGETS: Final = ((4096, "low"), (16384, "medium"), (MAX_WHOLE, "high"))
"""Tokens for thinking up to which each effort is meant; models know efforts, not budgets."""
_CHOICES: Final = {"auto": "auto", "any": "required", "none": "none"}
_HARMLESS: Final = ("cache_control", "service_tier", "inference_geo", "user_profile_id")
"""They change nothing about the text: prefixes are reused here without being asked."""


@dataclass(frozen=True, slots=True)
class MessagesCall:
    """The chat call, and what the answer needs of the request."""

    chat: ChatCall
    max_tokens: int


def parse_message_call(body: bytes, defaults: SamplingSettings) -> MessagesCall:
    """A messages request. Raises: ``RequestError``."""
    fields = parse_object(body)
    max_tokens = fields.whole("max_tokens", None, 1, MAX_WHOLE)
    if max_tokens is None:
        refuse("max_tokens", "is missing")
    call = _chat(fields, defaults, max_tokens)
    if call.messages[-1].role == "assistant":
        raise RequestError(
            "unsupported_parameter",
            "The last message is the assistant's; this worker does not go on with a given beginning.",
            param="messages",
        )
    return MessagesCall(call, max_tokens)


def parse_count_call(body: bytes, defaults: SamplingSettings) -> ChatCall:
    """A request to count tokens. Raises: ``RequestError``."""
    return _chat(parse_object(body), defaults, 1)


def _chat(fields: Fields, defaults: SamplingSettings, max_tokens: int) -> ChatCall:
    for name in _HARMLESS:
        fields.take(name)
    metadata = fields.take("metadata")
    system, given = fields.take("system"), fields.take("messages")
    messages = [] if system is None else [{"role": "system", "content": _texts(system, "system")}]
    for index, message in enumerate(as_list(given, "messages")):
        messages += _turn(message, f"messages[{index}]")
    tools = [_tool(tool, f"tools[{i}]") for i, tool in enumerate(as_list(fields.take("tools") or [], "tools"))]
    choice = fields.take("tool_choice")
    config = as_object(fields.take("output_config") or {}, "output_config")
    output_format = config.get("format") or fields.take("output_format")
    chat = {
        "stop": fields.take("stop_sequences"),
        "reasoning_effort": _effort(fields.take("thinking"), config.get("effort")),
        "response_format": None if output_format is None else _response_format(output_format),
        "tool_choice": None if choice is None else _choice(choice),
        "parallel_tool_calls": False if isinstance(choice, dict) and choice.get("disable_parallel_tool_use") else None,
        **take_rest(fields, _TRANSLATED),
        "user": _user(metadata),
        "messages": messages,
        "tools": tools or None,
        "max_tokens": max_tokens,
    }
    return chat_call(Fields(chat), defaults)


def _turn(value: Any, where: str) -> list[JsonObject]:
    message = as_object(value, where)
    role, content = message.get("role"), message.get("content")
    where = f"{where}.content"
    if role == "assistant":
        return [_answer(content, where)]
    if role == "system":
        return [{"role": "system", "content": _texts(content, where)}]
    return _question(content, where) if role == "user" else refuse(f"{where[:-8]}.role", "must be user or assistant")


def _question(content: Any, where: str) -> list[JsonObject]:
    """A user's turn: results of tools, each a message, and text."""
    if isinstance(content, str):
        return [{"role": "user", "content": content}]
    messages: list[JsonObject] = []
    for index, block in enumerate(as_list(content, where)):
        message = by_type(block, f"{where}[{index}]", _QUESTION_BLOCKS)
        if messages and message["role"] == messages[-1]["role"] == "user":
            messages[-1]["content"] += "\n" + message["content"]
        else:
            messages.append(message)
    return messages or refuse(where, "must have at least one block")


def _text_block(block: JsonObject, where: str) -> JsonObject:
    return {"role": "user", "content": as_text(block.get("text"), f"{where}.text")}


def _tool_result(block: JsonObject, where: str) -> JsonObject:
    call_id, content = as_text(block.get("tool_use_id"), f"{where}.tool_use_id"), block.get("content")
    text = "" if content is None else _texts(content, f"{where}.content")
    return {"role": "tool", "tool_call_id": call_id, "content": f"Error: {text}" if block.get("is_error") else text}


_QUESTION_BLOCKS: Final = {"text": _text_block, "tool_result": _tool_result}


def _answer(content: Any, where: str) -> JsonObject:
    """An assistant's turn as one message."""
    if isinstance(content, str):
        return {"role": "assistant", "content": content}
    texts: list[str] = []
    thoughts: list[str] = []
    calls: list[JsonObject] = []
    for index, value in enumerate(as_list(content, where)):
        here = f"{where}[{index}]"
        block = as_object(value, here)
        kind = block.get("type")
        if kind == "text":
            texts.append(as_text(block.get("text"), f"{here}.text"))
        elif kind == "thinking":
            thoughts.append(as_text(block.get("thinking"), f"{here}.thinking"))
        elif kind == "tool_use":
            call_id, name = (as_text(block.get(key), f"{here}.{key}") for key in ("id", "name"))
            arguments = json.dumps(as_object(block.get("input"), f"{here}.input"), ensure_ascii=False)
            calls.append(call_of_tool(call_id, name, arguments))
        elif kind != "redacted_thinking":  # of which nothing can be read
            refuse_kind(f"{here}.type", kind, ("text", "thinking", "redacted_thinking", "tool_use"))
    message: JsonObject = {"role": "assistant", "content": "".join(texts)}
    if thoughts:
        message["reasoning_content"] = "".join(thoughts)
    if calls:
        message["tool_calls"] = calls
    return message


def _texts(value: Any, where: str) -> str:
    if isinstance(value, str):
        return value
    known = {"text": _text_block}
    blocks = enumerate(as_list(value, where))
    return "\n".join(by_type(block, f"{where}[{index}]", known)["content"] for index, block in blocks)


def _tool(value: Any, where: str) -> JsonObject:
    tool = as_object(value, where)
    if tool.get("type", "custom") not in (None, "custom"):
        refuse_kind(f"{where}.type", tool.get("type"), ("custom",))
    return function_tool(tool.get("name"), tool.get("description"), tool.get("input_schema"), tool.get("strict"))


def _choice(value: Any) -> Any:
    choice = as_object(value, "tool_choice")
    kind = choice.get("type")
    if kind == "tool":
        return {"type": "function", "function": {"name": as_text(choice.get("name"), "tool_choice.name")}}
    if not isinstance(kind, str) or kind not in _CHOICES:
        refuse_kind("tool_choice.type", kind, ("tool", *_CHOICES))
    return _CHOICES[kind]


def _effort(thinking: Any, effort: Any) -> str | None:
    """How much thinking is wanted; ``None`` leaves it to the model."""
    given = as_object(thinking or {"type": "adaptive"}, "thinking")
    kind = given.get("type")
    if kind == "disabled":
        return "none"
    if kind not in ("enabled", "adaptive", "between_tools"):
        refuse_kind("thinking.type", kind, ("enabled", "disabled", "adaptive"))
    if effort is not None:
        known = as_text(effort, "output_config.effort")
        return known if known in _EFFORTS else refuse("output_config.effort", f"must be one of {', '.join(_EFFORTS)}")
    if kind != "enabled":
        return None
    budget = Fields(given).whole("budget_tokens", None, 1, MAX_WHOLE)
    return next(name for most, name in _BUDGETS if (budget or 0) <= most)


def _user(metadata: Any) -> Any:
    """Whose turn it is, for taking turns."""
    return None if metadata is None else as_object(metadata, "metadata").get("user_id")


def _response_format(value: Any) -> JsonObject:
    given = as_object(value, "output_config.format")
    if given.get("type") != "json_schema":
        refuse_kind("output_config.format.type", given.get("type"), ("json_schema",))
    schema = {"name": "output", "schema": given.get("schema"), "strict": True}
    return {"type": "json_schema", "json_schema": schema}
