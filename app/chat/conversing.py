"""Answers that are being written: one task each, from the ready model to the saved end.

Runs in the core thread. Knows nothing of rows or branches; those are ``app.chat.service``'s.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol

from app.chat.answer import LiveAnswer
from app.chat.prompt import refuse_overflow
from app.chat.records import ContextUse, Message, MessageStatus
from app.chat.saver import AnswerSaver
from app.providers.provider import Endpoint, PromptMessage, Provider, Sampling
from app.settings import Settings
from engine.errors import GatehouseError, WorkerError

_log = logging.getLogger(__name__)

APP_CLOSED = "Gatehouse was closed while this was being written."
_BUG = "Something in Gatehouse went wrong while this was being written; the log has the details."


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


MakePrompt = Callable[[], Awaitable[Sequence[PromptMessage]]]


@dataclass(slots=True)
class _Running:
    live: LiveAnswer
    task: asyncio.Task[None]
    ended_as: MessageStatus = MessageStatus.STOPPED
    """What a cancelled answer becomes."""
    sentence: str = ""
    ending: asyncio.Task[None] | None = None


class Conversing:
    """Starts, stops and ends answers; several at once."""

    def __init__(
        self,
        host: ModelHost,
        provider: Provider,
        settings: Settings,
        saver: AnswerSaver,
        finished: Callable[[Message], Awaitable[None]],
    ) -> None:
        self._host = host
        self._provider = provider
        self._settings = settings
        self._saver = saver
        self._finished = finished
        self._running: dict[str, _Running] = {}

    def start(self, live: LiveAnswer, model_id: str | None, make_prompt: MakePrompt) -> None:
        """Begin writing; the prompt is made in the answer's own task."""
        loop = asyncio.get_running_loop()
        task = loop.create_task(self._write(live, model_id, make_prompt), name=f"answer-{live.id}")
        self._running[live.id] = _Running(live, task)

    def is_running(self, message_id: str) -> bool:
        return message_id in self._running

    def snapshot(self) -> dict[str, Message]:
        """All running answers as they are now; what they had not published yet is published first."""
        for running in self._running.values():
            running.live.flush()
        return {message_id: running.live.message() for message_id, running in self._running.items()}

    async def stop(self, message_id: str) -> None:
        """End one answer, keeping its text; returns when it is saved. Does nothing when it is not running."""
        running = self._running.get(message_id)
        if running is None:
            return
        if running.ending is None:
            running.task.cancel()
            await asyncio.wait([running.task])
            # A task that is cancelled before its first step never ran its own ending.
            self._begin_end(running, running.ended_as, running.sentence)
        if running.ending is not None:
            await asyncio.shield(running.ending)

    async def stop_all(self, conversation_id: str) -> None:
        chosen = [key for key, running in self._running.items() if running.live.conversation_id == conversation_id]
        await asyncio.gather(*(self.stop(message_id) for message_id in chosen))

    async def close(self) -> None:
        """End all answers as interrupted."""
        for running in self._running.values():
            running.ended_as, running.sentence = MessageStatus.INTERRUPTED, APP_CLOSED
        await asyncio.gather(*(self.stop(message_id) for message_id in list(self._running)))

    async def _write(self, live: LiveAnswer, model_id: str | None, make_prompt: MakePrompt) -> None:
        running = self._running[live.id]
        try:
            await self._stream_with_one_retry(live, model_id, await make_prompt())
        except asyncio.CancelledError:
            self._begin_end(running, running.ended_as, running.sentence)
        except GatehouseError as error:
            self._begin_end(running, _ending(live), str(error))
        except Exception:  # noqa: BLE001 - a bug of ours must not take the text with it; it is logged
            _log.exception("An answer was ended by a bug.")
            self._begin_end(running, _ending(live), _BUG)
        else:
            self._begin_end(running, MessageStatus.COMPLETE, "")

    def _begin_end(self, running: _Running, status: MessageStatus, sentence: str) -> None:
        """Save and announce in a task of its own, which no cancel of the answer cuts short."""
        if running.ending is None:
            loop = asyncio.get_running_loop()
            running.ending = loop.create_task(self._end(running.live, status, sentence))

    async def _end(self, live: LiveAnswer, status: MessageStatus, sentence: str) -> None:
        message = live.end(status, sentence)
        await self._saver.finish(message)
        del self._running[live.id]
        await self._finished(message)

    async def _stream_with_one_retry(
        self, live: LiveAnswer, model_id: str | None, prompt: Sequence[PromptMessage]
    ) -> None:
        """A worker that died before it said a word is asked again once it is back; after a word nothing is repeated."""
        for attempt in (1, 2):
            endpoint = await self._host.ensure_ready(model_id)
            live.sent_to(endpoint)
            try:
                await self._stream(live, endpoint, prompt)
                return
            except WorkerError as error:
                cause = await self._host.explain_loss(endpoint) or error
                if live.has_text or attempt == 2:
                    raise cause from error

    async def _stream(self, live: LiveAnswer, endpoint: Endpoint, prompt: Sequence[PromptMessage]) -> None:
        count = await self._provider.count_tokens(endpoint, prompt)
        refuse_overflow(ContextUse(count, endpoint.n_ctx, exact=True))
        values = self._settings.values
        sampling = Sampling(values.temperature, values.top_p, values.repeat_penalty, values.max_tokens)
        async with aclosing(self._provider.stream(endpoint, prompt, sampling, live.conversation_id)) as chunks:
            async for chunk in chunks:
                live.take(chunk)


def _ending(live: LiveAnswer) -> MessageStatus:
    return MessageStatus.INTERRUPTED if live.has_text else MessageStatus.FAILED
