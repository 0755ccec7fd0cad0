"""The gate: what ``app.services.GateApi`` promises, put together from its parts. All coroutines run in the core thread.

Labels and places are ``app.gate.labelling``'s, previews and sending ``app.gate.asking``'s, the ledger and the way out
``app.gate.outside``'s, detectors ``app.gate.detect``'s. Decides which of them is asked, and nothing else.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from app.bus import Bus
from app.chat.records import Conversation
from app.chat.service import ChatService
from app.events import AnswerFlagged, BudgetChanged, GlossaryChanged, NamesSought
from app.gate.asking import Asking
from app.gate.detect import Detector
from app.gate.label import GateMode, Label
from app.gate.labelling import Labelling
from app.gate.last_look import Eyes
from app.gate.names import LoopbackAsker, NameFinder
from app.gate.outside import Outside
from app.gate.placeholders import is_kind
from app.gate.preview import Looked
from app.gate.quoting import Quoting
from app.gate.records import (
    Ask,
    Budget,
    BytesLeft,
    Finding,
    LedgerCheck,
    LedgerPage,
    Offers,
    Place,
    Preview,
    PreviewChange,
    Provider,
    ProviderTest,
    Routed,
    Term,
    Tier,
)
from app.gate.scan import Scanner
from app.lanes import StoreLane
from app.providers.provider import Chunk, Endpoint
from app.routing import rules
from app.routing.decision import decide
from app.routing.features import features
from app.routing.larger import Models, larger_model
from app.settings import Settings
from app.store import conversations
from app.store import gate as rows
from engine.errors import GatehouseError, RequestError
from engine.fit.plan import Wish

if TYPE_CHECKING:
    import httpx2

_LONGEST_TERM = 200


class LocalModels(Models, Protocol):
    """What the gate needs of the models on this machine."""

    def endpoint(self) -> Endpoint | None:
        """Where the loaded model answers right now, or ``None``."""

    async def load(self, model_id: str, wish: Wish | None = None) -> None: ...


class GateService:
    """The one implementation of ``GateApi``."""

    def __init__(
        self,
        lane: StoreLane,
        bus: Bus,
        chat: ChatService,
        models: LocalModels,
        outside: Outside,
        settings: Settings,
    ) -> None:
        self._lane = lane
        self._bus = bus
        self._chat = chat
        self._models = models
        self._outside = outside
        self._settings = settings
        self._scanner = Scanner()
        self._detector = Detector(self._scanner, NameFinder())
        self._quoting = Quoting(lane)
        self._labels = Labelling(lane, bus)
        self._asking = Asking(lane, chat, outside, self._look, Eyes(self._scanner, self._quoting), settings)
        self._http: httpx2.AsyncClient | None = None

    async def close(self) -> None:
        """End the scanner's process. Nothing can be previewed or sent any more."""
        await self._scanner.close()
        http, self._http = self._http, None
        if http is not None:
            await http.aclose()

    def forget(self) -> None:
        """The app is locked: open sheets, and what detectors remember of texts, are gone from memory."""
        self._asking.forget_all()
        self._detector.forget()
        self._quoting.forget()

    # Modes, labels, places.

    async def set_mode(self, conversation_id: str, mode: GateMode) -> None:
        await self._labels.set_mode(conversation_id, mode)

    async def set_label(self, conversation_id: str, label: Label) -> None:
        await self._labels.set_label(conversation_id, label)

    async def places(self) -> Sequence[Place]:
        return await self._labels.places()

    async def add_place(self, name: str, label: Label, parent_id: str | None = None) -> Place:
        return await self._labels.add_place(name, label, parent_id)

    async def change_place(self, place_id: str, name: str | None = None, label: Label | None = None) -> None:
        await self._labels.change_place(place_id, name, label)

    async def remove_place(self, place_id: str) -> None:
        await self._labels.remove_place(place_id)

    async def move(self, conversation_id: str, place_id: str | None) -> None:
        await self._labels.move(conversation_id, place_id)

    # What a prompt needs, and who else could answer it.

    async def route(self, text: str, conversation_id: str | None = None) -> Routed:
        conversation = None if conversation_id is None else await self._conversation(conversation_id)
        return await self.route_under(text, conversation)

    async def route_under(self, text: str, conversation: Conversation | None) -> Routed:
        """As :meth:`route`, for a conversation that need not be stored."""
        limits = self._settings.values.routing
        forbidden: dict[Tier, str] = {}
        cloud = await self._asking.may_ask(conversation)
        if not cloud.allowed:
            forbidden["cloud"] = cloud.sentence
        if await larger_model(self._models, await self._usual_model()) is None:
            forbidden["larger"] = "There is no larger model on this machine that fits."
        stored = conversation is not None and conversation.message_count > 0
        use = await self._chat.measure(conversation.id if conversation and stored else None, text)
        reasons = (
            *rules.of_context(use.prompt_tokens, use.n_ctx, limits),
            *rules.of_prompt(features(text), limits),
        )
        return decide(reasons, forbidden, limits)

    async def _usual_model(self) -> str | None:
        """The model that would answer."""
        usual = self._models.loaded().model_id or self._settings.values.last_model_id
        cards = await self._models.models()
        if any(card.id == usual for card in cards):
            return usual
        return next((card.id for card in cards if card.built_in and not card.fault), None)

    async def offers(self, message_id: str) -> Offers:
        conversation, answer = await self._chat.answer(message_id)
        larger = await larger_model(self._models, answer.model_id)
        cloud = await self._asking.may_ask(conversation)
        if larger is None:
            return Offers(None, "", cloud)
        return Offers(larger.id, larger.name, cloud)

    async def ask_larger(self, message_id: str) -> str:
        _, answer = await self._chat.answer(message_id)
        larger = await larger_model(self._models, answer.model_id)
        if larger is None:
            raise GatehouseError("no_larger_model", "There is no larger model on this machine that fits.")
        await self._models.load(larger.id)
        return await self._chat.regenerate(message_id)

    async def keep(self, message_id: str) -> None:
        _, answer = await self._chat.answer(message_id)
        if answer.flag is None:
            return
        kept = await self._chat.set_flag(message_id, replace(answer.flag, kept=True))
        self._bus.publish(AnswerFlagged(kept))

    # Asking somebody elsewhere.

    async def preview(self, ask: Ask) -> Preview:
        return await self._asking.preview(ask)

    async def change(self, preview_id: str, change: PreviewChange) -> Preview:
        return await self._asking.change(preview_id, change)

    async def send(self, preview_id: str, body_sha256: str) -> str:
        return await self._asking.send(preview_id, body_sha256)

    async def discard(self, preview_id: str) -> None:
        await self._asking.discard(preview_id)

    async def ask(self, ask: Ask) -> str:
        return await self._asking.ask(ask)

    def stream(self, preview_id: str, body_sha256: str) -> AsyncGenerator[Chunk, None]:
        """Send what the person agreed to on the command line. Raises ``GatehouseError``."""
        return self._asking.stream(preview_id, body_sha256)

    # Providers.

    async def providers(self) -> Sequence[Provider]:
        return await self._outside.providers.every()

    async def save_provider(self, provider: Provider, key: str | None = None) -> Provider:
        return await self._outside.providers.save(provider, key)

    async def remove_provider(self, provider_id: str) -> None:
        await self._outside.providers.remove(provider_id)

    async def set_key(self, provider_id: str, key: str | None) -> None:
        await self._outside.providers.set_key(provider_id, key)

    async def test_provider(self, provider_id: str) -> ProviderTest:
        return await self._outside.remote.test(await self._outside.providers.get(provider_id))

    # Detectors and the glossary.

    async def scan(self, text: str) -> Sequence[Finding]:
        return (await self._look((text,))).findings[0]

    async def glossary(self) -> Sequence[Term]:
        return await self._lane.read(rows.terms)

    async def add_term(self, text: str, kind: str) -> Term:
        word, wanted = " ".join(text.split()), kind.strip().upper()
        if not word or len(word) > _LONGEST_TERM:
            raise RequestError("bad_term", f"A word of the glossary has 1 to {_LONGEST_TERM} characters.")
        if not is_kind(wanted):
            raise RequestError("bad_kind", "A kind has 2 to 24 capital letters, e.g. PROJECT.")
        added = await self._lane.write(lambda connection: rows.add_term(connection, word, wanted, time.time()))
        self._bus.publish(GlossaryChanged())
        return added

    async def remove_term(self, term_id: int) -> None:
        await self._lane.write(lambda connection: rows.remove_term(connection, term_id))
        self._bus.publish(GlossaryChanged())

    # The ledger, money, the switch.

    async def ledger(self, before: int | None = None, limit: int = 100) -> LedgerPage:
        return await self._outside.ledger.page(before, limit)

    async def verify_ledger(self) -> LedgerCheck:
        return await self._outside.ledger.verify()

    async def export_ledger(self, path: Path) -> int:
        return await self._outside.ledger.export(path)

    async def bytes_left(self) -> BytesLeft:
        return await self._outside.ledger.bytes_left()

    async def budget(self) -> Budget:
        return await self._outside.ledger.budget()

    async def set_budget(self, day_usd: float | None, month_usd: float | None) -> None:
        await self._outside.ledger.set_budget(day_usd, month_usd)
        self._bus.publish(BudgetChanged())

    def offline(self) -> bool:
        return self._outside.offline.is_on

    async def set_offline(self, offline: bool) -> None:
        await self._outside.offline.switch(offline)

    async def _look(self, texts: Sequence[str]) -> Looked:
        """All detectors; names are sought by the model that is loaded."""
        terms = await self._lane.read(rows.terms)
        endpoint = self._models.endpoint()
        asker = None if endpoint is None else LoopbackAsker(await self._loopback(), endpoint)
        model_id = "" if endpoint is None else endpoint.model_id
        found = await self._detector.detect(texts, terms, asker, model_id, self._tell_names)
        return Looked(found.findings, found.names_sought)

    def _tell_names(self, done: int, total: int) -> None:
        self._bus.publish(NamesSought(done, total))

    async def _loopback(self) -> httpx2.AsyncClient:
        if self._http is None:
            made = await asyncio.to_thread(_make_http)
            if self._http is None:
                self._http = made
        return self._http

    async def _conversation(self, conversation_id: str) -> Conversation:
        return await self._lane.read(lambda connection: conversations.get(connection, conversation_id))


def _make_http() -> httpx2.AsyncClient:
    from app.providers import loopback

    return loopback.client()
