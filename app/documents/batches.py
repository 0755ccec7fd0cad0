"""Batches as the window and the command line ask for them: made, filled, ordered, paused, ended, tried again.

What is done with a file is ``runner``'s, which folders are watched ``watch``'s, rows are ``app.store.batches``'s.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

from app.documents.announcing import Announcer
from app.documents.batch_records import Batch, BatchFile, BatchState, NewBatch
from app.documents.gather import Found, gather
from app.documents.kit import Kit
from app.documents.runner import Runner
from app.documents.schema_shelf import SchemaShelf
from app.documents.watch import Watch
from app.events import BatchRemoved, Event, FileChanged, FilesAdded, LoadedModelChanged
from app.extraction.manifest import whole_manifest
from app.extraction.schema_packing import pack_schema
from app.store import batches, documents, extractions
from app.store.batches import NewFile
from app.store.database import Connection
from engine.errors import RequestError
from engine.worker.spec import Ready


class Batches:
    """The part of ``DocumentsApi`` that is about batches."""

    def __init__(self, kit: Kit, schemas: SchemaShelf, announcer: Announcer) -> None:
        self._kit = kit
        self._schemas = schemas
        self._announcer = announcer
        self._runner = Runner(kit, self._announcer)
        self._watch = Watch(self._join, tell=announcer.watch_fault)
        self._unsubscribe = kit.bus.subscribe(self._listen)

    async def start(self) -> None:
        """In the process that owns the data folder: purge what was removed, go on with what was left."""

        def purge(connection: Connection) -> None:
            batches.purge(connection)
            documents.purge_unused(connection)

        await self._kit.lane.write(purge)
        await self._runner.start()
        await self._watch_folders()

    async def close(self) -> None:
        self._unsubscribe()
        await self._watch.close()
        await self._runner.close()

    async def batches(self) -> Sequence[Batch]:
        return tuple(map(self._announcer.dressed, await self._kit.lane.read(batches.every)))

    async def create(self, new: NewBatch) -> Batch:
        schema = await self._schemas.get(new.schema_name)
        found = await asyncio.to_thread(gather, new.paths, as_words=new.as_words)
        folders = tuple(path.absolute() for path in new.paths if path.is_dir()) if new.watch else ()
        if not found and not folders:
            raise RequestError("no_files", "There are no files to read there.", "Hidden files are left out.")
        batch = Batch(
            id=uuid.uuid4().hex,
            title=new.title.strip() or _title(new.paths),
            schema_name=schema.name,
            schema_version=schema.version,
            model_id=new.model_id,
            state=BatchState.PAUSED if new.paused else BatchState.RUNNING,
            position=0,
            created_at=time.time(),
            watched=folders,
            label=new.label,
            as_words=new.as_words,
        )

        def work(connection: Connection) -> Batch:
            batches.insert(connection, batch, pack_schema(schema))
            batches.add_files(connection, batch.id, map(_new_file, found))
            return batches.settle(connection, batch.id)

        made = await self._kit.lane.write(work)
        self._announcer.tell(made)
        await self._watch_folders()
        self._runner.wake(made.id)
        return self._announcer.dressed(made)

    async def add(self, batch_id: str, paths: Sequence[Path]) -> int:
        batch = await self._batch(batch_id)
        found = await asyncio.to_thread(gather, paths, as_words=batch.as_words)
        return await self._add(batch_id, found)

    async def watch(self, batch_id: str, folder: Path, watching: bool = True) -> None:
        absolute, is_folder = await asyncio.to_thread(lambda: (folder.absolute(), folder.is_dir()))
        if watching and not is_folder:
            raise RequestError("not_a_folder", f"{folder} is not a folder.")
        change = batches.watch if watching else batches.unwatch

        def work(connection: Connection) -> Batch:
            change(connection, batch_id, absolute)
            return batches.get(connection, batch_id)

        self._announcer.tell(await self._kit.lane.write(work))
        await self._watch_folders()

    async def rename(self, batch_id: str, title: str) -> None:
        wanted = " ".join(title.split())[:200]
        if not wanted:
            raise RequestError("empty_title", "A batch needs a title.")
        self._announcer.tell(
            await self._kit.lane.write(lambda connection: batches.rename(connection, batch_id, wanted))
        )

    async def pause(self, batch_id: str) -> None:
        paused = await self._set_state(batch_id, BatchState.PAUSED, (BatchState.RUNNING,))
        await self._runner.stop_batch(batch_id)
        if paused:
            self._announcer.tell(await self._batch(batch_id))

    async def resume(self, batch_id: str) -> None:
        def work(connection: Connection) -> Batch:
            batch = batches.get(connection, batch_id)
            if batch.state is BatchState.PAUSED:
                batches.set_state(connection, batch_id, BatchState.RUNNING)
            return batches.settle(connection, batch_id)

        self._announcer.tell(await self._kit.lane.write(work))
        self._runner.wake(batch_id)

    async def cancel(self, batch_id: str) -> None:
        await self._set_state(batch_id, BatchState.CANCELLED, (BatchState.RUNNING, BatchState.PAUSED))
        await self._runner.stop_batch(batch_id)

        def work(connection: Connection) -> Batch:
            batches.cancel_waiting(connection, batch_id)
            return batches.get(connection, batch_id)

        self._announcer.tell(await self._kit.lane.write(work))
        self._publish(FilesAdded(batch_id, 0))
        await self._watch_folders()

    async def retry(self, batch_id: str, file_ids: Sequence[str] = ()) -> int:
        count = await self._kit.lane.write(lambda connection: batches.wait_again(connection, batch_id, file_ids))
        self._publish(FilesAdded(batch_id, 0))
        self._announcer.tell(await self._batch(batch_id))
        await self._watch_folders()
        self._runner.wake(batch_id)
        return count

    async def move(self, batch_id: str, position: int) -> None:
        for batch in await self._kit.lane.write(lambda connection: batches.move(connection, batch_id, position)):
            self._announcer.tell(batch)

    async def move_file(self, file_id: str, position: int) -> None:
        batch_id = await self._kit.lane.write(lambda connection: batches.move_file(connection, file_id, position))
        self._publish(FilesAdded(batch_id, 0))

    async def remove(self, batch_id: str) -> None:
        title = await self._kit.lane.write(lambda connection: batches.delete(connection, batch_id, time.time()))
        await self._runner.stop_batch(batch_id)
        self._publish(BatchRemoved(batch_id, title))
        await self._watch_folders()

    async def restore(self, batch_id: str) -> None:
        self._announcer.tell(await self._kit.lane.write(lambda connection: batches.undelete(connection, batch_id)))
        await self._watch_folders()
        self._runner.wake(batch_id)

    async def files(self, batch_id: str) -> Sequence[BatchFile]:
        return await self._kit.lane.read(lambda connection: batches.files(connection, batch_id))

    async def give_password(self, file_id: str, password: str) -> None:
        self._runner.remember_password(file_id, password)

        def work(connection: Connection) -> BatchFile:
            file = batches.file(connection, file_id)
            batches.wait_again(connection, file.batch_id, (file_id,))
            return batches.file(connection, file_id)

        file = await self._kit.lane.write(work)
        self._publish(FileChanged(file))
        self._announcer.note(file.batch_id)
        self._runner.wake(file.batch_id)

    async def manifest(self, batch_id: str) -> str:
        def work(connection: Connection) -> str:
            batch = batches.get(connection, batch_id)
            about = {"id": batch.id, "title": batch.title, "schema": batch.schema_name, "as_words": batch.as_words}
            settings = extractions.manifests_of(connection, batch_id)
            sealed = extractions.sealed_files(connection, batch_id)
            return whole_manifest(about, settings, sealed, self._kit.seal_key)

        return await self._kit.lane.read(work)

    async def _batch(self, batch_id: str) -> Batch:
        return await self._kit.lane.read(lambda connection: batches.get(connection, batch_id))

    async def _set_state(self, batch_id: str, state: BatchState, of: tuple[BatchState, ...]) -> bool:
        def work(connection: Connection) -> bool:
            if batches.get(connection, batch_id).state not in of:
                return False
            batches.set_state(connection, batch_id, state)
            return True

        return await self._kit.lane.write(work)

    async def _add(self, batch_id: str, found: Sequence[Found]) -> int:
        def work(connection: Connection) -> tuple[int, Batch]:
            added = batches.add_files(connection, batch_id, map(_new_file, found))
            batch = batches.get(connection, batch_id)
            if added and batch.state is BatchState.DONE:
                batch = batches.set_state(connection, batch_id, BatchState.RUNNING)
            return added, batch

        added, batch = await self._kit.lane.write(work)
        if added:
            self._publish(FilesAdded(batch_id, added))
            self._announcer.tell(batch)
            self._runner.wake(batch_id)
        return added

    async def _join(self, batch_id: str, found: Sequence[Found]) -> None:
        """Files of a watched folder that have stopped growing; most of them are known."""
        known = {file.path for file in await self.files(batch_id)}
        new = [file for file in found if file.path not in known]
        if new:
            await self._add(batch_id, new)

    async def _watch_folders(self) -> None:
        def work(connection: Connection) -> list[tuple[str, Path, bool]]:
            as_words = {batch.id: batch.as_words for batch in batches.every(connection)}
            return [(batch_id, path, as_words.get(batch_id, False)) for batch_id, path in batches.watched(connection)]

        self._watch.set(await self._kit.lane.read(work))

    def _listen(self, event: Event) -> None:
        if isinstance(event, LoadedModelChanged) and isinstance(event.loaded.state, Ready | None):
            self._runner.wake()

    def _publish(self, event: Event) -> None:
        self._kit.bus.publish(event)


def _title(paths: Sequence[Path]) -> str:
    first = paths[0].absolute()
    name = first.name if first.is_dir() else first.stem
    return name if len(paths) == 1 else f"{name} and {len(paths) - 1} more"


def _new_file(found: Found) -> NewFile:
    return NewFile(uuid.uuid4().hex, found.path, found.size_bytes)
