"""A chat as the API received it: messages, tools, and what they look like to a template. Pure.

Templates disagree about the details: whether a call's arguments are an object or its text, whether a message may hold
several calls, how long an id is. What a template can do is found by rendering a small conversation with it
(``probes`` and ``abilities_from``); conversations are then put into the form that it takes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

JsonObject = dict[str, Any]

MAX_DEPTH: Final = 64
"""Of a schema, and of arguments: what goes through JSON's and the template's recursion."""
_SHORT_ID_CHARS: Final = 9
"""Mistral's templates insist on it."""


@dataclass(frozen=True, slots=True)
class PastCall:
    """A tool call of an earlier answer."""

    id: str
    name: str
    arguments: str
    """JSON text, as the model wrote it; it may be broken."""


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message, as the API received it."""

    role: str
    """``system``, ``user``, ``assistant`` or ``tool``."""
    content: str
    name: str | None = None
    reasoning: str = ""
    """What an assistant thought before its content."""
    tool_calls: tuple[PastCall, ...] = ()
    tool_call_id: str = ""
    """Of a tool's result: the call it answers."""
    parts: tuple[tuple[bool, str], ...] = ()
    """Instead of the content: (trusted, text) parts, for words of the worker's own among it."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may call."""

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=lambda: {"type": "object", "properties": {}})
    """A JSON schema."""


