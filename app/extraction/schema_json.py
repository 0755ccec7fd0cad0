"""Schemas as JSON Schema and back.

Our own keywords begin with ``x-``, so that what we write reads back the same and others can use it too. Of a foreign
schema the types that we know are taken; what a document cannot show is refused with its place. Pydantic's source is
``schema_pydantic``'s.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from app.extraction.schema import Field, FieldType, Rule, RuleKind, Schema, check_schema
from engine.errors import GatehouseError

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_MAX_TEXT: Final = 1 << 20
_MAX_DEPTH: Final = 16
_PLAIN: Final[Mapping[FieldType, Mapping[str, Any]]] = {
    FieldType.TEXT: {"type": "string"},
    FieldType.NUMBER: {"type": "number"},
    FieldType.AMOUNT: {"type": "number", "x-type": "amount"},
    FieldType.DATE: {"type": "string", "format": "date"},
    FieldType.BOOLEAN: {"type": "boolean"},
    FieldType.EMAIL: {"type": "string", "format": "email"},
    FieldType.IBAN: {"type": "string", "x-type": "iban"},
    FieldType.VAT_ID: {"type": "string", "x-type": "vat_id"},
    FieldType.ADDRESS: {"type": "string", "x-type": "address"},
}
_BY_FORMAT: Final = {"date": FieldType.DATE, "date-time": FieldType.DATE, "email": FieldType.EMAIL}
_MONEY_WORDS: Final = re.compile(r"(?:^|_)(?:amount|price|total|subtotal|cost|fee|balance|salary|tax|net|gross)(?:_|$)")

JsonObject = Mapping[str, Any]


def to_json_schema(schema: Schema) -> str:
    """JSON Schema, draft 2020-12, indented."""
    made = {
        "$schema": _DIALECT,
        "title": schema.title or schema.name,
        **({"description": schema.description} if schema.description else {}),
        "x-name": schema.name,
        "x-version": schema.version,
        **_object(schema.fields),
    }
    if schema.rules:
        made["x-rules"] = [
            {"kind": r.kind.value, "parts": list(r.parts), "total": r.total, "tolerance": r.tolerance}
            for r in schema.rules
        ]
    return json.dumps(made, ensure_ascii=False, indent=2) + "\n"


def _object(fields: tuple[Field, ...]) -> dict[str, Any]:
    required = [field.name for field in fields if field.required]
    return {
        "type": "object",
        "properties": {field.name: _property(field) for field in fields},
        **({"required": required} if required else {}),
        "additionalProperties": False,
    }


def _property(field: Field) -> dict[str, Any]:
    made: dict[str, Any]
    if field.type is FieldType.TABLE:
        made = {"type": "array", "items": _object(field.fields)}
    elif field.type is FieldType.GROUP:
        made = _object(field.fields)
    elif field.type is FieldType.LIST:
        made = {"type": "array", "items": _choice(field) or dict(_PLAIN.get(field.item_type, {"type": "string"}))}
    else:
        made = _choice(field) or dict(_PLAIN[field.type])
    notes = {
        "title": field.label,
        "description": field.description,
        "examples": [field.example] if field.example else [],
        "x-synonyms": list(field.synonyms),
        "x-validators": list(field.validators),
    }
    return {**made, **{key: value for key, value in notes.items() if value}}


def _choice(field: Field) -> dict[str, Any] | None:
    return {"enum": list(field.choices)} if field.choices else None


def from_json_schema(text: str, name: str = "") -> Schema:
    """A schema from JSON Schema.

    Raises:
        GatehouseError: it is no JSON Schema of an object, or holds something that cannot be looked for.
    """
    if len(text) > _MAX_TEXT:
        raise _refusal("", f"has {len(text):,} characters; {_MAX_TEXT:,} are the most")
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise GatehouseError("invalid_schema", f"This is no JSON: {error}.", "Check the file.") from error
    if not isinstance(whole, dict):
        raise _refusal("", "is not an object")
    top = _Reader(whole).resolved(whole, "")
    title = str(top.get("title") or whole.get("title") or name or "Schema")
    schema = Schema(
        name=_name(str(whole.get("x-name") or name or title)),
        title=title,
        description=str(top.get("description") or ""),
        fields=_Reader(whole).fields(top, ""),
        rules=_rules(whole.get("x-rules")),
        version=whole["x-version"] if type(whole.get("x-version")) is int else 1,
    )
    check_schema(schema)
    return schema


class _Reader:
    """Reads the properties of one JSON Schema, following its inner references."""

    def __init__(self, whole: JsonObject) -> None:
        self._whole = whole

    def fields(self, part: JsonObject, where: str, depth: int = 0) -> tuple[Field, ...]:
        properties = part.get("properties")
        if not isinstance(properties, dict) or not properties:
            raise _refusal(where, "has no properties")
        if depth > _MAX_DEPTH:
            raise _refusal(where, "is nested too deeply")
        required = part.get("required")
        needed = set(required) if isinstance(required, list) else set()
        return tuple(
            self._field(str(key), value, f"{where}/{key}", key in needed, depth) for key, value in properties.items()
        )

    def _field(self, key: str, value: Any, where: str, needed: bool, depth: int) -> Field:
        part = self.resolved(value, where)
        kind, item_type, choices, fields = self._kind(key, part, where, depth)
        examples = part.get("examples")
        example = examples[0] if isinstance(examples, list) and examples else part.get("example", "")
        return Field(
            name=_name(key),
            type=kind,
            description=str(part.get("description") or ""),
            label=str(part.get("title") or ("" if _name(key) == key else key)),
            required=needed,
            example=str(example) if example else "",
            choices=choices,
            fields=fields,
            item_type=item_type,
            synonyms=_texts(part.get("x-synonyms")),
            validators=_texts(part.get("x-validators")),
        )

    def _kind(
        self, key: str, part: JsonObject, where: str, depth: int
    ) -> tuple[FieldType, FieldType, tuple[str, ...], tuple[Field, ...]]:
        """Type, type of items, choices, inner fields."""
        if part.get("type") == "array":
            items = self.resolved(part.get("items", {"type": "string"}), f"{where}/items")
            if items.get("type") == "object" or "properties" in items:
                return FieldType.TABLE, FieldType.TEXT, (), self.fields(items, f"{where}/items", depth + 1)
            inner, _, choices, _ = self._kind(key, items, f"{where}/items", depth + 1)
            return FieldType.LIST, inner, choices, ()
        if part.get("type") == "object" or "properties" in part:
            return FieldType.GROUP, FieldType.TEXT, (), self.fields(part, where, depth + 1)
        return (*_scalar(key, part, where), ())

    def resolved(self, part: Any, where: str) -> JsonObject:
        """Without references and without the ``null`` of an optional value."""
        notes: dict[str, Any] = {}
        for _ in range(_MAX_DEPTH):
            if not isinstance(part, dict):
                raise _refusal(where, "is not a schema")
            notes = {**{key: part[key] for key in ("title", "description", "examples") if key in part}, **notes}
            if "$ref" in part:
                part = self._target(str(part["$ref"]), where)
                continue
            options = part.get("anyOf") or part.get("oneOf")
            if not isinstance(options, list):
                return {**part, **notes, "type": _one_type(part.get("type"))}
            real = [one for one in options if not (isinstance(one, dict) and one.get("type") == "null")]
            if len(real) != 1:
                raise _refusal(where, f"may be one of {len(real)} things; a field has one type")
            part = real[0]
        raise _refusal(where, "refers to itself")

    def _target(self, reference: str, where: str) -> Any:
        if not reference.startswith("#/"):
            raise _refusal(where, f"refers to {reference[:80]!r}, outside this schema")
        at: Any = self._whole
        for step in reference[2:].split("/"):
            at = at.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(at, dict) else None
        return at


def _one_type(kind: Any) -> Any:
    if not isinstance(kind, list):
        return kind
    real = [one for one in kind if one != "null"]
    return real[0] if len(real) == 1 else None


def _scalar(key: str, part: JsonObject, where: str) -> tuple[FieldType, FieldType, tuple[str, ...]]:
    own = part.get("x-type")
    if isinstance(own, str) and own in set(FieldType):
        return FieldType(own), FieldType.TEXT, ()
    if isinstance(part.get("enum"), list):
        return FieldType.CHOICE, FieldType.TEXT, tuple(str(one) for one in part["enum"] if one is not None)
    if "const" in part:
        return FieldType.CHOICE, FieldType.TEXT, (str(part["const"]),)
    kind = part.get("type")
    if kind == "boolean":
        return FieldType.BOOLEAN, FieldType.TEXT, ()
    if kind in ("number", "integer"):
        money = kind == "number" and _MONEY_WORDS.search(key.lower())
        return FieldType.AMOUNT if money else FieldType.NUMBER, FieldType.TEXT, ()
    if kind == "string":
        return _string(key, part), FieldType.TEXT, ()
    raise _refusal(where, f"is of the type {str(kind)[:40]!r}, which cannot be looked for in a document")


def _string(key: str, part: JsonObject) -> FieldType:
    lowered = key.lower()
    by_format = _BY_FORMAT.get(str(part.get("format")))
    if by_format is not None:
        return by_format
    words = re.split(r"[^a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", key).lower())
    named = {"iban": FieldType.IBAN, "address": FieldType.ADDRESS, "email": FieldType.EMAIL}
    found = next((kind for word, kind in named.items() if word in words), None)
    return found or (FieldType.VAT_ID if re.search(r"vat_?(id|number|no)", lowered) else FieldType.TEXT)


def _rules(listed: Any) -> tuple[Rule, ...]:
    found = []
    for one in listed if isinstance(listed, list) else []:
        if isinstance(one, dict) and one.get("kind") in set(RuleKind):
            tolerance = str(one.get("tolerance") or "0.05")
            found.append(Rule(RuleKind(one["kind"]), _texts(one.get("parts")), str(one.get("total") or ""), tolerance))
    return tuple(found)


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(str(one) for one in value) if isinstance(value, list) else ()


def _name(text: str) -> str:
    """A name for a field or a schema out of any text."""
    made = re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_")[:64]
    return made if made[:1].isalpha() else f"f_{made}"[:64]


def _refusal(where: str, what: str) -> GatehouseError:
    place = where or "The schema"
    return GatehouseError("invalid_schema", f"{place[:200]} {what}.", "A schema is an object of named fields.")
