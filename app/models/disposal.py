"""Removing models so that it can be undone: files used in place are forgotten, our own lie in the trash for a while."""

from __future__ import annotations

import asyncio
import uuid

from app.models.downloads import UNDO_S
from app.models.records import ModelCard, Removed
from app.models.shelf import Shelf
from engine.errors import ModelFileError
from engine.gguf.split import model_stem
from engine.hub import trash
from engine.hub.trash import Trashed
from engine.hub.verify import RECEIPT_SUFFIX


class Disposal:
    """Use it in the core thread."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._forgotten: dict[str, ModelCard] = {}
        self._trashed: dict[str, tuple[Trashed, asyncio.TimerHandle]] = {}
        self._emptying: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """What an earlier run deleted is gone for good now."""
        await asyncio.to_thread(trash.empty, self._shelf.folder)

    async def close(self) -> None:
        for _, timer in self._trashed.values():
            timer.cancel()
        if self._trashed:
            self._trashed.clear()
            await asyncio.to_thread(trash.empty, self._shelf.folder)

    async def remove(self, card: ModelCard) -> Removed:
        """Raises ``ModelFileError`` for what is not ours to remove, ``HubError`` when the disk refuses."""
        if card.built_in:
            raise ModelFileError("built_in", f"{card.name} came with the set-up and stays.")
        if card.holder:
            raise ModelFileError(
                "not_ours", f"{card.name} belongs to {card.holder}.", f"Delete it there; {card.holder} keeps its list."
            )
        if not card.managed:
            await self._shelf.forget(card)
            token = uuid.uuid4().hex
            self._forgotten[token] = card
            return Removed(token, card.name, 0)
        files = await self._shelf.files_of(card)
        receipt = card.path.with_name(f"{model_stem(card.path)}{RECEIPT_SUFFIX}")
        trashed = await asyncio.to_thread(trash.put_away, self._shelf.folder, (*files, receipt))
        timer = asyncio.get_running_loop().call_later(UNDO_S, self._empty, trashed.id)
        self._trashed[trashed.id] = (trashed, timer)
        return Removed(trashed.id, card.name, card.size_bytes)

    async def restore(self, token: str) -> None:
        """Raises ``ModelFileError`` when the time is over."""
        card = self._forgotten.pop(token, None)
        if card is not None:
            await self._shelf.add(card.path)
            return
        if token not in self._trashed:
            raise ModelFileError("gone", "The model was deleted for good already.", "Download it again.")
        trashed, timer = self._trashed.pop(token)
        timer.cancel()
        await asyncio.to_thread(trash.put_back, self._shelf.folder, trashed)

    def _empty(self, identity: str) -> None:
        self._trashed.pop(identity, None)
        task = asyncio.get_running_loop().create_task(asyncio.to_thread(trash.empty, self._shelf.folder, identity))
        self._emptying.add(task)
        task.add_done_callback(self._emptying.discard)
