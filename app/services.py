"""What the window and the command line may ask of the product.

All coroutines run in the core thread. Errors of the environment are raised as ``engine.errors.GatehouseError``.
The implementations are ``app.chat.service`` and ``app.models.service``; tests of the window use doubles of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from app.bus import Bus
from app.chat.records import ContextUse, Conversation, SearchHit, Transcript
from app.models.records import LoadedModel, ModelCard
from app.settings import Settings
from engine.fit.plan import Misfit, Plan, Wish
from engine.hardware.profile import Machine


class ChatApi(Protocol):
    """Conversations and answers."""

    async def conversations(self) -> Sequence[Conversation]:
        """All that are not deleted: pinned first, then the latest first."""

    async def open(self, conversation_id: str) -> Transcript: ...

    async def create(self, model_id: str | None = None) -> Conversation: ...

    async def rename(self, conversation_id: str, title: str) -> None: ...

    async def pin(self, conversation_id: str, pinned: bool) -> None: ...

    async def set_system_prompt(self, conversation_id: str, text: str) -> None: ...

    async def delete(self, conversation_id: str) -> None:
        """Hide it; ``undelete`` brings it back until the app's next start purges it."""

    async def undelete(self, conversation_id: str) -> None: ...

    async def send(self, conversation_id: str | None, text: str) -> str:
        """Store the message and start its answer; returns the answer's id. ``None`` starts a conversation."""

    async def edit(self, message_id: str, text: str) -> str:
        """A sibling of a person's message with other text, and its answer; returns the answer's id."""

    async def regenerate(self, message_id: str) -> str:
        """A new sibling of an answer; returns its id."""

    async def stop(self, message_id: str) -> None: ...

    async def choose_branch(self, message_id: str, step: int = 0) -> None:
        """Make the branch through this message, or through its sibling ``step`` places on, the chosen one."""

    async def search(self, words: str, limit: int = 50) -> Sequence[SearchHit]: ...

    async def measure(self, conversation_id: str | None, draft: str) -> ContextUse:
        """What the next prompt would take of the context."""


class ModelsApi(Protocol):
    """Models on disk and the one that is loaded."""

    async def models(self) -> Sequence[ModelCard]: ...

    async def add_file(self, path: Path) -> ModelCard:
        """Use a file in place. Raises ``ModelFileError`` with the fault."""

    async def remove(self, model_id: str) -> None:
        """Forget a file used in place (the file stays)."""

    async def plan(self, model_id: str, wish: Wish) -> Plan | Misfit:
        """What loading would take, against what is free now."""

    async def load(self, model_id: str, wish: Wish | None = None) -> None:
        """Load it, replacing the loaded one; progress comes as ``LoadedModelChanged``."""

    async def unload(self) -> None: ...

    def loaded(self) -> LoadedModel: ...

    async def machine(self, refresh: bool = False) -> Machine: ...


@dataclass(frozen=True, slots=True)
class Services:
    """The wired product."""

    bus: Bus
    chat: ChatApi
    models: ModelsApi
    settings: Settings
