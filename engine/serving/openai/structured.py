"""What a request asks of the shape of its answer: the fields that say so, and what of them can be promised.

A schema's keyword that the engine behind does not enforce is refused by name; one that it would skip in silence too.
Size and repetition are bounded here, where the sentence can say the number. Pure; compiling is
``engine/llama/constrain.py``'s.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final, NoReturn
from urllib.parse import unquote

from engine.errors import RequestError
from engine.llama.constrain import Constraint
from engine.llama.repetition import MAX_REPEATED_CHARS, repeated_chars
from engine.serving.openai.wire_fields import Fields, refuse

MAX_CONSTRAINT_CHARS: Final = 1 << 16
"""Of a schema, a grammar, an expression or all choices together."""
MAX_CHOICES_LISTED: Final = 1000
MAX_SCHEMA_DEPTH: Final = 64

_ANNOTATIONS: Final = frozenset(
    {
        "$comment",
        "$schema",
        "title",
        "description",
        "default",
        "example",
        "examples",
        "deprecated",
        "readOnly",
        "writeOnly",
        "discriminator",
    }
)
"""They say nothing about which texts are valid. ``discriminator`` only hints at which member of a ``oneOf`` applies."""
_IN_OBJECTS: Final = frozenset({"properties", "patternProperties", "$defs", "definitions"})
_IN_LISTS: Final = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
_IN_PLACE: Final = frozenset({"items", "additionalProperties"})
_VALUES: Final = frozenset(
    {
        "type",
        "enum",
        "const",
        "required",
        "minLength",
        "maxLength",
        "pattern",
        "format",
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "multipleOf",
        "minItems",
        "maxItems",
        "minProperties",
        "maxProperties",
        "$ref",
    }
)
_INSTEAD: Final = {
    "nullable": 'Write "type": ["string", "null"] instead.',
    "additionalItems": "Use prefixItems and items instead.",
    "dependencies": "Use anyOf instead.",
    "if": "Use anyOf instead.",
    "not": "Name what is allowed instead, with enum or pattern.",
}
_FORMATS: Final = frozenset(
    {"date", "time", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "uri", "uuid"}
)
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NOT_NEUTRAL: Final = ("response_format", "grammar", "regex", "choice", "json_schema")


def take_constraint(fields: Fields) -> Constraint | None:
    """What the answer must look like. Takes its fields.

    Raises: ``RequestError`` for two constraints at a time, and for what cannot be enforced.
    """
    found = {
        "response_format": _response_format(fields.take("response_format")),
        "json_schema": _schema(fields.take("json_schema"), "json_schema"),
        "grammar": _grammar(fields.text("grammar", "")),
        "regex": _regex(fields.text("regex", "")),
        "choice": _choice(fields.take("choice")),
    }
    given = [name for name, constraint in found.items() if constraint is not None]
    if len(given) > 1:
        names = " and ".join(given)
        raise RequestError(
            "invalid_parameter",
            f"{names} cannot be given together.",
            f"An answer follows one of {', '.join(_NOT_NEUTRAL)}.",
            param=given[1],
        )
    return found[given[0]] if given else None


def schema_constraint(schema: Any, where: str) -> Constraint:
    """A JSON schema as a constraint, ``where`` being its name in the request.

    Raises: ``RequestError`` naming the first keyword that cannot be enforced, and for schemas that are too large.
    """
    if not isinstance(schema, dict):
        refuse(where, "must be a JSON schema, an object")
    text = json.dumps(schema, ensure_ascii=False)
    _check_size(text, where)
    check_schema(schema, where)
    return Constraint("json_schema", json.dumps({k: v for k, v in schema.items() if k != "$schema"}))


def check_schema(schema: Any, where: str) -> None:
    """Raises: ``RequestError`` naming the first keyword of a schema, however deep, that would not be enforced."""
    pointers: set[str] = set()
    references: list[tuple[str, str]] = []
    todo: list[tuple[str, Any, int]] = [("#", schema, 0)]
    while todo:
        pointer, part, depth = todo.pop()
        pointers.add(pointer)
        if isinstance(part, bool):
            continue
        if not isinstance(part, dict):
            _refuse_schema(where, pointer, "is not a schema")
        if depth > MAX_SCHEMA_DEPTH:
            _refuse_schema(where, pointer, f"is nested deeper than {MAX_SCHEMA_DEPTH} levels")
        for keyword, value in part.items():
            _check_keyword(keyword, value, where, pointer)
            if keyword == "$ref":
                references.append((pointer, unquote(value)))
        todo += [(path, inner, depth + 1) for path, inner in _inner(part, where, pointer)]
    for pointer, reference in references:
        if reference not in pointers:
            _refuse_schema(where, pointer, f"refers to {reference[:100]!r}, which is no schema inside this one")
    _check_loops(schema, where)


def _inner(part: dict[str, Any], where: str, pointer: str) -> Iterator[tuple[str, Any]]:
    """The schemas directly inside a schema, each with its pointer."""
    for keyword, value in part.items():
        here = f"{pointer}/{keyword}"
        if keyword in _IN_PLACE:
            yield here, value
        elif keyword in _IN_OBJECTS:
            if not isinstance(value, dict):
                _refuse_schema(where, here, "must be an object")
            for name, inner in value.items():
                yield f"{here}/{name.replace('~', '~0').replace('/', '~1')}", inner
        elif keyword in _IN_LISTS:
            if not isinstance(value, list):
                _refuse_schema(where, here, "must be a list")
            for index, inner in enumerate(value):
                yield f"{here}/{index}", inner


def _check_keyword(keyword: str, value: Any, where: str, pointer: str) -> None:
    here = f"{pointer}/{keyword}"
    if keyword in ("exclusiveMinimum", "exclusiveMaximum") and type(value) not in (int, float):
        _refuse_schema(where, here, "must be a number")
    if keyword == "format" and value not in _FORMATS:
        _refuse_schema(where, here, f"is {str(value)[:60]!r}, which is not enforced", _list_of(_FORMATS))
    if keyword == "pattern":
        _check_repetition(value, where, here)
    if keyword == "patternProperties" and isinstance(value, dict):
        for pattern in value:
            _check_repetition(pattern, where, here)
    if keyword == "$ref" and not (isinstance(value, str) and (value == "#" or value.startswith("#/"))):
        _refuse_schema(where, here, "must point inside this schema, as in #/$defs/name")
    if keyword == "$id" and pointer == "#":
        return
    known = _ANNOTATIONS | _IN_OBJECTS | _IN_LISTS | _IN_PLACE | _VALUES
    if keyword not in known and (not keyword.startswith("x-") or keyword == "x-guidance"):
        hint = _INSTEAD.get(keyword, "It would change which answers are valid, so it is refused rather than ignored.")
        raise RequestError(
            "unsupported_schema",
            f"The keyword {keyword[:64]!r} at {pointer[:200]} of {where} is not supported.",
            hint,
            param=where,
        )


def _check_loops(schema: Any, where: str) -> None:
    """Refuse a reference that leads to itself and nowhere else."""
    for start in _references(schema):
        seen = {start}
        at = start
        while True:
            target = _resolve(schema, at)
            if not isinstance(target, dict) or "$ref" not in target:
                break
            at = unquote(target["$ref"])
            if at in seen:
                _refuse_schema(where, at, "refers to itself")
            seen.add(at)


def _references(schema: Any) -> set[str]:
    found: set[str] = set()
    todo = [schema]
    while todo:
        part = todo.pop()
        if isinstance(part, dict):
            if "$ref" in part:
                found.add(unquote(part["$ref"]))
            todo += [inner for _, inner in _inner(part, "", "")]
    return found


def _resolve(schema: Any, pointer: str) -> Any:
    at = schema
    for step in pointer.split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        at = at[int(name)] if isinstance(at, list) else at[name]
    return at


def _response_format(value: Any) -> Constraint | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        refuse("response_format", "must be an object")
    kind = value.get("type")
    if kind == "text":
        _only(value, {"type"}, "response_format")
        return None
    if kind == "json_object":
        _only(value, {"type", "schema"}, "response_format")
        return _schema(value.get("schema", {"type": "object"}), "response_format.schema")
    if kind != "json_schema":
        refuse("response_format.type", "must be text, json_object or json_schema")
    _only(value, {"type", "json_schema"}, "response_format")
    asked = value.get("json_schema")
    where = "response_format.json_schema"
    if not isinstance(asked, dict):
        refuse(where, "must be an object with a name and a schema")
    _only(asked, {"name", "description", "schema", "strict"}, where)
    name, strict = asked.get("name"), asked.get("strict")
    if name is not None and not (isinstance(name, str) and _NAME.fullmatch(name)):
        refuse(f"{where}.name", "must be 1 to 64 letters, digits, underscores or hyphens")
    if strict is not None and not isinstance(strict, bool):
        refuse(f"{where}.strict", "must be true or false")
    if "schema" not in asked:
        refuse(f"{where}.schema", "is missing")
    return _schema(asked["schema"], f"{where}.schema", required=True)


def _schema(value: Any, where: str, *, required: bool = False) -> Constraint | None:
    return None if value is None and not required else schema_constraint(value, where)


def _grammar(text: str) -> Constraint | None:
    if not text:
        return None
    _check_size(text, "grammar")
    return Constraint("gbnf", text)


def _regex(text: str) -> Constraint | None:
    if not text:
        return None
    _check_size(text, "regex")
    _check_repetition(text, "regex", "")
    return Constraint("regex", text)


def _choice(value: Any) -> Constraint | None:
    if value is None:
        return None
    if not isinstance(value, list) or not value or not all(isinstance(item, str) and item for item in value):
        refuse("choice", "must be a list of strings, none of them empty")
    if len(value) > MAX_CHOICES_LISTED:
        refuse("choice", f"holds {len(value)} strings; {MAX_CHOICES_LISTED} are the most")
    _check_size("".join(value), "choice")
    return Constraint("choice", json.dumps(value))


def _check_size(text: str, where: str) -> None:
    if len(text) > MAX_CONSTRAINT_CHARS:
        refuse(where, f"has {len(text):,} characters; {MAX_CONSTRAINT_CHARS:,} are the most")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise RequestError(
            "invalid_text", f"{where} holds half of a surrogate pair, which is not a character.", param=where
        ) from error


def _check_repetition(pattern: Any, where: str, pointer: str) -> None:
    if not isinstance(pattern, str):
        _refuse_schema(where, pointer, "must be a string")
    repeated = repeated_chars(pattern)
    if repeated > MAX_REPEATED_CHARS:
        about = f"{where} repeats" if not pointer else f"The expression at {pointer[:200]} of {where} repeats"
        raise RequestError(
            "invalid_constraint",
            f"{about} its parts up to {repeated:,} times; {MAX_REPEATED_CHARS:,} are the most.",
            param=where,
        )


def _only(value: dict[str, Any], known: set[str], where: str) -> None:
    for name in value:
        if name not in known:
            raise RequestError(
                "unknown_parameter", f"There is no parameter {name[:64]!r} in {where}.", param=f"{where}.{name[:64]}"
            )


def _refuse_schema(where: str, pointer: str, what: str, hint: str = "") -> NoReturn:
    raise RequestError("unsupported_schema", f"{pointer[:200]} of {where} {what}.", hint, param=where)


def _list_of(words: frozenset[str]) -> str:
    return f"Supported are {', '.join(sorted(words))}."
