"""Small words for JSON schemas, in the dialect of OpenAPI 3.1. Pure."""

from __future__ import annotations

from typing import Any

JsonObject = dict[str, Any]


def text(**more: object) -> JsonObject:
    """A string; ``maxLength`` and the like as keywords."""
    return {"type": "string", **more}


def whole(least: int | None = None, most: int | None = None) -> JsonObject:
    """An integer within limits."""
    return {"type": "integer", **_limits(least, most)}


def number(least: float | None = None, most: float | None = None) -> JsonObject:
    """A number within limits."""
    return {"type": "number", **_limits(least, most)}


def flag() -> JsonObject:
    """True or false."""
    return {"type": "boolean"}


def one_of(*values: object) -> JsonObject:
    """One of these values."""
    return {"enum": list(values)}


def either(*shapes: JsonObject) -> JsonObject:
    """Any of these shapes."""
    return {"anyOf": list(shapes)}


def maybe(shape: JsonObject) -> JsonObject:
    """The shape or null, which counts as not given."""
    if isinstance(shape.get("type"), str):
        return {**shape, "type": [shape["type"], "null"]}
    if set(shape) == {"enum"}:
        return {"enum": [*shape["enum"], None]}
    if set(shape) == {"anyOf"}:
        return {"anyOf": [*shape["anyOf"], {"type": "null"}]}
    return either(shape, {"type": "null"})


def listed(item: JsonObject, *, least: int = 0, most: int | None = None) -> JsonObject:
    """An array of these."""
    bounds: JsonObject = {"minItems": least} if least else {}
    return {"type": "array", "items": item, **bounds, **({} if most is None else {"maxItems": most})}


def record(
    properties: JsonObject, *, required: tuple[str, ...] = (), closed: bool = False, **more: object
) -> JsonObject:
    """An object; ``closed``: without other properties."""
    shape: JsonObject = {"type": "object", "properties": properties, **more}
    if required:
        shape["required"] = list(required)
    if closed:
        shape["additionalProperties"] = False
    return shape


def all_maybe(properties: JsonObject, *, but: tuple[str, ...] = ()) -> JsonObject:
    """The same properties, each of which may be null, but for some."""
    return {name: shape if name in but else maybe(shape) for name, shape in properties.items()}


def answered(properties: JsonObject) -> JsonObject:
    """An object in which every one of these is present; others may be."""
    return record(properties, required=tuple(properties))


def reference(name: str) -> JsonObject:
    """A named shape of the document."""
    return {"$ref": f"#/components/schemas/{name}"}


def _limits(least: float | None, most: float | None) -> JsonObject:
    given = {"minimum": least, "maximum": most}
    return {name: limit for name, limit in given.items() if limit is not None}
