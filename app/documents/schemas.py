"""Schemas as the window asks for them: listed, saved, proposed, as JSON Schema and back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from app.documents.kit import Kit
from app.documents.schema_shelf import SchemaShelf
from app.extraction.schema import Schema
from engine.errors import RequestError


class Schemas:
    """The part of ``DocumentsApi`` that is about schemas."""

    def __init__(self, kit: Kit, shelf: SchemaShelf) -> None:
        self._kit = kit
        self._shelf = shelf

    async def schemas(self) -> Sequence[Schema]:
        return await self._shelf.every()

    async def save_schema(self, schema: Schema) -> Schema:
        return await self._shelf.save(schema)

    async def remove_schema(self, name: str) -> None:
        await self._shelf.remove(name)

    async def propose_schema(self, paths: Sequence[Path], name: str) -> Schema:
        raise RequestError("not_built", "Schemas cannot be proposed yet.")

    async def schema_json(self, schema: Schema) -> str:
        raise RequestError("not_built", "Schemas cannot be written as JSON Schema yet.")

    async def schema_from_json(self, text: str) -> Schema:
        raise RequestError("not_built", "JSON Schema cannot be read yet.")
