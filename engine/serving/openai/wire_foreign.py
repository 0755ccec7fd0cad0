"""Pieces of other protocols put into the names of OpenAI's chat completions, which one parser then checks. Pure.

The chat's own parser refuses what remains; here is only what looks different there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NoReturn, TypeVar

from engine.errors import RequestError
from engine.serving.openai.wire_fields import Fields, refuse

JsonObject = dict[str, Any]
T = TypeVar("T")


def as_object(value: Any, where: str) -> JsonObject:
    """A JSON object. Raises: ``RequestError``."""
    return value if isinstance(value, dict) else refuse(where, "must be an object")


def as_list(value: Any, where: str) -> list[Any]:
    """A JSON list. Raises: ``RequestError``."""
    return value if isinstance(value, list) else refuse(where, "must be a list")


def as_text(value: Any, where: str) -> str:
    """A string. Raises: ``RequestError``."""
    return value if isinstance(value, str) else refuse(where, "must be a string")


def by_type(
    value: Any, where: str, known: Mapping[str, Callable[[JsonObject, str], T]], default: str | None = None
) -> T:
    """What the reader for the object's ``type`` makes of it. Raises: ``RequestError``, also for a type not known."""
    given = as_object(value, where)
    kind = given.get("type", default)
    if not isinstance(kind, str) or kind not in known:
        refuse_kind(f"{where}.type", kind, known)
    return known[kind](given, where)


def refuse_kind(where: str, kind: object, known: Mapping[str, Any] | tuple[str, ...]) -> NoReturn:
    """Raises: ``RequestError`` naming what would be taken."""
    said = f"is {kind[:40]!r}" if isinstance(kind, str) else "is missing"
    raise RequestError(
        "unsupported_parameter", f"{where} {said}; this worker takes {', '.join(sorted(known))}.", param=where
    )


def take_rest(fields: Fields, translated: tuple[str, ...]) -> JsonObject:
    """What is left for the chat's own parser. Raises: ``RequestError`` for names that have another name here."""
    rest = fields.take_rest()
    for name in translated:
        if name in rest:
            raise RequestError("unknown_parameter", f"There is no parameter {name!r} here.", param=name)
    return rest


def text_parts(value: Any, where: str, kinds: tuple[str, ...]) -> str:
    """A text, or the joined text of parts of these types. Raises: ``RequestError``."""
    if isinstance(value, str):
        return value
    known = dict.fromkeys(kinds, _part_text)
    return "".join(
        by_type(part, f"{where}[{index}]", known)
        for index, part in enumerate(as_list(value, where) if value is not None else refuse(where, "is missing"))
    )


def _part_text(part: JsonObject, where: str) -> str:
    return as_text(part.get("text", part.get("refusal")), f"{where}.text")


def function_tool(name: Any, description: Any, parameters: Any, strict: Any) -> JsonObject:
    """A tool as chat completions have it; checked there."""
    given = {"name": name, "description": description, "parameters": parameters, "strict": strict}
    return {"type": "function", "function": {key: value for key, value in given.items() if value is not None}}


def call_of_tool(call_id: str, name: str, arguments: str) -> JsonObject:
    """A tool call of a past answer as chat completions have it."""
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}
