"""The messages of a chat, checked. Pure."""

from __future__ import annotations

from typing import Any, Final

from engine.errors import RequestError
from engine.llama.chat import ChatMessage, PastCall
from engine.serving.openai.wire_fields import refuse

MAX_CALLS: Final = 128
"""In one message."""
MAX_ID_CHARS: Final = 256
_ROLES: Final = ("system", "developer", "user", "assistant", "tool")


def parse_messages(value: Any) -> tuple[ChatMessage, ...]:
    """Raises: ``RequestError`` naming the first message that is wrong."""
    if not isinstance(value, list) or not value:
        refuse("messages", "must be a list with at least one message")
    return tuple(_message(item, f"messages[{index}]") for index, item in enumerate(value))


def _message(value: Any, where: str) -> ChatMessage:
    if not isinstance(value, dict):
        refuse(where, "must be an object")
    role = value.get("role")
    if role not in _ROLES:
        refuse(f"{where}.role", "must be system, developer, user, assistant or tool")
    unknown = next((name for name in ("function_call", "audio") if value.get(name)), None)
    if unknown is not None:
        where = f"{where}.{unknown}"
        raise RequestError("unsupported_parameter", f"{where} is not supported.", param=where)
    name = _text(value, "name", where)
    if role == "assistant":
        return _assistant(value, name, where)
    content = _content(value.get("content"), where)
    if role == "tool":
        call_id = _text(value, "tool_call_id", where)
        if not call_id or len(call_id) > MAX_ID_CHARS:
            refuse(f"{where}.tool_call_id", f"must be a string of 1 to {MAX_ID_CHARS} characters")
        return ChatMessage(role, content, name, tool_call_id=call_id)
    # Templates know no developer; OpenAI's clients mean what others call system.
    return ChatMessage("system" if role == "developer" else role, content, name)


def _assistant(value: dict[str, Any], name: str | None, where: str) -> ChatMessage:
    given = value.get("tool_calls")
    if given is not None and (not isinstance(given, list) or len(given) > MAX_CALLS):
        refuse(f"{where}.tool_calls", f"must be a list of at most {MAX_CALLS} calls")
    calls = tuple(_call(item, f"{where}.tool_calls[{index}]") for index, item in enumerate(given or ()))
    content = value.get("content")
    reasoning = _text(value, "reasoning_content", where) or _text(value, "reasoning", where) or ""
    text = "" if content is None and (calls or reasoning) else _content(content, where)
    return ChatMessage("assistant", text, name, reasoning, calls)


def _call(value: Any, where: str) -> PastCall:
    if not isinstance(value, dict):
        refuse(where, "must be an object")
    function = value.get("function")
    if value.get("type", "function") != "function" or not isinstance(function, dict):
        refuse(where, "must be a call of a function")
    name, arguments, call_id = function.get("name"), function.get("arguments", ""), value.get("id", "")
    if not isinstance(name, str) or not name:
        refuse(f"{where}.function.name", "must be a string")
    if not isinstance(arguments, str):
        refuse(f"{where}.function.arguments", "must be a string that holds JSON")
    if not isinstance(call_id, str) or len(call_id) > MAX_ID_CHARS:
        refuse(f"{where}.id", f"must be a string of at most {MAX_ID_CHARS} characters")
    return PastCall(call_id, name, arguments)


def _text(value: dict[str, Any], name: str, where: str) -> str | None:
    text = value.get(name)
    if text is not None and not isinstance(text, str):
        refuse(f"{where}.{name}", "must be a string")
    return text


def _content(value: Any, where: str) -> str:
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        refuse(f"{where}.content", "must be a string or a list of text parts")
    texts: list[str] = []
    for index, part in enumerate(value):
        here = f"{where}.content[{index}]"
        if not isinstance(part, dict):
            refuse(here, "must be an object")
        if part.get("type") != "text":
            refuse(f"{here}.type", "must be text; this worker takes no other kind of content")
        text = part.get("text")
        if not isinstance(text, str):
            refuse(f"{here}.text", "must be a string")
        texts.append(text)
    return "".join(texts)
