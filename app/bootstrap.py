"""The only wiring: which implementation stands behind which promise. Decides nothing else."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from app.bus import Bus
from app.chat.attachments import DocumentTexts
from app.chat.service import ChatService
from app.documents.kit import Kit, MakeAsker
from app.documents.meaning import Meaning
from app.documents.pool import ReaderPool
from app.documents.schema_shelf import SchemaShelf
from app.documents.service import DocumentsService
from app.extraction.ask import LocalAsker
from app.extraction.builtin import builtin_schemas
from app.extraction.extractor import LocalExtractor
from app.extraction.schema import Schema
from app.gate.outside import Outside, reach_outside
from app.gate.service import GateService
from app.kept_states import KeptConversations
from app.lanes import CoreThread, StoreLane
from app.models.bundles import Bundles
from app.models.downloads import Downloads
from app.models.hub import HubService
from app.models.hub_access import HubAccess
from app.models.hub_token import GivenToken, HubToken
from app.models.pins import Pins
from app.models.planner import Planner
from app.models.recorder import Recorder
from app.models.records import Serving
from app.models.service import ModelsService
from app.models.shelf import Shelf
from app.models.stand_ins import usable_endpoints
from app.models.vectors import VectorWorker
from app.paths import Paths
from app.providers.local import LocalProvider
from app.services import Services
from app.settings import Settings
from app.vault.service import StoreService
from app.vault.telling import Telling
from app.vault.vault import Vault
from engine.errors import StoreError

if TYPE_CHECKING:
    from app.extraction.learning import Lesson

_log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Product:
    """Everything that runs behind the window or a command. ``close`` it, from any thread but the core's."""

    paths: Paths
    core: CoreThread
    services: Services
    chat: ChatService
    gate: GateService
    documents: DocumentsService
    models: ModelsService
    downloads: Downloads
    recorder: Recorder
    provider: LocalProvider
    outside: Outside
    vectors: VectorWorker
    meaning: Meaning
    _lane: StoreLane
    _store: StoreService

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the core thread and wait for it."""
        return self.core.submit(work).result()

    def hub_access(self, token: str | None) -> HubAccess:
        """For a command that asks a hub, with the token that it was given."""
        return HubAccess(GivenToken(token), self.outside.egress, consent="command")

    def begin(self) -> None:
        """What the one window of a data folder does at its start, in the background: clean up, load the model."""
        self.core.submit(self._begin())

    async def _begin(self) -> None:
        try:
            await self.chat.purge()
            await self.downloads.start()
            await self.models.start()
            await self.documents.start()
        except asyncio.CancelledError:
            raise
        except Exception:
            _log.exception("The start in the background failed.")
            raise

    def close(self) -> None:
        """End answers and the worker, save everything, join every thread. More than once is harmless."""
        if not self.core.running:
            return
        try:
            self.core.submit(self._close()).result()
        finally:
            self.core.stop()
            self._lane.close()

    async def _close(self) -> None:
        try:
            await self._store.close()
        finally:
            self._lane.refuse_waiting()
            await close_all(
                self.chat,
                self.documents,
                self.meaning,
                self.vectors,
                self.gate,
                self.downloads,
                self.models,
                self.recorder,
                self.provider,
            )


class Closable(Protocol):
    """What is closed once and for all."""

    async def close(self) -> None: ...


async def close_all(*parts: Closable) -> None:
    """Close them in this order, those behind one that fails as well. Raises the first fault; others are logged."""
    first: Exception | None = None
    for part in parts:
        try:
            await part.close()
        except Exception as error:  # noqa: BLE001 - it is logged, and the first one raised when all are closed
            _log.exception("%s could not be closed.", type(part).__name__)
            first = first or error
    if first is not None:
        raise first


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """The services for models that are not here yet, and what learns from those that are."""

    hub: HubService
    downloads: Downloads
    bundles: Bundles
    recorder: Recorder


@dataclass(frozen=True, slots=True)
class Looking:
    """What finds passages by their meaning, where a model for vectors is on this machine."""

    vectors: VectorWorker
    meaning: Meaning


def build(paths: Paths, *, exclusive: bool, serving: Serving | None = None, vault: Vault | None = None) -> Product:
    """Wire the product and open the store. Raises ``VaultError``, ``StoreError``, ``OSError``.

    ``vault`` comes unlocked when the store has a passphrase.

    ``exclusive``: this process is the one window of the data folder, so answers that are still unfinished were left
    behind by a dead one.
    """
    paths.make_folders()
    settings = Settings(paths.settings)
    bus = Bus()
    core = CoreThread()
    core.start()
    lane = StoreLane(paths.database)
    vault = vault if vault is not None else Vault(paths.database)
    store = StoreService(vault, lane)
    provider = LocalProvider()

    async def wire() -> tuple[ChatService, GateService, DocumentsService, ModelsService, Elsewhere, Outside, Looking]:
        # In the core thread: what the services create belongs to its loop.
        await _open_store(lane, vault)
        warming: set[asyncio.Task[None]] = set()

        def warm_up() -> None:
            task = asyncio.get_running_loop().create_task(provider.warm_up())
            warming.add(task)
            task.add_done_callback(warming.discard)

        shelf = Shelf(paths, lane)
        planner = Planner(paths, lambda: usable_endpoints(settings.values.rpc_endpoints))
        pins = Pins(paths.data / "plans.json")
        kept = KeptConversations(paths, settings, provider, vault.derive)
        models = ModelsService(
            shelf,
            planner,
            bus,
            settings,
            serving,
            warm_up,
            remember=exclusive,
            pins=pins,
            kept_states=kept.for_worker,
        )
        kept.endpoint = models.endpoint
        outside = reach_outside(paths, settings, bus, lane, vault)
        access = HubAccess(HubToken(vault), outside.egress)
        downloads = Downloads(paths, access, bus)
        elsewhere = Elsewhere(
            HubService(access, planner, downloads, paths), downloads, Bundles(shelf, bus, planner), Recorder(paths, bus)
        )
        chat = ChatService(lane, bus, models, provider, settings, kept.forget)
        looking = _looking(shelf, planner, models, lane)
        looking.meaning.busy = lambda: chat.busy
        documents = _documents(lane, bus, models, vault, looking.vectors, settings)
        texts = DocumentTexts(lane, documents, models.expected_n_ctx, _asks(models), looking.meaning)
        chat.attachments = texts
        store.is_busy = lambda: chat.busy or documents.busy
        store.tell_gone = Telling(bus, kept.forget)
        if exclusive:
            await chat.recover()
        gate = GateService(lane, bus, chat, models, outside, settings)
        store.at_lock(texts.forget)
        store.at_lock(looking.meaning.forget)
        store.at_lock(documents.forget)
        store.at_lock(gate.forget)
        return chat, gate, documents, models, elsewhere, outside, looking

    try:
        chat, gate, documents, models, elsewhere, outside, looking = core.submit(wire()).result()
    except BaseException:
        core.stop()
        lane.close()
        raise
    services = Services(
        bus=bus,
        chat=chat,
        models=models,
        hub=elsewhere.hub,
        downloads=elsewhere.downloads,
        bundles=elsewhere.bundles,
        settings=settings,
        gate=gate,
        documents=documents,
        store=store,
    )
    return Product(
        paths,
        core,
        services,
        chat,
        gate,
        documents,
        models,
        elsewhere.downloads,
        elsewhere.recorder,
        provider,
        outside,
        looking.vectors,
        looking.meaning,
        lane,
        store,
    )


def _looking(shelf: Shelf, planner: Planner, models: ModelsService, lane: StoreLane) -> Looking:
    vectors = VectorWorker(shelf, planner, models.loaded)
    models.make_room = vectors.make_room
    return Looking(vectors, Meaning(lane, vectors))


def _documents(
    lane: StoreLane, bus: Bus, models: ModelsService, vault: Vault, vectors: VectorWorker, settings: Settings
) -> DocumentsService:
    async def teach(schema: Schema) -> Lesson:
        from app.extraction.learning import learn  # and with it what knows every form of a value

        return await lane.read(partial(learn, schema=schema))

    extractor = LocalExtractor(models, lambda endpoint: LocalAsker(endpoint, "batch"), teach)
    readers = ReaderPool(recogniser=lambda: settings.values.recogniser)
    kit = Kit(lane, bus, readers, extractor, vault.lasting("results") or b"")
    return DocumentsService(
        kit, SchemaShelf(lane, bus, builtin_schemas), _asks(models), models.expected_n_ctx, vectors.outlook
    )


def _asks(models: ModelsService) -> MakeAsker:
    """Somebody waits for the answer."""

    async def make_asker() -> LocalAsker:
        return LocalAsker(await models.ensure_ready(None), "interactive")

    return make_asker


async def _open_store(lane: StoreLane, vault: Vault) -> None:
    """Once more when another process gave the store a new key between our finding the key and our opening it."""
    for last in (False, True):
        key = await asyncio.to_thread(vault.open)
        lane.use_key(key)
        try:
            await lane.open()
        except StoreError as error:
            if last or error.code not in ("store_damaged", "store_plain", "store_busy"):
                raise
            vault.forget()
            if await asyncio.to_thread(vault.needs_passphrase):
                raise  # it was typed just now and opened the key, so the store itself is at fault
        else:
            return
