"""Documents that answer from memory at once: batches, results and conversations' documents that a scene hands over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from app.bus import Bus
from app.documents.batch_records import Batch, BatchFile, BatchState, FileCounts, FileState, NewBatch
from app.documents.records import Box, Reading
from app.documents.review_records import (
    AttachedDocument,
    AttachmentState,
    BoxText,
    Citation,
    Document,
    Exported,
    ExportFormat,
    Result,
    Review,
    ReviewAction,
    ReviewedValue,
)
from app.events import (
    AttachmentChanged,
    BatchChanged,
    BatchRemoved,
    FileChanged,
    FilesAdded,
    SchemasChanged,
    ValueChanged,
)
from app.extraction.records import Evidence
from app.extraction.schema import Schema
from app.extraction.schema_json import to_json_schema
from app.gate.label import Label
from engine.errors import GatehouseError

_NOW = 1_767_024_000.0


@dataclass(frozen=True, slots=True)
class SampleShelf:
    """What a scene's documents are made of."""

    batches: Sequence[Batch] = ()
    files: Sequence[BatchFile] = ()
    results: Mapping[str, Result] = field(default_factory=dict)
    """By the file's id."""
    readings: Mapping[str, Reading] = field(default_factory=dict)
    """By the document's id."""
    pictures: Mapping[tuple[str, int], bytes] = field(default_factory=dict)
    """PNG by the document's id and the page's number."""
    schemas: Sequence[Schema] = ()
    attachments: Sequence[AttachedDocument] = ()
    citations: Mapping[str, Sequence[Citation]] = field(default_factory=dict)
    """By the answer's id."""


