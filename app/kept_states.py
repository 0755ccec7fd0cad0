"""Kept states as the product sees them: where they lie, under which key, and that a deleted conversation leaves none.

Writing and reading them is the worker's (``engine.serving.kept``); here is only what needs the settings and the key.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from app.paths import Paths
from app.providers.provider import Endpoint, Provider
from app.secrets import StoreKey, read_or_make
from app.settings import Settings
from engine.errors import GatehouseError
from engine.worker.spec import KeptStates

_log = logging.getLogger(__name__)


class KeptConversations:
    """Tells workers how to keep states, and forgets conversations. The core thread only."""

    def __init__(self, paths: Paths, settings: Settings, provider: Provider) -> None:
        self._paths = paths
        self._settings = settings
        self._provider = provider
        self._key: StoreKey | None = None
        self.endpoint: Callable[[], Endpoint | None] = lambda: None
        """Where the present worker answers; set by the wiring, which makes the models' service after this."""

    async def for_worker(self) -> KeptStates | None:
        """What a new worker is told; ``None`` when nothing is to be kept, or the key cannot be had."""
        budget_bytes = self._settings.values.kept_states_budget_bytes
        if budget_bytes <= 0:
            return None
        key = await self._read_key()
        return KeptStates(self._paths.kept_states, budget_bytes, key.key.hex()) if key is not None else None

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
        key = await self._read_key()
        if key is not None:
            await asyncio.to_thread(_remove, folder, key.key, conversation_id)

    async def _read_key(self) -> StoreKey | None:
        if self._key is None:
            self._key = await asyncio.to_thread(read_or_make, self._paths.data)
        return self._key


def _remove(folder: Path, key: bytes, conversation_id: str) -> None:
    from engine.serving.kept.form import remove_owned

    try:
        remove_owned(folder, key, conversation_id)
    except OSError as error:
        _log.warning("The kept states of a deleted conversation could not be removed: %s", error.strerror or error)
