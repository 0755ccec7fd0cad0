"""Schemas as the window asks for them: listed, saved, proposed, as JSON Schema or a Pydantic model and back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from app.documents.kit import Kit, MakeAsker
from app.documents.schema_shelf import SchemaShelf
from app.extraction.schema import Schema
from app.extraction.schema_packing import unpack_schema
from engine.errors import GatehouseError, RequestError

_MOST_CHARACTERS = 1 << 20
_MOST_SAMPLES = 5


class Schemas:
    """The part of ``DocumentsApi`` that is about schemas."""

    def __init__(self, kit: Kit, shelf: SchemaShelf, make_asker: MakeAsker) -> None:
        self._kit = kit
        self._shelf = shelf
        self._make_asker = make_asker

    async def schemas(self) -> Sequence[Schema]:
        return await self._shelf.every()

    async def schema_named(self, name: str) -> Schema:
        """Raises ``no_such_schema`` naming those that there are."""
        return await self._shelf.get(name)

    async def save_schema(self, schema: Schema) -> Schema:
        return await self._shelf.save(schema)

    async def remove_schema(self, name: str) -> None:
        await self._shelf.remove(name)

    async def propose_schema(self, paths: Sequence[Path], name: str) -> Schema:
        from app.extraction.propose import propose

        if not paths:
            raise RequestError("no_files", "A schema is proposed from documents: name one to five.")
        readings = [await self._kit.readers.read(path) for path in paths[:_MOST_SAMPLES]]
        asker = await self._make_asker()
        try:
            return await propose(readings, name, asker)
        finally:
            await asker.close()

    async def schema_json(self, schema: Schema) -> str:
        from app.extraction.schema_json import to_json_schema

        return to_json_schema(schema)

    async def schema_from_json(self, text: str) -> Schema:
        return schema_from_text(text, "")


def schema_from_text(text: str, name: str) -> Schema:
    """From JSON Schema, our own form, or the source of a Pydantic model. Raises ``invalid_schema``."""
    if len(text) > _MOST_CHARACTERS:
        raise GatehouseError("invalid_schema", f"{len(text):,} characters are too many for a schema.")
    if not text.lstrip("\ufeff \t\r\n").startswith("{"):
        from app.extraction.schema_pydantic import from_pydantic

        return from_pydantic(text, name)
    if _is_our_own(text):
        return unpack_schema(text)
    from app.extraction.schema_json import from_json_schema

    return from_json_schema(text, name)


def _is_our_own(text: str) -> bool:
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return False  # whoever reads it as JSON Schema says what is wrong
    return isinstance(body, dict) and isinstance(body.get("fields"), list)
