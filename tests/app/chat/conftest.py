"""A chat service on a real store, with a provider that a test directs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TypeVar

import pytest

from app.bus import Bus
from app.chat.records import Message
from app.chat.service import ChatService
from app.events import AnswerFinished, Event
from app.lanes import StoreLane
from app.paths import Paths
from app.settings import Settings
from tests.app.chat.doubles import ReadyHost, ScriptedProvider

T = TypeVar("T")


@dataclass
class Stage:
    """Everything a test of the chat touches."""

    chat: ChatService
    provider: ScriptedProvider
    host: ReadyHost
    lane: StoreLane
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
        async with asyncio.timeout(10):
            while True:
                for event in self.of(AnswerFinished):
                    if event.message.id == message_id:
                        return event.message
                self._news.clear()
                await self._news.wait()

    async def until(self, condition: object) -> None:
        """Wait until ``condition()`` holds; looked at after every event."""
        async with asyncio.timeout(10):
            while not condition():  # type: ignore[operator]
                self._news.clear()
                await self._news.wait()


@pytest.fixture
async def stage(lane: StoreLane, paths: Paths) -> AsyncIterator[Stage]:
    bus, provider, host, settings = Bus(), ScriptedProvider(), ReadyHost(), Settings(paths.settings)
    chat = ChatService(lane, bus, host, provider, settings)
    made = Stage(chat, provider, host, lane, settings)
    bus.subscribe(made.heard)
    yield made
    await chat.close()
