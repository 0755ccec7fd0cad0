"""A schema as JSON for the store, and back, field by field: nothing of it is lost, unlike in JSON Schema."""

from __future__ import annotations

import json

from app.extraction.schema import Schema
from engine.errors import StoreError
from engine.records import RecordFault, from_plain, to_plain


def pack_schema(schema: Schema) -> str:
    """``schema`` as one line of JSON."""
    return json.dumps(to_plain(schema), ensure_ascii=False, separators=(",", ":"))


def unpack_schema(body: str) -> Schema:
    """Raises ``StoreError`` for what no :func:`pack_schema` wrote."""
    try:
        return from_plain(Schema, json.loads(body), "schema")
    except (RecordFault, ValueError, RecursionError) as error:
        raise StoreError("damaged_schema", f"A schema in the store cannot be read: {error}") from error
