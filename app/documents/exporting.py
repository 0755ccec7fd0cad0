"""Exports of batches: file by file from the store to a writer, and the marked-up document.

Formats are ``app.extraction.export``'s; drawing on pages is done by a reader.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from app.documents import taking
from app.documents.batch_records import BatchFile, FileState
from app.documents.faults import DocumentError
from app.documents.kit import Kit
from app.documents.pool import MarkUp
from app.documents.review_records import Exported, ExportFormat, ReviewedValue
from app.extraction.schema import Schema, find_field
from app.extraction.schema_packing import unpack_schema
from app.store import batches, documents, extractions
from app.store.database import Connection
from engine.errors import GatehouseError, RequestError, StoreError

if TYPE_CHECKING:
    from app.extraction.exported import ExportedDocument, Writer

_DOUBTFUL, _SURE, _DECIDED = "#d97706", "#2563eb", "#15803d"
_LABEL_CHARACTERS = 60


class Exporting:
    """The part of ``DocumentsApi`` that writes files for others."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit

    async def export(self, batch_ids: Sequence[str], path: Path, to: ExportFormat) -> Exported:
        schema = await self._common_schema(batch_ids)
        files: list[BatchFile] = []
        for batch_id in batch_ids:
            files += await self._kit.lane.read(partial(batches.files, batch_id=batch_id))
        try:
            writer = await asyncio.to_thread(_writer, to, path, schema)
            values = await self._write(writer, files)
            size_bytes = await asyncio.to_thread(lambda: path.stat().st_size)
        except OSError as error:
            raise _unwritable(path, error) from error
        return Exported(path, len(files), values, size_bytes)

    async def _write(self, writer: Writer, files: Sequence[BatchFile]) -> int:
        values = 0
        try:
            for file in files:
                document = await self._kit.lane.read(_reader_of(file))
                values += len(document.values)
                await asyncio.to_thread(writer.add, document)
            await asyncio.to_thread(writer.finish)
        except BaseException:
            writer.drop()
            raise
        return values

    async def export_marked(self, file_id: str, path: Path) -> Exported:
        def work(connection: Connection) -> tuple[taking.Whereabouts, Schema, tuple[ReviewedValue, ...]]:
            file = batches.file(connection, file_id)
            stored = extractions.load(connection, file_id)
            if stored is None:
                raise StoreError("not_extracted", "This file has no values yet.")
            schema = unpack_schema(batches.schema_body(connection, file.batch_id))
            return taking.whereabouts(connection, stored.document_id), schema, stored.values

        where, schema, values = await self._kit.lane.read(work)
        marks = marks_of(values, schema)
        password = self._kit.passwords.get(where.sha256)
        gone: DocumentError | None = None
        for source in where.paths:
            try:
                await self._kit.readers.mark_up(source, marks, path, password, where.as_words, sha256=where.sha256)
            except DocumentError as error:
                gone = error
                continue
            except OSError as error:
                raise _unwritable(path, error) from error
            return Exported(path, 1, len(values), await asyncio.to_thread(lambda: path.stat().st_size))
        raise gone or DocumentError("file_missing", "The file is not there any more.")

    async def _common_schema(self, batch_ids: Sequence[str]) -> Schema:
        """Tables have one head. Raises ``RequestError``."""
        if not batch_ids:
            raise RequestError("nothing_to_export", "No batch was chosen.")
        schemas = []
        for batch_id in batch_ids:
            body = await self._kit.lane.read(partial(batches.schema_body, batch_id=batch_id))
            schemas.append(unpack_schema(body))
        names = {schema.name for schema in schemas}
        if len(names) > 1:
            sentence = f"These batches have {len(names)} schemas: {', '.join(sorted(names))}."
            raise RequestError("different_schemas", sentence, "Export batches of one schema together.")
        return max(schemas, key=lambda schema: schema.version)


def marks_of(values: Sequence[ReviewedValue], schema: Schema) -> list[MarkUp]:
    """A frame for each place, named and coloured by what stands of it. Pure."""
    marks: list[MarkUp] = []
    for item in values:
        if item.shown is None:
            continue
        colour = _DECIDED if item.review is not None else (_DOUBTFUL if item.doubtful else _SURE)
        field = find_field(schema, item.name)
        name = field.shown if field is not None else item.name
        text = f"{name}: {item.shown}"[:_LABEL_CHARACTERS]
        marks += [(place.page, place.box, text, colour) for place in item.places if place.box is not None]
    return marks


def _writer(to: ExportFormat, path: Path, schema: Schema) -> Writer:
    from app.extraction.export import writer_for  # the formats are imported when something is exported

    return writer_for(to, path, schema)


def _reader_of(file: BatchFile) -> Callable[[Connection], ExportedDocument]:
    from app.extraction.exported import ExportedDocument, from_review

    def work(connection: Connection) -> ExportedDocument:
        stored = extractions.load(connection, file.id)
        if stored is None or file.state is not FileState.DONE:
            error = (file.cause, f"{file.sentence} {file.hint}".strip()) if file.cause else None
            return ExportedDocument(str(file.path), "", file.state.value, error=error)
        document = documents.get(connection, stored.document_id)
        values = from_review(stored.values)
        return ExportedDocument(str(file.path), document.sha256, "done", values, stored.model, stored.timings)

    return work


def _unwritable(path: Path, error: OSError) -> GatehouseError:
    reason = error.strerror or type(error).__name__
    return GatehouseError("unwritable", f"{path} could not be written: {reason}.", "Choose another place.")
