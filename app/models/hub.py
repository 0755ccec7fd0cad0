"""Models elsewhere: the catalogue, searching a hub, and the plan of a model before it is fetched.

Runs in the core thread; asking a hub is done in a thread beside it and can be cancelled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from app.models import advice, offers
from app.models.downloads import Downloads
from app.models.hub_access import HubAccess
from app.models.offers import Choice, Offer, Query, Suggestion
from app.models.planner import Planner
from app.models.records import RemotePlan
from app.paths import Paths
from engine.fit.plan import Wish
from engine.hub.catalogue import Task
from engine.hub.repository import DEFAULT_REVISION, ModelSource, RemoteModel

if TYPE_CHECKING:
    from engine.fit.experience import Experience
    from engine.gguf.remote import Sketch
    from engine.hub.client import HubClient
    from engine.hub.interrupt import Interrupt


class HubService:
    """The one implementation of ``HubApi``."""

    def __init__(self, access: HubAccess, planner: Planner, downloads: Downloads, paths: Paths) -> None:
        self._access = access
        self._planner = planner
        self._downloads = downloads
        self._paths = paths
        self._resolved: dict[tuple[str, str], RemoteModel] = {}
        """What the hub said a choice means, for as long as the program runs."""

    def host(self) -> str:
        return self._access.host

    async def catalogue(self) -> Sequence[Offer]:
        machine = await self._planner.machine()
        return await asyncio.to_thread(lambda: advice.catalogue_offers(machine, _experience(self._paths)))

    async def suggestions(self, task: Task = "chat") -> Sequence[Suggestion]:
        machine = await self._planner.machine()
        return await asyncio.to_thread(lambda: advice.suggestions(machine, task, _experience(self._paths)))

    async def search(self, query: Query) -> Sequence[Offer]:
        from engine.hub.search import SearchWish, search

        wish = SearchWish(
            words=query.words,
            licence=query.licence,
            task=query.task,
            least_parameters=query.least_parameters,
            most_parameters=query.most_parameters,
            with_gated=query.with_gated,
            order=query.order,
        )
        found = await self._access.ask(lambda client, halt: search(client, wish, halt))
        return tuple(offers.offer_of(entry) for entry in found)

    async def look_into(self, offer: Offer) -> Offer:
        repo = offer.choices[0].repo if offer.choices else offer.id
        repository = await self._access.ask(lambda client, halt: client.repository(repo, DEFAULT_REVISION, halt))
        return advice.judged(offers.looked_into(offer, repository), await self._planner.machine())

    async def plan(self, choice: Choice, wish: Wish) -> RemotePlan:
        model, sketched = await self._access.ask(lambda client, halt: self._sketch(client, choice, halt))
        self._resolved[choice.repo, choice.wanted] = model
        header = sketched.header
        return RemotePlan(
            model=model,
            plan=await self._planner.plan_file(sketched.path, wish),
            n_ctx_train=header.n_ctx_train,
            n_layer=header.block_count,
            n_expert=header.n_expert,
            n_expert_used=header.n_expert_used,
            traffic_bytes=sketched.traffic_bytes,
        )

    async def fetch(self, choice: Choice) -> str:
        model = self._resolved.get((choice.repo, choice.wanted))
        if model is None:
            model = await self._access.ask(lambda client, halt: _resolve(client, choice, halt))
        return await self._downloads.add(model)

    async def has_token(self) -> bool:
        return await asyncio.to_thread(self._access.token.read) is not None

    async def set_token(self, token: str | None) -> bool:
        return await asyncio.to_thread(self._access.token.save, token)

    def _sketch(self, client: HubClient, choice: Choice, halt: Interrupt) -> tuple[RemoteModel, Sketch]:
        from engine.gguf.remote import sketch

        model = self._resolved.get((choice.repo, choice.wanted)) or _resolve(client, choice, halt)
        return model, sketch(client, model, self._paths.cache / "sketches", halt)


def _resolve(client: HubClient, choice: Choice, halt: Interrupt) -> RemoteModel:
    """What a choice means on the hub now. Raises: ``HubError``."""
    from engine.hub.catalogue import load_catalogue
    from engine.hub.download import resolve, resolve_variant

    known = load_catalogue().find(choice.catalogue_id) if choice.catalogue_id is not None else None
    if known is not None:
        return resolve_variant(client, known.variant(choice.quantization), halt)
    return resolve(client, ModelSource(choice.repo, wanted=choice.wanted), halt)


def _experience(paths: Paths) -> Experience:
    from engine.fit.measured import Measurements

    return Measurements(paths.measurements).experience()
