"""The gate with everything real but the local model and who is asked: a chat, a store, detectors, a way out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from app.bus import Bus
from app.chat.records import Message
from app.chat.service import ChatService
from app.events import AnswerFinished, AnswerGrew, Event
from app.gate.egress import Egress
from app.gate.label import GateMode, Label
from app.gate.ledger import Ledger
from app.gate.offline import Offline
from app.gate.outside import Outside
from app.gate.records import Provider
from app.gate.service import GateService
from app.lanes import StoreLane
from app.models.records import LoadedModel, ModelCard
from app.paths import Paths
from app.providers.keys import ProviderKeys
from app.providers.provider import Endpoint
from app.providers.registry import Providers
from app.providers.remote import RemoteProvider
from app.settings import Settings
from engine.fit.plan import Misfit, Plan, Wish
from tests.app.chat.doubles import ReadyHost, ScriptedProvider
from tests.app.gate.made_egress import LEDGER_KEY, QUICK, no_names

T = TypeVar("T")


class Pocket:
    """Secrets in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}

    def get_secret(self, name: str) -> str | None:
        return self.kept.get(name)

    def put_secret(self, name: str, value: str) -> object:
        self.kept[name] = value
        return None

    def delete_secret(self, name: str) -> None:
        self.kept.pop(name, None)


class NoModels:
    """A machine without any model: nobody looks for names, none is larger."""

    async def models(self) -> Sequence[ModelCard]:
        return ()

    async def plan(self, model_id: str, wish: Wish) -> Plan | Misfit:
        raise AssertionError("there is none")

    def loaded(self) -> LoadedModel:
        return LoadedModel(None, None, None, None)

    def endpoint(self) -> Endpoint | None:
        return None

    async def load(self, model_id: str, wish: Wish | None = None) -> None:
        raise AssertionError("there is none")


@dataclass
class GateStage:
    """Everything a test of the gate touches."""

    lane: StoreLane
    chat: ChatService
    gate: GateService
    local: ScriptedProvider
    outside: Outside
    settings: Settings
    events: list[Event] = field(default_factory=list)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def heard(self, event: Event) -> None:
        self.events.append(event)
        self._news.set()

    def of(self, kind: type[T]) -> list[T]:
        return [event for event in self.events if isinstance(event, kind)]

    async def finished(self, message_id: str) -> Message:
        """The answer's end, once it was announced."""
        async with asyncio.timeout(20):
            while True:
                for event in self.of(AnswerFinished):
                    if event.message.id == message_id:
                        return event.message
                self._news.clear()
                await self._news.wait()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until ``condition()`` holds; looked at after every event."""
        async with asyncio.timeout(20):
            while not condition():
                self._news.clear()
                await self._news.wait()

    async def begun(self, message_id: str) -> str:
        """The first text of an answer."""
        async with asyncio.timeout(20):
            while True:
                for event in self.of(AnswerGrew):
                    if event.message_id == message_id:
                        return event.text
                self._news.clear()
                await self._news.wait()

    async def answered(self, question: str, answer: str, mode: GateMode, label: Label = Label.INTERNAL) -> Message:
        """A new conversation with a local answer, under this gate."""
        created = await self.chat.create()
        await self.gate.set_mode(created.id, mode)
        await self.gate.set_label(created.id, label)
        number = len(self.local.scripts)
        message_id = await self.chat.send(created.id, question)
        script = await self.local.script(number)
        script.say(answer)
        script.end()
        return await self.finished(message_id)

    async def provider(self, base_url: str, model: str = "good", **changes: object) -> Provider:
        """Set one up; the last one is the one that is asked."""
        for old in await self.gate.providers():
            await self.gate.remove_provider(old.id)
        fields: dict[str, object] = {"input_usd_per_mtok": 2.0, "output_usd_per_mtok": 8.0, "n_ctx": 32_000, **changes}
        return await self.gate.save_provider(Provider("", "Nimbus", base_url, model, **fields), "sk-good-01234")  # type: ignore[arg-type]


async def gate_stage(lane: StoreLane, paths: Paths) -> GateStage:
    """In a running loop; close it with :func:`close`."""
    bus, settings, local = Bus(), Settings(paths.settings), ScriptedProvider()
    chat = ChatService(lane, bus, ReadyHost(), local, settings)
    offline = Offline(settings)
    ledger = Ledger(lane, lambda: [LEDGER_KEY], paths.data)
    egress = Egress(ledger, offline, no_names)
    keys = ProviderKeys(Pocket())
    outside = Outside(offline, ledger, egress, Providers(lane, keys), RemoteProvider(egress, keys, QUICK))
    gate = GateService(lane, bus, chat, NoModels(), outside, settings)
    stage = GateStage(lane, chat, gate, local, outside, settings)
    bus.subscribe(stage.heard)
    return stage


async def close(stage: GateStage) -> None:
    await stage.chat.close()
    await stage.gate.close()
