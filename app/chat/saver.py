"""Saves growing answers each second and finished ones at once, and keeps trying when the disk refuses.

Runs in the core thread. Nothing is dropped: what could not be written stays here, and so on the screen, until it is.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from app.chat.answer import LiveAnswer
from app.chat.records import Message
from app.events import NoticeRaised
from app.lanes import StoreLane
from app.store import conversations, messages
from app.store.database import Connection
from engine.errors import StoreError

SAVE_EVERY_S = 0.75
"""With the time that a write itself takes this stays below the promised second."""

RETRY_EVERY_S = 2.0


class AnswerSaver:
    """One transaction a tick for all answers that changed, however many stream."""

    def __init__(self, lane: StoreLane, raise_notice: Callable[[NoticeRaised], None]) -> None:
        self._lane = lane
        self._raise_notice = raise_notice
        self._growing: dict[str, LiveAnswer] = {}
        self._finished: dict[str, Message] = {}
        self._task: asyncio.Task[None] | None = None
        self._failing = False

    @property
    def unsaved(self) -> dict[str, Message]:
        """Finished answers that the disk has not taken yet, by id."""
        return dict(self._finished)

    def note(self, answer: LiveAnswer) -> None:
        """An answer has new text."""
        self._growing[answer.id] = answer
        self._wake()

    async def finish(self, message: Message) -> None:
        """Save an answer's end; when the disk refuses, keep it and go on trying."""
        self._growing.pop(message.id, None)
        self._finished[message.id] = message
        await self._save()
        self._wake()

    async def close(self) -> None:
        """End the ticking and try once more to save what is left."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await self._save()

    def _wake(self) -> None:
        if (self._growing or self._finished) and (self._task is None or self._task.done()):
            self._task = asyncio.get_running_loop().create_task(self._tick(), name="save-answers")

    async def _tick(self) -> None:
        while self._growing or self._finished:
            await asyncio.sleep(RETRY_EVERY_S if self._failing else SAVE_EVERY_S)
            await self._save()

    async def _save(self) -> None:
        growing, self._growing = self._growing, {}
        batch = [answer.message() for answer in growing.values()] + list(self._finished.values())
        if not batch:
            return
        try:
            await self._lane.write(lambda connection: _write(connection, batch))
        except StoreError as error:
            for answer in growing.values():
                if answer.id not in self._finished:
                    self._growing[answer.id] = answer
            self._tell(error)
            return
        self._failing = False
        for message in batch:
            if self._finished.get(message.id) is message:
                del self._finished[message.id]

    def _tell(self, error: StoreError) -> None:
        if not self._failing:
            self._failing = True
            self._raise_notice(NoticeRaised("error", error.code, error.sentence, error.hint))


def _write(connection: Connection, batch: Sequence[Message]) -> None:
    for message in batch:
        messages.save_answer(connection, message)
        if message.stats is not None:
            conversations.touch(connection, message.conversation_id, time.time(), message.model_id)
