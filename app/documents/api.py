"""What the window and the command line may ask about documents: the protocol behind ``Services.documents``.

All coroutines run in the core thread. Whatever concerns one file is told by its state, never raised: one bad document
costs only itself. What is raised is ``engine.errors.GatehouseError``. Changes come as events: ``BatchChanged``,
``FileChanged``, ``ValueChanged``, ``SchemasChanged``, ``AttachmentChanged``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from app.documents.batch_records import Batch, BatchFile, NewBatch
from app.documents.records import Box, Reading
from app.documents.review_records import (
    AttachedDocument,
    BoxText,
    Citation,
    Document,
    Exported,
    ExportFormat,
    Result,
    ReviewedValue,
)
from app.extraction.schema import Schema
from app.gate.label import Label


class BatchesApi(Protocol):
    """Batches and their files."""

    async def batches(self) -> Sequence[Batch]:
        """In the order in which they are worked on."""

    async def create(self, new: NewBatch) -> Batch:
        """Store a batch with its files and begin. Raises ``no_files`` when there is nothing to read."""

    async def add(self, batch_id: str, paths: Sequence[Path]) -> int:
        """Add files and folders; returns how many files are new to the batch."""

    async def watch(self, batch_id: str, folder: Path, watching: bool = True) -> None:
        """Let new files of a folder join by themselves, once they have stopped growing."""

    async def rename(self, batch_id: str, title: str) -> None: ...

    async def pause(self, batch_id: str) -> None:
        """Finish nothing more; the file at work is begun again later."""

    async def resume(self, batch_id: str) -> None: ...

    async def cancel(self, batch_id: str) -> None:
        """End it; what was done stays, the rest is cancelled. ``retry`` takes cancelled files up again."""

    async def retry(self, batch_id: str, file_ids: Sequence[str] = ()) -> int:
        """Begin files anew: those named, else all that failed or were cancelled. Returns how many."""

    async def move(self, batch_id: str, position: int) -> None: ...

    async def move_file(self, file_id: str, position: int) -> None:
        """Among the files of its batch; those that wait are taken in order."""

    async def remove(self, batch_id: str) -> None:
        """Hide a batch with its results; ``restore`` brings it back until the app's next start purges it."""

    async def restore(self, batch_id: str) -> None: ...

    async def files(self, batch_id: str) -> Sequence[BatchFile]: ...

    async def give_password(self, file_id: str, password: str) -> None:
        """Try again with a password, which is kept in memory only, until the program ends."""

    async def manifest(self, batch_id: str) -> str:
        """What it takes to repeat the batch, as sealed JSON: files, model, prompt, schema, versions."""


class ReviewApi(Protocol):
    """Documents, pages, values, decisions."""

    async def document(self, document_id: str) -> Document: ...

    async def reading(self, document_id: str) -> Reading:
        """Its words with boxes and its text, from the store."""

    async def page_picture(self, document_id: str, page: int, width_px: int) -> bytes:
        """PNG, in whose frame the boxes are.

        Raises ``DocumentError`` ``file_missing`` or ``file_changed`` when no file has the bytes any more; the words of
        :meth:`reading` are still there to be drawn. ``password_needed`` after a restart: ``unlock_document`` helps.
        """

    async def unlock_document(self, document_id: str, password: str) -> None:
        """Let pages of an encrypted document be drawn, until the program ends. Raises ``DocumentError``."""

    async def set_document_label(self, document_id: str, label: Label) -> None: ...

    async def result(self, file_id: str) -> Result:
        """Raises ``not_extracted`` while there is none."""

    async def accept(self, file_id: str, name: str) -> ReviewedValue: ...

    async def accept_all(self, file_id: str) -> Sequence[ReviewedValue]:
        """Accept every value that nobody decided about yet; one step for ``undo``."""

    async def correct(self, file_id: str, name: str, text: str) -> ReviewedValue:
        """Replace a value by what was typed, normalised by its type, and look for its place again.

        ``name`` may be a new row, as in ``lines[4].amount``. Raises ``not_of_type`` with what the type accepts.
        """

    async def mark_absent(self, file_id: str, name: str) -> ReviewedValue:
        """The document does not have it. A row's path (``lines[4]``) takes the whole row out."""

    async def read_box(self, document_id: str, page: int, box: Box) -> BoxText:
        """What stands inside a box, before it is taken."""

    async def take_box(self, file_id: str, name: str, page: int, box: Box) -> ReviewedValue:
        """Take the value from a box on the page. Raises ``empty_box``, ``not_of_type``."""

    async def undo(self, file_id: str) -> Sequence[ReviewedValue]:
        """Take the last decision about this file back; returns what changed, which is nothing when there was none."""


class SchemasApi(Protocol):
    """What to look for."""

    async def schemas(self) -> Sequence[Schema]:
        """The person's own first, then the built-in ones."""

    async def save_schema(self, schema: Schema) -> Schema:
        """Add or change one; returns it with its new version. Raises ``invalid_schema``."""

    async def remove_schema(self, name: str) -> None:
        """Of the person's own. A changed built-in one is the built-in one again."""

    async def propose_schema(self, paths: Sequence[Path], name: str) -> Schema:
        """Look at a few documents and propose what could be taken from them. Saves nothing."""

    async def schema_json(self, schema: Schema) -> str:
        """As JSON Schema."""

    async def schema_from_json(self, text: str) -> Schema:
        """From JSON Schema or the source of a Pydantic model. Raises ``invalid_schema``. Saves nothing."""


class QuestionsApi(Protocol):
    """Documents in conversations."""

    async def attach(self, conversation_id: str, paths: Sequence[Path]) -> Sequence[AttachedDocument]:
        """Attach documents to a conversation; they are read in the background (``AttachmentChanged``)."""

    async def attach_documents(self, conversation_id: str, document_ids: Sequence[str]) -> Sequence[AttachedDocument]:
        """Attach documents that were read before, e.g. those of a batch."""

    async def attachments(self, conversation_id: str) -> Sequence[AttachedDocument]: ...

    async def detach(self, attachment_id: str) -> None: ...

    async def unlock(self, attachment_id: str, password: str) -> None: ...

    async def citations(self, message_id: str) -> Sequence[Citation]:
        """The places that an answer points to, by their numbers; empty for answers without documents."""


class DocumentsApi(BatchesApi, ReviewApi, SchemasApi, QuestionsApi, Protocol):
    """Everything about documents."""

    async def export(self, batch_ids: Sequence[str], path: Path, to: ExportFormat) -> Exported:
        """Write the values of batches with their evidence, whole or not at all. Raises ``GatehouseError``."""

    async def export_marked(self, file_id: str, path: Path) -> Exported:
        """The document as a PDF with its evidence marked and named. Raises ``GatehouseError``."""
