"""The schemas that come with the product, read from ``resources/schemas``."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources

from app.extraction.schema import Schema, check_schema
from engine.errors import GatehouseError
from engine.records import from_plain


@cache
def builtin_schemas() -> tuple[Schema, ...]:
    """All of them, by title."""
    folder = resources.files("resources").joinpath("schemas")
    found = [
        from_plain(Schema, json.loads(one.read_text("utf-8")), one.name)
        for one in folder.iterdir()
        if one.name.endswith(".json")
    ]
    for schema in found:
        check_schema(schema)
    return tuple(sorted(found, key=lambda schema: schema.title))


def builtin_schema(name: str) -> Schema:
    """Raises: ``GatehouseError`` when there is none of that name."""
    for schema in builtin_schemas():
        if schema.name == name:
            return schema
    names = ", ".join(schema.name for schema in builtin_schemas())
    raise GatehouseError("no_schema", f"There is no schema {name[:64]!r}.", f"There are {names}.")
