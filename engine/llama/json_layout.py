"""How JSON under a schema is laid out: over lines, indented by two, as models write it when nobody forces them.

The layout decides more than looks. Tokens of common vocabularies run over the end of a value (``.",`` and a line's end
are one token), so a layout that a model would not choose forbids the tokens it wants and takes others: on one line the
same model lost full stops and took the wrong one of two names. And all of the layout is forced text, so its length
costs little. Only objects whose members are known are laid out here; every other part keeps llguidance's own form, on
one line. Pure; ``engine/llama/constrain.py`` compiles the result.
"""

from __future__ import annotations

import json
from typing import Any, Final

ON_ONE_LINE: Final = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
"""One way to write JSON, so that everything between two values is forced: that of Python's ``json.dumps``."""

_INDENT: Final = "  "
_ANNOTATIONS: Final = frozenset(
    {"$comment", "$id", "$schema", "title", "description", "default", "examples", "example"}
)
_OF_OBJECTS: Final = frozenset({"type", "properties", "required", "additionalProperties"}) | _ANNOTATIONS
_OF_ARRAYS: Final = frozenset({"type", "items"}) | _ANNOTATIONS


def laid_out(schema_text: str) -> str | None:
    """A grammar in llguidance's Lark dialect for a JSON schema, with every line break and indent in it.

    ``None`` for a schema that is no object with known members, refers to other parts of itself, or cannot be read,
    which llguidance tells better. The texts of the grammar are texts of the schema, one layout of each.
    """
    rules: list[str] = []
    try:
        schema = json.loads(schema_text)
        if not _has_known_members(schema) or _refers(schema):
            return None
        start = _Rules(rules).of_object(schema, 0)
    except (ValueError, RecursionError):
        return None
    return "\n".join([f"start: {start}", *rules]) + "\n"


class _Rules:
    """Adds a rule for each value that llguidance is left to write."""

    def __init__(self, rules: list[str]) -> None:
        self._rules = rules

    def of_value(self, schema: Any, depth: int) -> str:
        if _has_known_members(schema):
            return self._named(self.of_object(schema, depth))
        if _lists_known_objects(schema):
            return self._named(self._of_array(schema["items"], depth))
        return self._named(f"%json {json.dumps({**schema, 'x-guidance': ON_ONE_LINE}, ensure_ascii=False)}")

    def of_object(self, schema: dict[str, Any], depth: int) -> str:
        required = set(schema.get("required", ()))
        parts = []
        for place, (name, member) in enumerate(schema["properties"].items()):
            before = f"{',' if place else '{'}\n{_INDENT * (depth + 1)}{json.dumps(name, ensure_ascii=False)}: "
            part = f"{_literal(before)} {self.of_value(member, depth + 1)}"
            parts.append(part if name in required else f"({part})?")
        return " ".join([*parts, _literal(f"\n{_INDENT * depth}}}")])

    def _of_array(self, items: dict[str, Any], depth: int) -> str:
        item = self._named(self.of_object(items, depth + 1))
        first, more = (_literal(f"{mark}\n{_INDENT * (depth + 1)}") for mark in "[,")
        last = _literal(f"\n{_INDENT * depth}]")
        return f"{_literal('[]')} | {first} {item} ({more} {item})* {last}"

    def _named(self, body: str) -> str:
        name = f"r{len(self._rules)}"
        self._rules.append(f"{name}: {body}")
        return name


def _has_known_members(schema: Any) -> bool:
    """A closed object whose first member is always there, so that a comma can stand before each other one."""
    if not isinstance(schema, dict) or schema.get("type") != "object" or not schema.keys() <= _OF_OBJECTS:
        return False
    members, required = schema.get("properties"), schema.get("required", [])
    if schema.get("additionalProperties") is not False or not isinstance(members, dict) or not members:
        return False
    if not isinstance(required, list) or not set(required) <= members.keys():
        return False
    return next(iter(members)) in required and all(isinstance(member, dict) for member in members.values())


def _lists_known_objects(schema: dict[str, Any]) -> bool:
    return schema.get("type") == "array" and schema.keys() <= _OF_ARRAYS and _has_known_members(schema.get("items"))


def _refers(schema: Any) -> bool:
    """Whether any part points to another one, which would not be found from a part alone."""
    if isinstance(schema, dict):
        return "$ref" in schema or any(_refers(part) for part in schema.values())
    return isinstance(schema, list) and any(_refers(part) for part in schema)


def _literal(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
