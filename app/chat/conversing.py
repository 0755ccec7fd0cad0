"""Answers that are being written: one task each, from their first step to the saved end.

Runs in the core thread. Knows nothing of rows or branches, which are ``app.chat.service``'s, nor of who writes: that is
``app.chat.local_answer``'s or the gate's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from app.chat.answer import LiveAnswer
from app.chat.records import Message, MessageStatus
from app.chat.saver import AnswerSaver
from engine.errors import GatehouseError

_log = logging.getLogger(__name__)

APP_CLOSED = "Gatehouse was closed while this was being written."
_BUG = "Something in Gatehouse went wrong while this was being written; the log has the details."


Write = Callable[[LiveAnswer], Awaitable[None]]
"""Writes an answer to its end. Raises ``GatehouseError`` when it breaks off."""


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
        saver: AnswerSaver,
        finished: Callable[[Message], Awaitable[None]],
    ) -> None:
        self._saver = saver
        self._finished = finished
        self._running: dict[str, _Running] = {}

    def start(self, live: LiveAnswer, write: Write) -> None:
        """Begin writing, in a task of the answer's own."""
        loop = asyncio.get_running_loop()
        task = loop.create_task(self._write(live, write), name=f"answer-{live.id}")
        self._running[live.id] = _Running(live, task)

    @property
    def busy(self) -> bool:
        """Whether any answer is being written."""
        return bool(self._running)

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

    async def _write(self, live: LiveAnswer, write: Write) -> None:
        running = self._running[live.id]
        try:
            await write(live)
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


def _ending(live: LiveAnswer) -> MessageStatus:
    return MessageStatus.INTERRUPTED if live.has_text else MessageStatus.FAILED
