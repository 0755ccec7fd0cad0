"""The messages of a chat, checked. Pure."""

from __future__ import annotations

from typing import Any

from engine.errors import RequestError
from engine.llama.template import ChatMessage
from engine.serving.wire_fields import refuse


def parse_messages(value: Any) -> tuple[ChatMessage, ...]:
    """Raises: ``RequestError`` naming the first message that is wrong."""
    if not isinstance(value, list) or not value:
        refuse("messages", "must be a list with at least one message")
    return tuple(_message(item, f"messages[{index}]") for index, item in enumerate(value))


def _message(value: Any, where: str) -> ChatMessage:
    if not isinstance(value, dict):
        refuse(where, "must be an object")
    role = value.get("role")
    if role not in ("system", "developer", "user", "assistant"):
        refuse(f"{where}.role", "must be system, developer, user or assistant")
    for unknown in ("tool_calls", "function_call", "audio"):
        if value.get(unknown):
            where = f"{where}.{unknown}"
            raise RequestError("unsupported_parameter", f"{where} is not supported.", param=where)
    name = value.get("name")
    if name is not None and not isinstance(name, str):
        refuse(f"{where}.name", "must be a string")
    # Templates know no developer; OpenAI's clients mean what others call system.
    return ChatMessage("system" if role == "developer" else role, _content(value.get("content"), where), name)


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