class SampleDocuments:
    """A shelf that only changes by what is asked of it."""

    def __init__(self, bus: Bus, shelf: SampleShelf | None = None) -> None:
        shelf = shelf or SampleShelf()
        self._bus = bus
        self.shelf = shelf
        self.items = {batch.id: batch for batch in shelf.batches}
        self.of_files = {file.id: file for file in shelf.files}
        self.results = dict(shelf.results)
        self.kinds = {schema.name: schema for schema in shelf.schemas}
        self.attached = {item.id: item for item in shelf.attachments}
        self.exported: list[tuple[tuple[str, ...], Path, ExportFormat]] = []
        self._gone: dict[str, Batch] = {}
        self._undo: dict[str, list[tuple[ReviewedValue, ...]]] = {}

    async def batches(self) -> Sequence[Batch]:
        return sorted(self.items.values(), key=lambda batch: batch.position)

    async def create(self, new: NewBatch) -> Batch:
        batch_id = f"batch{len(self.items) + 1}"
        made = tuple(
            BatchFile(f"{batch_id}-{index}", batch_id, path, FileState.WAITING, index, 48_000)
            for index, path in enumerate(new.paths)
        )
        self.of_files |= {file.id: file for file in made}
        batch = Batch(
            id=batch_id,
            title=new.title or new.paths[0].stem,
            schema_name=new.schema_name,
            schema_version=1,
            model_id=new.model_id,
            state=BatchState.PAUSED if new.paused else BatchState.RUNNING,
            position=len(self.items),
            created_at=_NOW,
            counts=FileCounts(waiting=len(made)),
            watched=new.paths if new.watch else (),
            label=new.label,
            as_words=new.as_words,
        )
        return self.become(batch)

    def become(self, batch: Batch) -> Batch:
        """Another state of a batch, announced as the real service does."""
        self.items[batch.id] = batch
        self._bus.publish(BatchChanged(batch))
        return batch

    def become_file(self, file: BatchFile) -> None:
        """Another state of a file, announced as the real service does."""
        self.of_files[file.id] = file
        self._bus.publish(FileChanged(file))

    async def add(self, batch_id: str, paths: Sequence[Path]) -> int:
        start = len(self.of_files)
        for index, path in enumerate(paths, start):
            file = BatchFile(f"{batch_id}-{index}", batch_id, path, FileState.WAITING, index, 48_000)
            self.of_files[file.id] = file
        self._bus.publish(FilesAdded(batch_id, len(paths)))
        return len(paths)

    async def watch(self, batch_id: str, folder: Path, watching: bool = True) -> None:
        others = tuple(path for path in self.items[batch_id].watched if path != folder)
        self.become(replace(self.items[batch_id], watched=(*others, folder) if watching else others))

    async def rename(self, batch_id: str, title: str) -> None:
        self.become(replace(self.items[batch_id], title=title))

    async def pause(self, batch_id: str) -> None:
        self.become(replace(self.items[batch_id], state=BatchState.PAUSED))

    async def resume(self, batch_id: str) -> None:
        self.become(replace(self.items[batch_id], state=BatchState.RUNNING))

    async def cancel(self, batch_id: str) -> None:
        self.become(replace(self.items[batch_id], state=BatchState.CANCELLED))

    async def retry(self, batch_id: str, file_ids: Sequence[str] = ()) -> int:
        again = (FileState.FAILED, FileState.CANCELLED)
        chosen = [
            file
            for file in self.of_files.values()
            if file.batch_id == batch_id and (file.id in file_ids if file_ids else file.state in again)
        ]
        for file in chosen:
            self.become_file(replace(file, state=FileState.WAITING, cause="", sentence="", hint=""))
        return len(chosen)

    async def move(self, batch_id: str, position: int) -> None:
        order = [batch.id for batch in await self.batches() if batch.id != batch_id]
        order.insert(max(0, position), batch_id)
        for index, moved in enumerate(order):
            self.become(replace(self.items[moved], position=index))

    async def move_file(self, file_id: str, position: int) -> None:
        self.become_file(replace(self.of_files[file_id], position=position))

    async def remove(self, batch_id: str) -> None:
        self._gone[batch_id] = self.items.pop(batch_id)
        self._bus.publish(BatchRemoved(batch_id, self._gone[batch_id].title))

    async def restore(self, batch_id: str) -> None:
        self.become(self._gone.pop(batch_id))

    async def files(self, batch_id: str) -> Sequence[BatchFile]:
        mine = (file for file in self.of_files.values() if file.batch_id == batch_id)
        return sorted(mine, key=lambda file: file.position)

    async def give_password(self, file_id: str, password: str) -> None:
        self.become_file(replace(self.of_files[file_id], state=FileState.WAITING, cause="", sentence="", hint=""))

    async def manifest(self, batch_id: str) -> str:
        return f'{{"batch": "{batch_id}"}}'

    async def document(self, document_id: str) -> Document:
        return next(result.document for result in self.results.values() if result.document.id == document_id)

    async def reading(self, document_id: str) -> Reading:
        return self.shelf.readings[document_id]

    async def page_picture(self, document_id: str, page: int, width_px: int) -> bytes:
        return self.shelf.pictures[document_id, page]

    async def unlock_document(self, document_id: str, password: str) -> None:
        """Nothing is locked here."""

    async def set_document_label(self, document_id: str, label: Label) -> None:
        self.results = {
            key: replace(result, document=replace(result.document, label=label))
            if result.document.id == document_id
            else result
            for key, result in self.results.items()
        }

    async def result(self, file_id: str) -> Result:
        if file_id not in self.results:
            raise GatehouseError("not_extracted", "This file has no values yet.")
        return replace(self.results[file_id], undoable=bool(self._undo.get(file_id)))

    async def accept(self, file_id: str, name: str) -> ReviewedValue:
        value = self._value(file_id, name)
        return self._decide(file_id, value, ReviewAction.ACCEPTED, value.value.value, value.value.evidence)

    async def accept_all(self, file_id: str) -> Sequence[ReviewedValue]:
        waiting = [value for value in self.results[file_id].values if value.review is None]
        return tuple([await self.accept(file_id, value.name) for value in waiting])

    async def correct(self, file_id: str, name: str, text: str) -> ReviewedValue:
        return self._decide(file_id, self._value(file_id, name), ReviewAction.CORRECTED, text, ())

    async def mark_absent(self, file_id: str, name: str) -> ReviewedValue:
        return self._decide(file_id, self._value(file_id, name), ReviewAction.ABSENT, None, ())

    async def read_box(self, document_id: str, page: int, box: Box) -> BoxText:
        reading = self.shelf.readings[document_id]
        inside = [word for word in reading.pages[page - 1].words if word.box.overlap_ratio(box) > 0.5]
        places = tuple(Evidence(page, word.box, word.start, word.end, word.text) for word in inside)
        return BoxText(" ".join(word.text for word in inside), places)

    async def take_box(self, file_id: str, name: str, page: int, box: Box) -> ReviewedValue:
        taken = await self.read_box(self.results[file_id].document.id, page, box)
        return self._decide(file_id, self._value(file_id, name), ReviewAction.TAKEN, taken.text, taken.evidence)

    async def undo(self, file_id: str) -> Sequence[ReviewedValue]:
        steps = self._undo.get(file_id, [])
        before = steps.pop() if steps else ()
        for value in before:
            self._put(file_id, value)
        return before

    def _value(self, file_id: str, name: str) -> ReviewedValue:
        return next(value for value in self.results[file_id].values if value.name == name)

    def _decide(
        self,
        file_id: str,
        before: ReviewedValue,
        action: ReviewAction,
        text: str | None,
        evidence: tuple[Evidence, ...],
    ) -> ReviewedValue:
        self._undo.setdefault(file_id, []).append((before,))
        review = Review(action, text, text or "", evidence, (), _NOW)
        return self._put(file_id, replace(before, review=review, doubtful=False))

    def _put(self, file_id: str, value: ReviewedValue) -> ReviewedValue:
        result = self.results[file_id]
        values = tuple(value if other.name == value.name else other for other in result.values)
        self.results[file_id] = replace(result, values=values)
        self._bus.publish(ValueChanged(file_id, value))
        return value

    async def schemas(self) -> Sequence[Schema]:
        return tuple(self.kinds.values())

    async def save_schema(self, schema: Schema) -> Schema:
        known = self.kinds.get(schema.name)
        self.kinds[schema.name] = saved = replace(schema, version=known.version + 1 if known else 1)
        self._bus.publish(SchemasChanged())
        return saved

    async def remove_schema(self, name: str) -> None:
        del self.kinds[name]
        self._bus.publish(SchemasChanged())

    async def propose_schema(self, paths: Sequence[Path], name: str) -> Schema:
        return replace(next(iter(self.kinds.values())), name=name)

    async def schema_json(self, schema: Schema) -> str:
        return to_json_schema(schema)

    async def schema_from_json(self, text: str) -> Schema:
        return next(iter(self.kinds.values()))

    async def attach(self, conversation_id: str, paths: Sequence[Path]) -> Sequence[AttachedDocument]:
        return tuple(self._attach(conversation_id, path) for path in paths)

    async def attach_documents(self, conversation_id: str, document_ids: Sequence[str]) -> Sequence[AttachedDocument]:
        return tuple([self._attach(conversation_id, (await self.document(key)).path) for key in document_ids])

    def _attach(self, conversation_id: str, path: Path) -> AttachedDocument:
        key = f"attached{len(self.attached) + 1}"
        made = AttachedDocument(key, conversation_id, path, AttachmentState.READY, pages=2, tokens=900, whole=True)
        self.attached[key] = made
        self._bus.publish(AttachmentChanged(made))
        return made

    async def attachments(self, conversation_id: str) -> Sequence[AttachedDocument]:
        return tuple(item for item in self.attached.values() if item.conversation_id == conversation_id)

    async def detach(self, attachment_id: str) -> None:
        self._bus.publish(AttachmentChanged(self.attached.pop(attachment_id), removed=True))

    async def unlock(self, attachment_id: str, password: str) -> None:
        self.attached[attachment_id] = replace(self.attached[attachment_id], state=AttachmentState.READY)
        self._bus.publish(AttachmentChanged(self.attached[attachment_id]))

    async def citations(self, message_id: str) -> Sequence[Citation]:
        return self.shelf.citations.get(message_id, ())

    async def export(self, batch_ids: Sequence[str], path: Path, to: ExportFormat) -> Exported:
        self.exported.append((tuple(batch_ids), path, to))
        files = [file for file in self.of_files.values() if file.batch_id in batch_ids and file.id in self.results]
        return Exported(path, len(files), sum(len(self.results[file.id].values) for file in files), 24_000)

    async def export_marked(self, file_id: str, path: Path) -> Exported:
        return Exported(path, 1, len(self.results[file_id].values), 96_000)
