"""``POST /v1/responses`` as a chat call: its items become messages, its other fields the names of chat completions.

Pure. What this worker does not do (keep responses, run tools of its own) is refused by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from engine.errors import RequestError
from engine.llama.sampler import SamplingSettings
from engine.serving.openai.wire import ChatCall, chat_call
from engine.serving.openai.wire_fields import Fields, parse_object, refuse
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
    text_parts,
)

_LOGPROBS: Final = "message.output_text.logprobs"
_REASONING: Final = "reasoning.encrypted_content"
"""Reasoning is answered in the open, so there is nothing to add for this."""
_TRANSLATED: Final = (
    "messages",
    "max_tokens",
    "max_completion_tokens",
    "response_format",
    "reasoning_effort",
    "logprobs",
)
_NOT_HERE: Final = {
    "previous_response_id": "This worker keeps no responses; send the whole conversation as input.",
    "conversation": "This worker keeps no conversations; send the whole conversation as input.",
    "prompt": "This worker keeps no prompts; send instructions and input.",
}


@dataclass(frozen=True, slots=True)
class ResponsesCall:
    """The chat call, and what the answer repeats of the request."""

    chat: ChatCall
    instructions: str | None
    max_output_tokens: int | None
    metadata: dict[str, str]
    parallel_tool_calls: bool
    reasoning_effort: str | None
    text_format: JsonObject
    tool_choice: Any
    tools: tuple[JsonObject, ...]
    top_logprobs: int
    user: str | None


def parse_responses(body: bytes, defaults: SamplingSettings) -> ResponsesCall:
    """A responses request. Raises: ``RequestError``."""
    fields = parse_object(body)
    for name, sentence in _NOT_HERE.items():
        if fields.take(name) is not None:
            raise RequestError("unsupported_parameter", sentence, param=name)
    for name, neutral in (("background", False), ("truncation", "disabled"), ("n", 1)):
        value = fields.take(name)
        if value is not None and value != neutral:
            raise RequestError("unsupported_parameter", f"{name} is not supported by this worker.", param=name)
    fields.whole("max_tool_calls", None, 0, 1 << 31)  # bounds tools that the server runs; it runs none
    instructions = fields.text("instructions", "")
    given_messages = _messages(fields.take("input"))
    max_tokens = fields.take("max_output_tokens")
    text_format = _format(fields.take("text"))
    tools = tuple(as_object(tool, f"tools[{i}]") for i, tool in enumerate(as_list(fields.take("tools") or [], "tools")))
    tool_choice = fields.take("tool_choice")
    effort = _effort(fields.take("reasoning"))
    logprobs = _wants_logprobs(fields.take("include"))
    metadata = _metadata(fields.take("metadata"))
    parallel, user = fields.flag("parallel_tool_calls", True), fields.text("user", "") or None
    top = fields.whole("top_logprobs", 0, 0, 20) or 0
    chat = {
        **take_rest(fields, _TRANSLATED),
        "messages": ([{"role": "system", "content": instructions}] if instructions else []) + given_messages,
        "max_completion_tokens": max_tokens,
        "response_format": _response_format(text_format),
        "tools": [_tool(tool, f"tools[{index}]") for index, tool in enumerate(tools)] or None,
        "tool_choice": _choice(tool_choice),
        "parallel_tool_calls": parallel,
        "reasoning_effort": effort,
        "user": user,
        **({"logprobs": True, "top_logprobs": top} if logprobs else {}),
    }
    call = chat_call(Fields(chat), defaults)
    return ResponsesCall(
        chat=call,
        instructions=instructions or None,
        max_output_tokens=call.options.max_tokens,
        metadata=metadata,
        parallel_tool_calls=parallel,
        reasoning_effort=effort,
        text_format=text_format,
        tool_choice="auto" if tool_choice is None else tool_choice,
        tools=tools,
        top_logprobs=top if logprobs else 0,
        user=user,
    )


def _messages(value: Any) -> list[JsonObject]:
    if isinstance(value, str):
        return [{"role": "user", "content": value}]
    messages: list[JsonObject] = []
    items = as_list(value, "input")
    if not items:
        refuse("input", "must be a string or a list with at least one item")
    for index, item in enumerate(items):
        where = f"input[{index}]"
        message = by_type(item, where, _ITEMS, "message")
        # Reasoning, text and calls of one answer are items of their own here and one message there.
        last = messages[-1] if messages else {}
        if message["role"] == last.get("role") == "assistant" and _continues(last, message):
            last["tool_calls"] = [*last.get("tool_calls", []), *message.pop("tool_calls", [])]
            messages[-1] = {key: value for key, value in {**last, **message}.items() if value}
        else:
            messages.append(message)
    return [_whole(message) for message in messages if message.keys() != {"role", "reasoning_content"}]


def _whole(message: JsonObject) -> JsonObject:
    """With a content, which may be empty in an answer that only calls tools or thinks."""
    return message if "tool_calls" in message else {"content": "", **message}


def _continues(last: JsonObject, message: JsonObject) -> bool:
    """Whether an item belongs to the message before: no text after text, no reasoning after anything."""
    return "reasoning_content" not in message and not (
        "content" in message and ("content" in last or "tool_calls" in last)
    )


def _message(item: JsonObject, where: str) -> JsonObject:
    role = item.get("role")
    if role not in ("system", "developer", "user", "assistant"):
        refuse(f"{where}.role", "must be system, developer, user or assistant")
    kinds = ("input_text", "output_text", "text", "refusal")
    return {"role": role, "content": text_parts(item.get("content"), f"{where}.content", kinds)}


def _call(item: JsonObject, where: str) -> JsonObject:
    call_id, name, arguments = (as_text(item.get(key), f"{where}.{key}") for key in ("call_id", "name", "arguments"))
    return {"role": "assistant", "tool_calls": [call_of_tool(call_id, name, arguments)]}


def _call_output(item: JsonObject, where: str) -> JsonObject:
    call_id = as_text(item.get("call_id"), f"{where}.call_id")
    output = text_parts(item.get("output"), f"{where}.output", ("input_text", "output_text", "text"))
    return {"role": "tool", "tool_call_id": call_id, "content": output}


def _reasoning(item: JsonObject, where: str) -> JsonObject:
    content = item.get("content")
    text = "" if content is None else text_parts(content, f"{where}.content", ("reasoning_text", "text"))
    return {"role": "assistant", "reasoning_content": text}


_ITEMS: Final = {
    "message": _message,
    "function_call": _call,
    "function_call_output": _call_output,
    "reasoning": _reasoning,
}


def _tool(tool: JsonObject, where: str) -> JsonObject:
    if tool.get("type") != "function":
        refuse_kind(f"{where}.type", tool.get("type"), ("function",))
    return function_tool(tool.get("name"), tool.get("description"), tool.get("parameters"), tool.get("strict"))


def _choice(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if value.get("type") == "allowed_tools":
        tools = [
            _named(as_object(tool, "tool_choice.tools")) for tool in as_list(value.get("tools"), "tool_choice.tools")
        ]
        return {"type": "allowed_tools", "allowed_tools": {"mode": value.get("mode"), "tools": tools}}
    return _named(value)


def _named(value: JsonObject) -> JsonObject:
    if value.get("type") != "function":
        refuse_kind("tool_choice.type", value.get("type"), ("function", "allowed_tools"))
    return {"type": "function", "function": {"name": as_text(value.get("name"), "tool_choice.name")}}


def _format(value: Any) -> JsonObject:
    text = {} if value is None else as_object(value, "text")
    for name in text:
        if name not in ("format", "verbosity"):
            raise RequestError("unknown_parameter", f"There is no parameter {name[:64]!r} in text.", param="text")
    given = text.get("format")
    return {"type": "text"} if given is None else as_object(given, "text.format")


def _response_format(given: JsonObject) -> JsonObject | None:
    if given.get("type") == "text":
        return None
    if given.get("type") != "json_schema":
        return given
    return {"type": "json_schema", "json_schema": {name: value for name, value in given.items() if name != "type"}}


def _metadata(value: Any) -> dict[str, str]:
    metadata = {} if value is None else as_object(value, "metadata")
    if len(metadata) > 16 or not all(isinstance(item, str) for item in metadata.values()):
        refuse("metadata", "must be an object of at most 16 strings")
    return metadata


def _effort(value: Any) -> str | None:
    effort = None if value is None else as_object(value, "reasoning").get("effort")
    return None if effort is None else as_text(effort, "reasoning.effort")


def _wants_logprobs(value: Any) -> bool:
    wanted = [] if value is None else as_list(value, "include")
    for item in wanted:
        if item not in (_LOGPROBS, _REASONING):
            refuse_kind("include", item, (_LOGPROBS, _REASONING))
    return _LOGPROBS in wanted
