"""What the Chat page asks of the services, one method an errand; answers come back in Qt's thread.

Without a callback for errors they become notices. Decides nothing; what an answer changes is the page's.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from PySide6.QtWidgets import QWidget

from app.chat.records import ContextUse, Conversation, SearchHit, Transcript
from app.gate.label import DEFAULT_LABEL, DEFAULT_MODE, GateMode, Label
from app.models.records import ModelCard
from engine.errors import GatehouseError
from engine.fit.plan import Wish
from ui.desk import Desk

Refused = Callable[[GatehouseError], None]


@dataclass(frozen=True, slots=True)
class Beginning:
    """What was chosen for a conversation before it exists."""

    system_prompt: str = ""
    mode: GateMode = DEFAULT_MODE
    label: Label = DEFAULT_LABEL


class Errands:
    """``owner`` is the page: when it is gone nothing comes back."""

    def __init__(self, desk: Desk, owner: QWidget) -> None:
        self._chat, self._models, self._settings = desk.services.chat, desk.services.models, desk.services.settings
        self._gate = desk.services.gate
        self._bridge = desk.bridge
        self._owner = owner
        self._measuring: concurrent.futures.Future[ContextUse] | None = None

    # Conversations.

    def list_conversations(self, show: Callable[[Sequence[Conversation]], None]) -> None:
        self._bridge.call(self._chat.conversations, show, owner=self._owner)

    def open(self, conversation_id: str, show: Callable[[Transcript], None], refused: Refused) -> None:
        self._bridge.call(lambda: self._chat.open(conversation_id), show, refused, owner=self._owner)

    def rename(self, conversation_id: str, title: str) -> None:
        self._run(lambda: self._chat.rename(conversation_id, title))

    def pin(self, conversation_id: str, pinned: bool) -> None:
        self._run(lambda: self._chat.pin(conversation_id, pinned))

    def set_system_prompt(self, conversation_id: str, prompt: str) -> None:
        self._run(lambda: self._chat.set_system_prompt(conversation_id, prompt))

    def delete(self, conversation_id: str) -> None:
        self._run(lambda: self._chat.delete(conversation_id))

    def undelete(self, conversation_id: str, done: Callable[[], None]) -> None:
        self._bridge.call(lambda: self._chat.undelete(conversation_id), lambda _none: done(), owner=self._owner)

    def search(self, words: str, show: Callable[[Sequence[SearchHit]], None]) -> None:
        self._bridge.call(lambda: self._chat.search(words), show, owner=self._owner)

    def remember(self, conversation_id: str) -> None:
        """Where one was, for the next start."""

        async def work() -> None:
            try:
                await asyncio.to_thread(self._settings.update, last_conversation_id=conversation_id)
            except OSError:
                return  # where one was is not worth a notice; the next start opens a new chat

        self._run(work)

    # Messages.

    def send(
        self, conversation_id: str | None, begin: Beginning, text: str, sent: Callable[[], None], refused: Refused
    ) -> None:
        """``None`` begins a conversation, as ``begin`` says."""

        async def work() -> None:
            key = conversation_id
            if key is None and begin != Beginning():
                key = await self._create(begin)
            await self._chat.send(key, text)

        self._bridge.call(work, lambda _none: sent(), refused, owner=self._owner)

    def begin(self, begin: Beginning, begun: Callable[[str], None]) -> None:
        """Make a conversation in which nothing was said yet; ``begun`` gets its id."""
        self._bridge.call(lambda: self._create(begin), begun, owner=self._owner)

    async def _create(self, begin: Beginning) -> str:
        key = (await self._chat.create()).id
        if begin.label is not DEFAULT_LABEL:
            await self._gate.set_label(key, begin.label)
        if begin.mode is not DEFAULT_MODE:
            await self._gate.set_mode(key, begin.mode)
        if begin.system_prompt:
            await self._chat.set_system_prompt(key, begin.system_prompt)
        return key

    def edit(self, message_id: str, text: str) -> None:
        self._run(lambda: self._chat.edit(message_id, text))

    def regenerate(self, message_id: str) -> None:
        self._run(lambda: self._chat.regenerate(message_id))

    def choose_branch(self, message_id: str, step: int) -> None:
        self._run(lambda: self._chat.choose_branch(message_id, step))

    def stop(self, message_id: str) -> None:
        self._run(lambda: self._chat.stop(message_id))

    def measure(self, conversation_id: str | None, draft: str, show: Callable[[ContextUse | None], None]) -> None:
        """What the next prompt takes; only the latest question is answered, a failure with ``None``."""
        if self._measuring is not None:
            self._measuring.cancel()
        self._measuring = self._bridge.call(
            lambda: self._chat.measure(conversation_id, draft), show, lambda _error: show(None), owner=self._owner
        )

    # Models.

    def list_models(self, show: Callable[[Sequence[ModelCard]], None]) -> None:
        self._bridge.call(self._models.models, show, owner=self._owner)

    def load(self, model_id: str, wish: Wish | None, refused: Refused) -> None:
        self._bridge.call(lambda: self._models.load(model_id, wish), None, refused, owner=self._owner)

    def _run(self, make: Callable[[], Coroutine[Any, Any, object]]) -> None:
        self._bridge.call(make, owner=self._owner)
