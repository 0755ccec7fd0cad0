"""Schemas by name: the person's own from the store, and the built-in ones, which a changed one of that name covers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from app.bus import Bus
from app.events import SchemasChanged
from app.extraction.schema import Schema, check_schema
from app.extraction.schema_packing import pack_schema, unpack_schema
from app.lanes import StoreLane
from app.store import schemas
from app.store.database import Connection
from engine.errors import RequestError


class SchemaShelf:
    """All schemas that a batch can name."""

    def __init__(self, lane: StoreLane, bus: Bus, built_in: Callable[[], Sequence[Schema]]) -> None:
        """``built_in`` reads them from the resources; it is called off the loop, once."""
        self._lane = lane
        self._bus = bus
        self._read_built_in = built_in
        self._built_in: tuple[Schema, ...] | None = None

    async def every(self) -> tuple[Schema, ...]:
        """The person's own first, then the built-in ones that none of them covers."""
        own = [unpack_schema(body) for body in await self._lane.read(schemas.every)]
        names = {schema.name for schema in own}
        return (*own, *(schema for schema in await self._shipped() if schema.name not in names))

    async def get(self, name: str) -> Schema:
        """Raises ``no_such_schema`` naming those that there are."""
        every = await self.every()
        found = next((schema for schema in every if schema.name == name), None)
        if found is None:
            known = ", ".join(schema.name for schema in every)
            raise RequestError("no_such_schema", f"There is no schema {name!r}.", f"There are: {known}.")
        return found

    async def save(self, schema: Schema) -> Schema:
        """Add or change; returns it with its new version. Raises ``invalid_schema``."""
        check_schema(schema)
        shipped = next((other.version for other in await self._shipped() if other.name == schema.name), 0)

        def work(connection: Connection) -> Schema:
            version = max(schemas.version(connection, schema.name), shipped) + 1
            saved = replace(schema, version=version)
            schemas.save(connection, saved.name, version, pack_schema(saved), time.time())
            return saved

        saved = await self._lane.write(work)
        self._bus.publish(SchemasChanged())
        return saved

    async def remove(self, name: str) -> None:
        """One of the person's own. Raises ``no_such_schema``."""
        if not await self._lane.write(lambda connection: schemas.remove(connection, name)):
            built_in = any(schema.name == name for schema in await self._shipped())
            sentence = f"The schema {name!r} is built in." if built_in else f"There is no schema {name!r} of your own."
            raise RequestError("no_such_schema", sentence, "Built-in schemas cannot be removed." if built_in else "")
        self._bus.publish(SchemasChanged())

    async def _shipped(self) -> tuple[Schema, ...]:
        if self._built_in is None:
            self._built_in = tuple(await asyncio.to_thread(self._read_built_in))
        return self._built_in
