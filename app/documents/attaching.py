"""Documents in conversations: attached, read in the background, unlocked, taken off, cited.

What of them goes into a prompt is ``app.chat.attachments``'s; rows are ``app.store.attachments``'s.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from app.documents.faults import DocumentError
from app.documents.kit import Kit
from app.documents.passages import cut
from app.documents.review_records import AttachedDocument, AttachmentState, Citation
from app.events import AttachmentChanged
from app.models.records import Outlook
from app.store import attachments, conversations, documents, messages, passages
from app.store.database import Connection
from engine.errors import GatehouseError, RequestError

_log = logging.getLogger(__name__)

_CITED = re.compile(r"\[(\d{1,5}(?:\s*[,;]\s*\d{1,5})*)\]")
_MOST_CITED = 60
_CAUTION = 8 / 7
"""Prompts reckon with shorter tokens than is told of a document."""
ANSWER_SHARE = 0.25
"""Of a context, kept free for the answer."""
_BUG = "Something in Gatehouse went wrong with this file; the log has the details."


AskOutlook = Callable[[], Awaitable[Outlook | None]]
"""How passages of long documents are looked up; ``None`` where there is nothing to say."""


class Attaching:
    """The part of ``DocumentsApi`` that puts documents into conversations."""

    def __init__(
        self, kit: Kit, expected_n_ctx: Callable[[], int] | None = None, outlook: AskOutlook | None = None
    ) -> None:
        self._expected_n_ctx = expected_n_ctx
        self._outlook = outlook
        self._kit = kit
        self._reading: dict[str, asyncio.Task[None]] = {}

    async def take_up(self) -> None:
        """Read what a dead process was reading."""
        for attached in await self._kit.lane.read(attachments.unread):
            self._begin(attached, None)

    async def end_reading(self) -> None:
        """What is not read yet is taken up at the next start."""
        tasks = list(self._reading.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def attach(self, conversation_id: str, paths: Sequence[Path]) -> Sequence[AttachedDocument]:
        made = []
        for path in paths:
            absolute = await asyncio.to_thread(path.absolute)
            attached = AttachedDocument(uuid.uuid4().hex, conversation_id, absolute, AttachmentState.READING)
            made.append(await self._insert(attached))
            self._begin(attached, None)
        return tuple(made)

    async def attach_documents(self, conversation_id: str, document_ids: Sequence[str]) -> Sequence[AttachedDocument]:
        made = []
        for document_id in document_ids:
            document = await self._kit.lane.read(partial(documents.get, document_id=document_id))
            key, state = uuid.uuid4().hex, AttachmentState.READY
            made.append(await self._insert(AttachedDocument(key, conversation_id, document.path, state, document_id)))
        return tuple(made)

    async def attachments(self, conversation_id: str) -> Sequence[AttachedDocument]:
        items = await self._kit.lane.read(lambda connection: attachments.of_conversation(connection, conversation_id))
        if self._expected_n_ctx is None:
            return items
        sizes = [item.tokens for item in items if item.tokens is not None]
        whole = sum(sizes) * _CAUTION <= self._expected_n_ctx() * (1 - ANSWER_SHARE)
        how = await self._outlook() if self._outlook is not None and sizes and not whole else None
        return tuple(replace(item, whole=whole, outlook=how) if item.tokens is not None else item for item in items)

    async def detach(self, attachment_id: str) -> None:
        task = self._reading.pop(attachment_id, None)
        if task is not None:
            task.cancel()
        gone = await self._kit.lane.write(lambda connection: attachments.remove(connection, attachment_id))
        self._kit.bus.publish(AttachmentChanged(gone, removed=True))

    async def unlock(self, attachment_id: str, password: str) -> None:
        attached = await self._kit.lane.read(lambda connection: attachments.get(connection, attachment_id))
        if attached.state is AttachmentState.READY or attachment_id in self._reading:
            return
        await self._settle(attachment_id, AttachmentState.READING)
        self._begin(attached, password)

    async def citations(self, message_id: str) -> Sequence[Citation]:
        def work(connection: Connection) -> tuple[Citation, ...]:
            answer = messages.get(connection, message_id)
            numbers = cited_numbers(answer.text) if answer.role == "assistant" else ()
            found = []
            for number, (document_id, start, end) in attachments.cited(connection, answer.conversation_id, numbers):
                document = documents.get(connection, document_id)
                reading = documents.reading(connection, document_id)
                places = reading.places(start, end)
                page = places[0].page if places else reading.page_at(start).number
                boxes = tuple(place.box for place in places if place.page == page)
                text = reading.text[start:end]
                found.append(Citation(number, document_id, document.name, page, start, end, text, boxes))
            return tuple(found)

        return await self._kit.lane.read(work)

    async def ready(self, conversation_id: str) -> tuple[AttachedDocument, ...]:
        """A conversation's documents, once they are read.

        Raises ``RequestError`` when one cannot be used: nobody is asked about half of what was attached.
        """
        attached = await self.attachments(conversation_id)
        waiting = [self._reading[one.id] for one in attached if one.id in self._reading]
        if waiting:
            await asyncio.wait(waiting)
            attached = await self.attachments(conversation_id)
        for one in attached:
            if one.state is not AttachmentState.READY:
                why = one.sentence or "It was not read."
                hint = "Enter its password, or take it off." if one.state is AttachmentState.NEEDS_PASSWORD else ""
                raise RequestError("attachment_unread", f"{one.name} cannot be used. {why}", hint or "Take it off.")
        return tuple(attached)

    async def _insert(self, attached: AttachedDocument) -> AttachedDocument:
        def work(connection: Connection) -> AttachedDocument:
            conversations.get(connection, attached.conversation_id)  # names what is missing
            return attachments.insert(connection, attached, time.time())

        inserted = await self._kit.lane.write(work)
        self._kit.bus.publish(AttachmentChanged(inserted))
        return inserted

    def _begin(self, attached: AttachedDocument, password: str | None) -> None:
        task = asyncio.get_running_loop().create_task(self._read(attached, password), name=f"attach-{attached.id}")
        self._reading[attached.id] = task
        task.add_done_callback(lambda _: self._reading.pop(attached.id, None))

    async def _read(self, attached: AttachedDocument, password: str | None) -> None:
        try:
            await self._read_and_keep(attached, password)
        except DocumentError as error:
            state = AttachmentState.NEEDS_PASSWORD if error.wants_password else AttachmentState.FAILED
            await self._settle(attached.id, state, str(error))
        except GatehouseError as error:
            await self._settle(attached.id, AttachmentState.FAILED, str(error))
        except Exception:  # noqa: BLE001 - a bug of ours becomes a sentence at the file; it is logged
            _log.exception("Reading an attached document was ended by a bug.")
            await self._settle(attached.id, AttachmentState.FAILED, _BUG)

    async def _read_and_keep(self, attached: AttachedDocument, password: str | None) -> None:
        reading = await self._kit.readers.read(attached.path, password)
        if password is not None and reading.password:
            self._kit.passwords[reading.sha256] = password

        def keep(connection: Connection) -> AttachedDocument | None:
            label = conversations.get(connection, attached.conversation_id).label
            document = documents.keep(connection, reading, attached.path, label, time.time())
            passages.replace(connection, document.id, cut(reading))
            return attachments.settle(connection, attached.id, AttachmentState.READY, "", document.id)

        settled = await self._kit.lane.write(keep)
        if settled is not None:
            self._kit.bus.publish(AttachmentChanged(settled))

    async def _settle(self, attachment_id: str, state: AttachmentState, sentence: str = "") -> None:
        settled = await self._kit.lane.write(
            lambda connection: attachments.settle(connection, attachment_id, state, sentence)
        )
        if settled is not None:
            self._kit.bus.publish(AttachmentChanged(settled))


def cited_numbers(text: str) -> tuple[int, ...]:
    """The numbers that an answer cites, each once, in order: of ``[3]`` and ``[1, 4]``."""
    found = [int(number) for group in _CITED.findall(text) for number in re.findall(r"\d+", group)]
    return tuple(dict.fromkeys(found))[:_MOST_CITED]
