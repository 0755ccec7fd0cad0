"""Tells the window what retention has taken away, and makes sure that nothing of it is left outside the store."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from app.bus import Bus
from app.documents.batch_records import Batch
from app.documents.review_records import AttachedDocument
from app.events import AttachmentChanged, BatchChanged, BatchRemoved, ConversationDeleted, FilesAdded


@dataclass(frozen=True, slots=True)
class Gone:
    """What a removal took out of the lists that a window shows."""

    count: int = 0
    conversations: tuple[tuple[str, str], ...] = ()
    """Id and title."""
    batches: tuple[tuple[str, str], ...] = ()
    """Id and title; also of those that lost their last file."""
    thinned: tuple[Batch, ...] = ()
    """Batches that are still there, with fewer results."""
    detached: tuple[AttachedDocument, ...] = ()
    """Documents that conversations had."""


@dataclass(frozen=True, slots=True)
class Telling:
    """To be called in the core thread, once the rows are gone."""

    bus: Bus
    forget: Callable[[str], Awaitable[None]]
    """Of a conversation: what a worker keeps."""

    async def __call__(self, gone: Gone) -> None:
        for conversation_id, title in gone.conversations:
            await self.forget(conversation_id)
            self.bus.publish(ConversationDeleted(conversation_id, title, for_good=True))
        for batch_id, title in gone.batches:
            self.bus.publish(BatchRemoved(batch_id, title, for_good=True))
        for batch in gone.thinned:
            self.bus.publish(FilesAdded(batch.id, 0))
            self.bus.publish(BatchChanged(batch))
        for attached in gone.detached:
            self.bus.publish(AttachmentChanged(attached, removed=True))