@dataclass(frozen=True, slots=True)
class Chat:
    """Everything a template is given."""

    messages: tuple[ChatMessage, ...]
    tools: tuple[Tool, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    """Variables that the template may know, such as ``enable_thinking``."""

    @property
    def uses_tools(self) -> bool:
        """Whether it offers, calls or answers any."""
        return bool(self.tools) or any(message.tool_calls or message.role == "tool" for message in self.messages)

    def texts(self) -> Iterable[str]:
        """What certainly becomes part of the prompt, for bounds. Reasoning does not: most templates drop it."""
        for message in self.messages:
            yield message.content
            yield from (call.arguments for call in message.tool_calls)


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a template can do with tools."""

    tools: bool = False
    """It tells the model about them."""
    calls: bool = False
    """It writes past calls."""
    results: bool = False
    """It writes what came of them."""
    object_arguments: bool = True
    """Arguments are objects; otherwise their text."""
    parallel_calls: bool = True
    """Several calls in one message."""
    short_ids: bool = False
    """Ids of calls have nine characters."""
    system: bool = True
    """It takes a system message."""


def variables(chat: Chat, abilities: Abilities) -> JsonObject:
    """``messages``, ``tools`` and ``options`` in the form that a template of these abilities takes."""
    messages = list(chat.messages)
    if not abilities.parallel_calls:
        messages = _one_call_each(messages)
    if abilities.short_ids:
        messages = [_with_short_ids(message) for message in messages]
    made: JsonObject = {
        "messages": _as_variables(messages, object_arguments=abilities.object_arguments),
        "options": dict(chat.options),
    }
    if chat.tools:
        made["tools"] = [_tool(tool) for tool in chat.tools]
    return made


def _tool(tool: Tool) -> JsonObject:
    function = {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}
    return {"type": "function", "function": function}


def _as_variables(messages: Sequence[ChatMessage], *, object_arguments: bool) -> list[JsonObject]:
    names: dict[str, str] = {}
    made = []
    for message in messages:
        names.update({call.id: call.name for call in message.tool_calls})
        variables: JsonObject = {"role": message.role, "content": message.content}
        if message.parts:
            variables["content"] = {"parts": [list(part) for part in message.parts]}
        name = message.name or names.get(message.tool_call_id)
        if name is not None:
            variables["name"] = name
        if message.tool_call_id:
            variables["tool_call_id"] = message.tool_call_id
        if message.reasoning and not (message.tool_calls and message.content):
            # Two names are in use. With content and calls both, some templates allow no reasoning besides.
            variables["thinking"] = message.reasoning
        if message.reasoning:
            variables["reasoning_content"] = message.reasoning
        if message.tool_calls:
            variables["tool_calls"] = [_call(call, object_arguments=object_arguments) for call in message.tool_calls]
        made.append(variables)
    return made


def _call(call: PastCall, *, object_arguments: bool) -> JsonObject:
    arguments: Any = call.arguments
    if object_arguments:
        arguments = arguments_of(call)
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def arguments_of(call: PastCall) -> JsonObject:
    """The arguments as an object; text that is none is shown as it was, under one key."""
    try:
        found = json.loads(call.arguments or "{}", strict=False)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or too_deep(found, MAX_DEPTH):
        return {"arguments": call.arguments}
    return found


def too_deep(value: Any, limit: int) -> bool:
    """Whether a JSON value is nested deeper than ``limit`` levels."""
    level = [value]
    for _ in range(limit):
        inner: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                inner += item.values()
            elif isinstance(item, list):
                inner += item
        if not inner:
            return False
        level = inner
    return any(isinstance(item, dict | list) and item for item in level)


def _one_call_each(messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    """Each message with several calls as several messages, every call followed by its result."""
    results = {message.tool_call_id: message for message in messages if message.role == "tool"}
    made: list[ChatMessage] = []
    moved: set[str] = set()
    for message in messages:
        if len(message.tool_calls) > 1:
            for index, call in enumerate(message.tool_calls):
                first = index == 0
                made.append(
                    replace(
                        message,
                        content=message.content if first else "",
                        reasoning=message.reasoning if first else "",
                        tool_calls=(call,),
                    )
                )
                if call.id in results and call.id not in moved:
                    moved.add(call.id)
                    made.append(results[call.id])
        elif message.role != "tool" or message.tool_call_id not in moved:
            made.append(message)
    return made


def without_system(chat: Chat) -> Chat:
    """The system message before the first other one, for templates that take none."""
    system, *rest = chat.messages
    if not rest:
        return replace(chat, messages=(replace(system, role="user"),))
    first = replace(rest[0], content=f"{system.content}\n\n{rest[0].content}")
    return replace(chat, messages=(first, *rest[1:]))


def _with_short_ids(message: ChatMessage) -> ChatMessage:
    calls = tuple(replace(call, id=_short(call.id)) for call in message.tool_calls)
    return replace(message, tool_calls=calls, tool_call_id=_short(message.tool_call_id))


def _short(call_id: str) -> str:
    if not call_id or (len(call_id) == _SHORT_ID_CHARS and call_id.isascii() and call_id.isalnum()):
        return call_id
    return hashlib.sha256(call_id.encode("utf-8", "replace")).hexdigest()[:_SHORT_ID_CHARS]


# Finding out

_PROBE_TOOL: Final = Tool(
    "probe_tool", "probe", {"type": "object", "properties": {"probe_key": {"type": "string", "description": "probe"}}}
)
_OTHER_TOOL: Final = replace(_PROBE_TOOL, name="other_tool")
_ARGUMENTS: Final = '{"probe_key": "probe_value"}'
_ASKED: Final = ChatMessage("user", "probe question")


def _called(*names: str, short: bool = True) -> tuple[ChatMessage, ...]:
    ids = [f"probe000{index}" if short else f"call_0123456789abcde{index}" for index in range(len(names))]
    calls = tuple(PastCall(call_id, name, _ARGUMENTS) for call_id, name in zip(ids, names, strict=True))
    results = [ChatMessage("tool", f"result of {name}", tool_call_id=i) for i, name in zip(ids, names, strict=True)]
    return (_ASKED, ChatMessage("assistant", "", tool_calls=calls), *results)


def probe(render: Callable[[JsonObject], str | None]) -> Abilities:
    """Find out what a template can do. ``render`` gives the text made of variables, or ``None`` when that fails."""

    def text(chat: Chat, abilities: Abilities) -> str:
        return render(variables(chat, abilities)) or ""

    none = Abilities()
    offered = text(Chat((_ASKED,), (_PROBE_TOOL,)), none)
    system = "probe system" in text(Chat((ChatMessage("system", "probe system"), _ASKED)), none)
    answered = text(Chat((_ASKED, ChatMessage("assistant", "probe answer"), _called("probe_tool")[2])), none)
    found = Abilities(tools=_PROBE_TOOL.name in offered, results="result of probe_tool" in answered, system=system)
    for object_arguments in (True, False):
        form = replace(found, object_arguments=object_arguments)
        one = text(Chat(_called("probe_tool"), (_OTHER_TOOL,)), form)
        if _tells_a_call(one, object_arguments=object_arguments):
            found = replace(form, calls=True, results=True)
            break
    if not found.calls:
        return found
    two = text(Chat(_called("probe_tool", "other_tool"), (_OTHER_TOOL,)), found)
    both = two.count("probe_value") == 2 and "result of other_tool" in two
    long = text(Chat(_called("probe_tool", short=False), (_OTHER_TOOL,)), found)
    return replace(found, parallel_calls=both, short_ids="probe_value" not in long)


def _tells_a_call(text: str, *, object_arguments: bool) -> bool:
    told = all(word in text for word in ("probe_key", "probe_value", "result of probe_tool"))
    # An object printed in Python's notation, or a text quoted once more, is not what the template was made for.
    return told and ("{'probe_key'" not in text if object_arguments else '\\"probe_key' not in text)
