"""Documents, pages, values and what people decide about them: the part of ``DocumentsApi`` that a reviewer works with.

Each decision is one step in the store, which ``undo`` takes back. Rows are ``app.store.extractions``'s, what a box or a
typed text means is ``app.documents.taking``'s.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Sequence

from app.documents import taking
from app.documents.announcing import Announcer
from app.documents.batch_records import BatchFile
from app.documents.faults import DocumentError
from app.documents.kit import Kit
from app.documents.records import Box, Reading
from app.documents.review_records import BoxText, Document, Result, Review, ReviewAction, ReviewedValue
from app.events import FileChanged, ValueChanged
from app.extraction.schema import FieldType, Schema
from app.extraction.schema_packing import unpack_schema
from app.gate.label import Label
from app.store import batches, documents, extractions
from app.store.database import Connection
from app.store.extractions import Decision
from engine.errors import RequestError, StoreError

_KEPT_PICTURES = 6
_TRIAL_PX = 200
_LONGEST_CHARACTERS = 20_000
"""Of what a person may type for one value."""


class Reviews:
    """One document after the other, one value after the other."""

    def __init__(self, kit: Kit, announcer: Announcer) -> None:
        self._kit = kit
        self._announcer = announcer
        self._pictures: OrderedDict[tuple[str, int, int], bytes] = OrderedDict()

    async def document(self, document_id: str) -> Document:
        return await self._kit.lane.read(lambda connection: documents.get(connection, document_id))

    async def reading(self, document_id: str) -> Reading:
        return await self._kit.lane.read(lambda connection: documents.reading(connection, document_id))

    async def page_picture(self, document_id: str, page: int, width_px: int) -> bytes:
        """From a file that still has the bytes that were read. Raises ``DocumentError`` when there is none."""
        key = (document_id, page, width_px)
        if key not in self._pictures:
            self._pictures[key] = await self._draw(document_id, page, width_px)
            while len(self._pictures) > _KEPT_PICTURES:
                self._pictures.popitem(last=False)
        self._pictures.move_to_end(key)
        return self._pictures[key]

    def forget(self) -> None:
        """The app is locked, or documents were removed: no picture of a page stays in memory."""
        self._pictures.clear()

    async def unlock_document(self, document_id: str, password: str) -> None:
        where = await self._kit.lane.read(lambda connection: taking.whereabouts(connection, document_id))
        self._kit.passwords[where.sha256] = password
        try:
            await self._draw(document_id, 1, _TRIAL_PX)
        except DocumentError:
            del self._kit.passwords[where.sha256]
            raise

    async def set_document_label(self, document_id: str, label: Label) -> None:
        await self._kit.lane.write(lambda connection: documents.set_label(connection, document_id, label))

    async def result(self, file_id: str) -> Result:
        def work(connection: Connection) -> Result:
            file = batches.file(connection, file_id)
            stored = extractions.load(connection, file_id)
            if stored is None:
                raise StoreError("not_extracted", "This file has no values yet.")
            return Result(
                file=file,
                document=documents.get(connection, stored.document_id),
                schema=unpack_schema(batches.schema_body(connection, file.batch_id)),
                values=stored.values,
                model=stored.model,
                timings=stored.timings,
                notes=stored.notes,
                undoable=stored.undoable,
            )

        return await self._kit.lane.read(work)

    async def accept(self, file_id: str, name: str) -> ReviewedValue:
        result = await self.result(file_id)
        return (await self._decide(result, [_acceptance(_named(result, name))]))[0]

    async def accept_all(self, file_id: str) -> Sequence[ReviewedValue]:
        result = await self.result(file_id)
        waiting = [_acceptance(item) for item in result.values if item.review is None]
        return await self._decide(result, waiting) if waiting else ()

    async def correct(self, file_id: str, name: str, text: str) -> ReviewedValue:
        if len(text) > _LONGEST_CHARACTERS:
            raise RequestError("too_long", f"{len(text):,} characters are more than a value may have.")
        result = await self.result(file_id)
        reading = await self.reading(result.document.id)
        taken = await asyncio.to_thread(taking.from_text, result.schema, name, text, reading)
        return (await self._decide(result, [_decision(result, name, ReviewAction.CORRECTED, taken)]))[0]

    async def mark_absent(self, file_id: str, name: str) -> ReviewedValue:
        result = await self.result(file_id)
        inside = [item.name for item in result.values if item.name.startswith((f"{name}.", f"{name}["))]
        names = inside or [_named(result, name).name]
        decisions = [_decision(result, each, ReviewAction.ABSENT, taking.NOTHING) for each in names]
        return (await self._decide(result, decisions))[0]

    async def read_box(self, document_id: str, page: int, box: Box) -> BoxText:
        return taking.text_in(await self.reading(document_id), page, box)

    async def take_box(self, file_id: str, name: str, page: int, box: Box) -> ReviewedValue:
        result = await self.result(file_id)
        reading = await self.reading(result.document.id)
        taken = await asyncio.to_thread(taking.from_box, result.schema, name, reading, page, box)
        return (await self._decide(result, [_decision(result, name, ReviewAction.TAKEN, taken)]))[0]

    async def undo(self, file_id: str) -> Sequence[ReviewedValue]:
        def work(connection: Connection) -> tuple[tuple[ReviewedValue, ...], BatchFile]:
            return extractions.undo(connection, file_id), batches.file(connection, file_id)

        changed, file = await self._kit.lane.write(work)
        self._tell(file, changed)
        return changed

    async def _decide(self, result: Result, decisions: Sequence[Decision]) -> Sequence[ReviewedValue]:
        file_id = result.file.id

        def work(connection: Connection) -> tuple[tuple[ReviewedValue, ...], BatchFile]:
            return extractions.decide(connection, file_id, decisions), batches.file(connection, file_id)

        changed, file = await self._kit.lane.write(work)
        self._tell(file, changed)
        return changed

    def _tell(self, file: BatchFile, changed: Sequence[ReviewedValue]) -> None:
        for value in changed:
            self._kit.bus.publish(ValueChanged(file.id, value))
        self._kit.bus.publish(FileChanged(file))
        self._announcer.note(file.batch_id)

    async def _draw(self, document_id: str, page: int, width_px: int) -> bytes:
        where = await self._kit.lane.read(lambda connection: taking.whereabouts(connection, document_id))
        password = self._kit.passwords.get(where.sha256)
        gone: DocumentError | None = None
        for path in where.paths:
            try:
                return await self._kit.readers.render(
                    path, page, width_px, password, where.as_words, sha256=where.sha256
                )
            except DocumentError as error:
                if error.code not in ("file_missing", "file_changed", "unreadable"):
                    raise
                gone = gone or error
        raise gone or DocumentError("file_missing", "The file is not there any more.")


def _named(result: Result, name: str) -> ReviewedValue:
    found = next((item for item in result.values if item.name == name), None)
    if found is None:
        raise RequestError("no_such_value", f"This file has no value {name[:80]!r}.")
    return found


def _acceptance(item: ReviewedValue) -> Decision:
    value = item.value
    review = Review(ReviewAction.ACCEPTED, value.value, value.raw, value.evidence, value.problems, time.time())
    return Decision(item.name, value.type, review)


def _decision(result: Result, name: str, action: ReviewAction, taken: taking.Taken) -> Decision:
    review = Review(action, taken.value, taken.raw, taken.evidence, taken.problems, time.time())
    return Decision(name, _type_of(result.schema, name), review)


def _type_of(schema: Schema, name: str) -> FieldType:
    return taking.target(schema, name).type
