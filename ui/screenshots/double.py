"""Services that answer from the samples at once: the same protocols as the real ones, no disk, no worker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from app.bus import Bus
from app.chat.records import ContextUse, Conversation, Message, SearchHit, Transcript
from app.events import ConversationChanged, ConversationDeleted, LoadedModelChanged, ModelsChanged
from app.models.pins import explicit
from app.models.records import Download, LoadedModel, Measured, ModelCard, Removed
from app.services import Services
from app.settings import Settings
from engine.errors import ModelFileError
from engine.fit.plan import Misfit, Plan, Wish
from engine.fit.routed import RoutedExperts
from engine.hardware.profile import Machine
from engine.worker.spec import Ready
from ui.screenshots import sample, sample_chat
from ui.screenshots.double_documents import SampleDocuments, SampleShelf
from ui.screenshots.double_gate import SampleGate
from ui.screenshots.double_hub import SampleBundles, SampleDownloads, SampleHub
from ui.screenshots.double_store import DoubleStore


class SampleChat:
    """Conversations held in memory; answers come when a scene says so."""

    def __init__(self, bus: Bus, conversations: Sequence[Conversation], messages: Sequence[Message]) -> None:
        self._bus = bus
        self.items = {conversation.id: conversation for conversation in conversations}
        self.messages = list(messages)
        self.deleted: dict[str, Conversation] = {}
        self.models: SampleModels | None = None

    async def conversations(self) -> Sequence[Conversation]:
        return sorted(self.items.values(), key=lambda item: (not item.pinned, -item.updated_at))

    async def open(self, conversation_id: str) -> Transcript:
        conversation = self.items[conversation_id]
        mine = tuple(message for message in self.messages if message.conversation_id == conversation_id)
        return Transcript(conversation, mine)

    async def create(self, model_id: str | None = None) -> Conversation:
        made = replace(sample_chat.CONVERSATIONS[1], id=f"new{len(self.items)}", title="", message_count=0, preview="")
        self.items[made.id] = made
        self._bus.publish(ConversationChanged(made))
        return made

    async def rename(self, conversation_id: str, title: str) -> None:
        self._change(conversation_id, title=title)

    async def pin(self, conversation_id: str, pinned: bool) -> None:
        self._change(conversation_id, pinned=pinned)

    async def set_system_prompt(self, conversation_id: str, text: str) -> None:
        self._change(conversation_id, system_prompt=text)

    async def delete(self, conversation_id: str) -> None:
        gone = self.items.pop(conversation_id)
        self.deleted[conversation_id] = gone
        self._bus.publish(ConversationDeleted(conversation_id, gone.title))

    async def undelete(self, conversation_id: str) -> None:
        self.items[conversation_id] = self.deleted.pop(conversation_id)
        self._bus.publish(ConversationChanged(self.items[conversation_id]))

    async def send(self, conversation_id: str | None, text: str) -> str:
        raise NotImplementedError

    async def edit(self, message_id: str, text: str) -> str:
        raise NotImplementedError

    async def regenerate(self, message_id: str) -> str:
        raise NotImplementedError

    async def stop(self, message_id: str) -> None:
        """Nothing runs here."""

    async def choose_branch(self, message_id: str, step: int = 0) -> None:
        """There is one branch here."""

    async def search(self, words: str, limit: int = 50) -> Sequence[SearchHit]:
        hits = []
        for conversation in await self.conversations():
            for text, message_id in ((conversation.title, None), (conversation.preview, f"p{conversation.id}")):
                start = text.casefold().find(words.casefold())
                if words and start >= 0:
                    hits.append(
                        SearchHit(
                            conversation_id=conversation.id,
                            conversation_title=conversation.title,
                            message_id=message_id,
                            role="assistant" if message_id else None,
                            snippet=text,
                            matches=((start, start + len(words)),),
                            created_at=conversation.updated_at,
                        )
                    )
        return hits[:limit]

    async def measure(self, conversation_id: str | None, draft: str) -> ContextUse:
        used = sum(len(m.text) for m in self.messages if m.conversation_id == conversation_id) + len(draft)
        loaded = self.models.state.plan if self.models is not None else None
        return ContextUse(24 + used // 4, loaded.n_ctx if loaded else 4096, exact=loaded is not None)

    def _change(self, conversation_id: str, **changes: object) -> None:
        changed = replace(self.items[conversation_id], **changes)  # type: ignore[arg-type]
        self.items[conversation_id] = changed
        self._bus.publish(ConversationChanged(changed))


class SampleModels:
    """The sample models; loading is done at once."""

    def __init__(self, bus: Bus, cards: Sequence[ModelCard], loaded: LoadedModel) -> None:
        self._bus = bus
        self.cards = list(cards)
        self.state = loaded
        self.removed: dict[str, ModelCard] = {}
        self.pins: dict[str, Wish] = {}
        self.routed: RoutedExperts | None = None

    async def models(self) -> Sequence[ModelCard]:
        return tuple(self.cards)

    async def add_file(self, path: Path) -> ModelCard:
        known = next((card for card in sample.MODELS if card.path == path), None)
        if known is None:
            raise ModelFileError("not_gguf", f"{path.name} is not a GGUF model: it begins with other letters.")
        if known not in self.cards:
            self.cards.append(known)
            self._bus.publish(ModelsChanged())
        return known

    async def remove(self, model_id: str) -> Removed:
        gone = self._card(model_id)
        self.removed[model_id] = gone
        self.cards.remove(gone)
        self._bus.publish(ModelsChanged())
        return Removed(model_id, gone.name, gone.size_bytes if gone.managed else 0)

    async def restore(self, token: str) -> None:
        self.cards.append(self.removed.pop(token))
        self._bus.publish(ModelsChanged())

    def pinned(self, model_id: str) -> Wish | None:
        return self.pins.get(model_id)

    async def pin(self, model_id: str, wish: Wish, plan: Plan | None) -> None:
        self.pins.pop(model_id, None)
        if plan is not None:
            self.pins[model_id] = explicit(wish, plan)

    async def measured(self, model_id: str) -> Measured | None:
        return sample.MEASURED.get(model_id)

    async def command(self, plan: Plan) -> str:
        return f"llama-server --model {plan.model_path} --ctx-size {plan.n_ctx}"

    async def watch_experts(self, watching: bool) -> RoutedExperts | None:
        self.routed = replace(sample.routed(), watching=watching)
        return self.routed

    async def experts(self) -> RoutedExperts | None:
        return self.routed

    async def plan(self, model_id: str, wish: Wish) -> Plan | Misfit:
        return sample.plan_or_misfit(self._card(model_id), wish)

    async def load(self, model_id: str, wish: Wish | None = None) -> None:
        plan = sample.plan(self._card(model_id), wish or Wish())
        self.become(LoadedModel(model_id, Ready(4711, "http://127.0.0.1:40123", 1.9, ()), plan, None))

    async def unload(self) -> None:
        self.become(sample.UNLOADED)

    def loaded(self) -> LoadedModel:
        return self.state

    async def machine(self, refresh: bool = False) -> Machine:
        return sample.machine(self.state)

    async def glance(self) -> Machine | None:
        return sample.machine(self.state)

    def become(self, loaded: LoadedModel) -> None:
        """Another state, announced as the real service does."""
        self.state = loaded
        self._bus.publish(LoadedModelChanged(loaded))

    def _card(self, model_id: str) -> ModelCard:
        return next(card for card in self.cards if card.id == model_id)


@dataclass(frozen=True, slots=True)
class SampleHouse:
    """The doubles, wired, and each by its own type for scenes that steer them."""

    services: Services
    chat: SampleChat
    models: SampleModels
    hub: SampleHub
    downloads: SampleDownloads
    bundles: SampleBundles
    gate: SampleGate
    documents: SampleDocuments
    store: DoubleStore


def sample_house(
    settings_file: Path,
    *,
    cards: Sequence[ModelCard] = sample.MODELS,
    loaded: LoadedModel = sample.READY,
    conversations: Sequence[Conversation] = sample_chat.CONVERSATIONS,
    messages: Sequence[Message] = sample_chat.MESSAGES,
    downloads: Sequence[Download] = (),
    shelf: SampleShelf | None = None,
) -> SampleHouse:
    """The whole product as doubles."""
    bus = Bus()
    chat, models = SampleChat(bus, conversations, messages), SampleModels(bus, cards, loaded)
    chat.models = models
    queue = SampleDownloads(bus, downloads)
    hub, bundles = SampleHub(queue), SampleBundles()
    documents = SampleDocuments(bus, shelf)
    gate = SampleGate(bus, chat.items, lambda: chat.messages)
    store = DoubleStore()
    services = Services(
        bus=bus,
        chat=chat,
        models=models,
        hub=hub,
        downloads=queue,
        bundles=bundles,
        settings=Settings(settings_file),
        gate=gate,
        documents=documents,
        store=store,
    )
    return SampleHouse(services, chat, models, hub, queue, bundles, gate, documents, store)


def sample_services(
    settings_file: Path,
    *,
    cards: Sequence[ModelCard] = sample.MODELS,
    loaded: LoadedModel = sample.READY,
    conversations: Sequence[Conversation] = sample_chat.CONVERSATIONS,
    messages: Sequence[Message] = sample_chat.MESSAGES,
) -> tuple[Services, SampleChat, SampleModels]:
    """What most need of :func:`sample_house`."""
    made = sample_house(settings_file, cards=cards, loaded=loaded, conversations=conversations, messages=messages)
    return made.services, made.chat, made.models
