"""The providers that the person has set up: any number, each with a name of its own. Their keys lie elsewhere."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace

from app.gate.addresses import check_provider
from app.gate.records import Provider
from app.lanes import StoreLane
from app.providers.keys import ProviderKeys, checked
from app.store import providers as rows
from app.store.database import Connection
from engine.errors import GatehouseError

_LONGEST_NAME = 80
_LONGEST_MODEL = 200
_DEAREST_USD = 100_000.0


class Providers:
    """All coroutines run in the core thread; ``changed`` is called after each change."""

    def __init__(
        self,
        lane: StoreLane,
        keys: ProviderKeys,
        changed: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._lane = lane
        self._keys = keys
        self._changed = changed
        self._clock = clock

    async def every(self) -> Sequence[Provider]:
        """The one that was used last first."""
        return await self._lane.read(rows.every)

    async def get(self, provider_id: str) -> Provider:
        """Raises ``GatehouseError`` ``no_such_provider``."""
        found = await self._lane.read(lambda connection: rows.get(connection, provider_id))
        if found is None:
            raise GatehouseError("no_such_provider", "This provider is not there any more.")
        return found

    async def find(self, name: str) -> Provider:
        """By id, by name, or by the only name that contains this. Raises ``GatehouseError`` with what there is."""
        every = await self.every()
        exact = [one for one in every if name in (one.id, one.name)]
        found = exact or [one for one in every if name.casefold() in one.name.casefold()]
        if len(found) == 1:
            return found[0]
        which = "More than one provider matches" if found else "There is no provider"
        known = ", ".join(one.name for one in (found or every)) or "none"
        raise GatehouseError("no_such_provider", f"{which} “{name}”.", f"There are: {known}.")

    async def save(self, provider: Provider, key: str | None = None) -> Provider:
        """Add one (with an empty id) or change it. Raises ``GatehouseError``; then nothing was changed.

        An address that changes takes the key away: it was given to somebody else.
        """
        settled = settle(provider)
        key = None if key is None else checked(key)
        every = await self.every()
        if any(one.name.casefold() == settled.name.casefold() and one.id != settled.id for one in every):
            raise GatehouseError("name_taken", f"There is a provider “{settled.name}” already.", "Choose another name.")
        before = next((one for one in every if one.id == settled.id), None)
        moved = before is not None and _origin(before) != _origin(settled)
        if not settled.id:
            settled = replace(settled, id=uuid.uuid4().hex)
        if key is not None:
            # First, so that a provider whose key no place can keep safe is not left behind without it.
            await asyncio.to_thread(self._keys.write, settled.id, key)
        elif moved and before is not None and before.has_key:
            await asyncio.to_thread(self._keys.write, settled.id, None)
        has_key = key is not None or (before is not None and before.has_key and not moved)
        now = self._clock()

        def work(connection: Connection) -> None:
            rows.save(connection, settled, now)
            rows.set_has_key(connection, settled.id, has_key)

        await self._lane.write(work)
        self._changed()
        return replace(settled, has_key=has_key)

    async def set_key(self, provider_id: str, key: str | None) -> None:
        """``None`` forgets it. Raises ``GatehouseError`` for what is no key, or when no place can keep it safe."""
        await self.get(provider_id)
        await asyncio.to_thread(self._keys.write, provider_id, key)
        await self._lane.write(lambda connection: rows.set_has_key(connection, provider_id, key is not None))
        self._changed()

    async def remove(self, provider_id: str) -> None:
        """With its key. What was asked of it stays in the ledger."""
        await self.get(provider_id)
        await asyncio.to_thread(self._keys.write, provider_id, None)
        await self._lane.write(lambda connection: rows.remove(connection, provider_id))
        self._changed()

    async def note_used(self, provider_id: str) -> None:
        """It becomes the one that is proposed."""
        await self._lane.write(lambda connection: rows.note_used(connection, provider_id, self._clock()))


def settle(provider: Provider) -> Provider:
    """What the person entered, tidied. Pure. Raises ``GatehouseError`` for what cannot be."""
    name, model = provider.name.strip(), provider.model.strip()
    if not name or len(name) > _LONGEST_NAME or not name.isprintable():
        raise GatehouseError("bad_name", f"A provider has a name of at most {_LONGEST_NAME} characters.")
    if not model or len(model) > _LONGEST_MODEL or not model.isprintable():
        raise GatehouseError("bad_model", "Which model of this provider should answer?", "E.g. the id in its list.")
    check_provider(provider.base_url, provider.trust)
    for price in (provider.input_usd_per_mtok, provider.output_usd_per_mtok):
        if price is not None and not 0 <= price <= _DEAREST_USD:
            raise GatehouseError("bad_price", "A price is an amount in dollars per million tokens, from 0 on.")
    if provider.n_ctx is not None and not 0 < provider.n_ctx <= 1 << 30:
        raise GatehouseError("bad_context", "A context is a number of tokens, from 1 on.")
    if provider.trust == "team" and provider.input_usd_per_mtok is None and provider.output_usd_per_mtok is None:
        provider = replace(provider, input_usd_per_mtok=0.0, output_usd_per_mtok=0.0)  # one's own costs nothing a token
    return replace(provider, name=name, model=model, base_url=provider.base_url.strip().rstrip("/"))


def _origin(provider: Provider) -> tuple[str, str, int]:
    target = check_provider(provider.base_url, provider.trust)
    return target.scheme, target.host, target.port
