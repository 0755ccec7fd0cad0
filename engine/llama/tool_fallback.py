"""Tools for models whose template knows none: told of in the system message, called in Hermes' form. Pure.

Small and old models follow it badly without a constraint, but with one (``tool_choice``), or a larger model, it works;
refusing would help nobody. What comes from outside stays untrusted text, so nothing in it becomes a control token.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from engine.llama.chat import Abilities, Chat, ChatMessage, PastCall, Tool, arguments_of

_INSTRUCTION: Final = (
    "You can call functions. These are their names, what they do and the JSON schemas of their parameters, one a "
    "line:\n{tools}\n\nTo call one, write nothing but a line like this, with the arguments as a JSON object:\n"
    '<tool_call>{{"name": "function_name", "arguments": {{"parameter": "value"}}}}</tool_call>\n'
    "The result follows in the next message. If no function is needed, answer as usual."
)

_LFM_BEGIN: Final = "<|tool_call_start|>"
_LFM_END: Final = "<|tool_call_end|>"
_LFM_SIGNS: Final = (_LFM_BEGIN, "<|tool_list_start|>", "List of tools: [")


def in_words(chat: Chat, abilities: Abilities, template: str = "") -> Chat:
    """The same chat without what the template cannot do."""
    messages = list(chat.messages)
    tools = chat.tools
    if not (abilities.calls and abilities.tools):
        messages = [_without_calls(message, template) for message in messages]
    if not (abilities.results and abilities.tools):
        messages = _joined([_without_result(message) for message in messages])
    if tools and not abilities.tools:
        messages = _instructed(messages, _INSTRUCTION.format(tools=_listed(tools)), system=abilities.system)
        tools = ()
    return replace(chat, messages=tuple(messages), tools=tools)


def _listed(tools: Sequence[Tool]) -> str:
    return "\n".join(
        json.dumps(
            {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)},
            ensure_ascii=False,
        )
        for tool in tools
    )


def _instructed(messages: list[ChatMessage], instruction: str, *, system: bool) -> list[ChatMessage]:
    """The instruction in the system message, or before the first message where there can be none."""
    first = messages[0]
    if first.role == "system" or not system:
        return [replace(first, content=f"{first.content}\n\n{instruction}".strip()), *messages[1:]]
    return [ChatMessage("system", instruction), *messages]


def _without_calls(message: ChatMessage, template: str) -> ChatMessage:
    if not message.tool_calls:
        return message
    if any(sign in template for sign in _LFM_SIGNS):
        return replace(message, parts=_as_lfm(message), tool_calls=())
    parts = [message.content, *map(_as_hermes, message.tool_calls)]
    return replace(message, content="\n".join(part for part in parts if part), tool_calls=())


def _without_result(message: ChatMessage) -> ChatMessage:
    if message.role != "tool":
        return message
    return ChatMessage("user", f"<tool_response>\n{message.content}\n</tool_response>")


def _as_hermes(call: PastCall) -> str:
    name = json.dumps(call.name, ensure_ascii=False)
    return f'<tool_call>{{"name": {name}, "arguments": {call.arguments or "{}"}}}</tool_call>'


def _as_lfm(message: ChatMessage) -> tuple[tuple[bool, str], ...]:
    """LFM's own form, which its first templates expect to find among the content."""
    calls = ", ".join(f"{call.name}({_keywords(call)})" for call in message.tool_calls)
    return ((True, _LFM_BEGIN), (False, f"[{calls}]"), (True, _LFM_END), (False, message.content))


def _keywords(call: PastCall) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in arguments_of(call).items())


def _joined(messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    """Results of several calls, and what the person wrote after them, as one message: templates want turns."""
    made: list[ChatMessage] = []
    for message in messages:
        if made and message.role == made[-1].role == "user":
            made[-1] = replace(made[-1], content=f"{made[-1].content}\n{message.content}")
        else:
            made.append(message)
    return made
