"""A provider that says what a test tells it to, and a host that always has a model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field

from app.providers.provider import Chunk, Endpoint, PromptMessage, Sampling
from engine.errors import GatehouseError

ENDPOINT = Endpoint("http://127.0.0.1:9", "key", "double", 1000, "CPU")


@dataclass
class Script:
    """One stream: what is fed into it arrives in order; an exception ends it."""

    prompt: tuple[PromptMessage, ...]
    queue: asyncio.Queue[Chunk | Exception | None] = field(default_factory=asyncio.Queue)
    closed: bool = False

    def say(self, *texts: str) -> None:
        for text in texts:
            self.queue.put_nowait(Chunk(text))

    def end(self, finish_reason: str = "stop") -> None:
        self.queue.put_nowait(Chunk(finish_reason=finish_reason))
        self.queue.put_nowait(None)

    def fail(self, error: Exception) -> None:
        self.queue.put_nowait(error)


class ScriptedProvider:
    """Counts a token a word. Each stream waits for its test."""

    def __init__(self) -> None:
        self.scripts: list[Script] = []
        self.begun = asyncio.Condition()
        self.count_error: GatehouseError | None = None
        self.forgotten: list[str] = []

    async def stream(
        self, endpoint: Endpoint, messages: Sequence[PromptMessage], sampling: Sampling, cache_key: str = ""
    ) -> AsyncGenerator[Chunk, None]:
        script = Script(tuple(messages))
        async with self.begun:
            self.scripts.append(script)
            self.begun.notify_all()
        try:
            while (item := await script.queue.get()) is not None:
                if isinstance(item, Exception):
                    raise item
                yield item
        finally:
            script.closed = True

    async def script(self, number: int) -> Script:
        """The ``number``-th stream, once it was begun."""
        async with asyncio.timeout(5), self.begun:
            await self.begun.wait_for(lambda: len(self.scripts) > number)
            return self.scripts[number]

    async def count_tokens(self, endpoint: Endpoint, messages: Sequence[PromptMessage]) -> int:
        if self.count_error is not None:
            raise self.count_error
        return sum(len(message.text.split()) for message in messages)

    async def forget(self, endpoint: Endpoint, cache_key: str) -> None:
        self.forgotten.append(cache_key)

    async def warm_up(self) -> None:
        return

    async def close(self) -> None:
        return


class ReadyHost:
    """A model that is always there, unless a test takes it away."""

    def __init__(self) -> None:
        self.present = True
        self.refusal: GatehouseError | None = None
        self.loss: GatehouseError | None = None

    def endpoint(self) -> Endpoint | None:
        return ENDPOINT if self.present else None

    async def ensure_ready(self, model_id: str | None) -> Endpoint:
        if self.refusal is not None:
            raise self.refusal
        return ENDPOINT

    def expected_n_ctx(self) -> int:
        return ENDPOINT.n_ctx

    async def explain_loss(self, endpoint: Endpoint) -> GatehouseError | None:
        return self.loss
