"""Answers by the model on this machine: wait for it, ask it, ask once more when its process died before a word.

Runs in the core thread. While the answer is written it is watched for what makes it doubtful (``app.routing``), and
ended when it repeats itself (``app.chat.repetition``).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Protocol

from app.chat.answer import LiveAnswer
from app.chat.conversing import Write
from app.chat.prompt import Part, asked_of, attached_tokens, messages_of, refuse_overflow
from app.chat.records import ContextUse
from app.chat.repetition import RepetitionWatch, repeating
from app.providers.provider import Endpoint, Provider, Sampling
from app.routing.watch import AnswerWatch
from app.settings import Settings
from engine.errors import GatehouseError, WorkerError


class ModelHost(Protocol):
    """What answers need of the models."""

    def endpoint(self) -> Endpoint | None:
        """Where the loaded model answers right now, or ``None``."""

    async def ensure_ready(self, model_id: str | None) -> Endpoint:
        """Wait for the loaded model, or load one: ``model_id`` if it is there. Raises ``GatehouseError``."""

    def expected_n_ctx(self) -> int:
        """The context that the model has or will probably have."""

    async def explain_loss(self, endpoint: Endpoint) -> GatehouseError | None:
        """Why the worker at ``endpoint`` is gone, as soon as that is known; ``None`` when it seems to live."""


MakePrompt = Callable[[], Awaitable[Sequence[Part]]]


class LocalAnswers:
    """Makes writers for ``Conversing``."""

    def __init__(self, host: ModelHost, provider: Provider, settings: Settings) -> None:
        self._host = host
        self._provider = provider
        self._settings = settings

    def writer(self, model_id: str | None, make_prompt: MakePrompt) -> Write:
        """The prompt is made in the answer's own task."""

        async def write(live: LiveAnswer) -> None:
            await self._stream_with_one_retry(live, model_id, await make_prompt())

        return write

    async def _stream_with_one_retry(self, live: LiveAnswer, model_id: str | None, parts: Sequence[Part]) -> None:
        """A worker that died before it said a word is asked again once it is back; after a word nothing is repeated."""
        for attempt in (1, 2):
            endpoint = await self._host.ensure_ready(model_id)
            live.sent_to(endpoint)
            try:
                await self._stream(live, endpoint, parts)
                return
            except WorkerError as error:
                cause = await self._host.explain_loss(endpoint) or error
                if live.has_text or attempt == 2:
                    raise cause from error

    async def _stream(self, live: LiveAnswer, endpoint: Endpoint, parts: Sequence[Part]) -> None:
        prompt = messages_of(parts)
        count = await self._provider.count_tokens(endpoint, prompt)
        refuse_overflow(ContextUse(count, endpoint.n_ctx, exact=True))
        values = self._settings.values
        sampling = Sampling(values.temperature, values.top_p, values.repeat_penalty, values.max_tokens, logprobs=True)
        watch = AnswerWatch(asked_of(parts), count, endpoint.n_ctx, values.routing, attached_tokens(parts))
        self._note(live, watch)
        circles = RepetitionWatch()
        async with aclosing(self._provider.stream(endpoint, prompt, sampling, live.conversation_id)) as chunks:
            async for chunk in chunks:
                live.take(chunk)
                if watch.take(chunk):
                    self._note(live, watch)
                if circles.take(chunk.text or chunk.reasoning):
                    raise repeating()

    def _note(self, live: LiveAnswer, watch: AnswerWatch) -> None:
        if watch.flag is not None:
            live.flag(watch.flag)
