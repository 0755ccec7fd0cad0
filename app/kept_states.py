"""Kept states as the product sees them: where they lie, under which key, and that a deleted conversation leaves none.

Their key is derived from the store's; while the store is plain there is none, and nothing is kept. Writing and reading
them is the worker's (``engine.serving.kept``); here is only what needs the settings and the key.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from app.paths import Paths
from app.providers.provider import Endpoint, Provider
from app.settings import Settings
from engine.errors import GatehouseError
from engine.worker.spec import KeptStates

PURPOSE: Final = "kept states"

_log = logging.getLogger(__name__)


class KeptConversations:
    """Tells workers how to keep states, and forgets conversations. The core thread only."""

    def __init__(
        self, paths: Paths, settings: Settings, provider: Provider, derive: Callable[[str], bytes | None]
    ) -> None:
        self._paths = paths
        self._settings = settings
        self._provider = provider
        self._derive = derive
        self.endpoint: Callable[[], Endpoint | None] = lambda: None
        """Where the present worker answers; set by the wiring, which makes the models' service after this."""

    async def for_worker(self) -> KeptStates | None:
        """What a new worker is told; ``None`` when nothing is to be kept, or no vault is there to seal it."""
        budget_bytes = self._settings.values.kept_states_budget_bytes
        if budget_bytes <= 0:
            return None
        key = self._derive(PURPOSE)
        return KeptStates(self._paths.kept_states, budget_bytes, key.hex()) if key is not None else None

    async def forget(self, conversation_id: str) -> None:
        """Leave nothing of a conversation, in the worker's memory or on disk. Never fails: the rest is logged."""
        endpoint = self.endpoint()
        if endpoint is not None:
            try:
                await self._provider.forget(endpoint, conversation_id)
            except GatehouseError as error:
                _log.info("The worker could not be told to forget a conversation: %s", error.sentence)
        folder = self._paths.kept_states
        if not await asyncio.to_thread(folder.is_dir):
            return
        key = self._derive(PURPOSE)
        if key is not None:
            await asyncio.to_thread(_remove, folder, key, conversation_id)


def _remove(folder: Path, key: bytes, conversation_id: str) -> None:
    from engine.serving.kept.form import remove_owned

    try:
        remove_owned(folder, key, conversation_id)
    except OSError as error:
        _log.warning("The kept states of a deleted conversation could not be removed: %s", error.strerror or error)
