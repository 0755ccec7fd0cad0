"""Works on batches: takes files in order, has them read and asked, writes each one's results in one transaction.

Every step is in the store before the next begins, so a death at any moment costs at most the files at work, which wait
again afterwards; values and the word that a file is done are written together, so nothing is done twice or half. What
a file is to blame for ends that file; what it is not (no model, a full disk) lets its batch rest with a sentence.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from functools import partial

from app.documents.announcing import Announcer
from app.documents.batch_records import BatchFile, FileState
from app.documents.doubt import doubtful
from app.documents.faults import DocumentError
from app.documents.kit import CannotGoOn, Extracted, Kit
from app.documents.passages import cut
from app.documents.records import Reading
from app.events import FileChanged
from app.extraction.manifest import hash_file, seal
from app.extraction.schema import Schema
from app.extraction.schema_packing import unpack_schema
from app.gate.label import Label
from app.store import batches, documents, extractions, passages
from app.store.database import Connection
from engine.errors import GatehouseError, StoreError

_log = logging.getLogger(__name__)

_AT_WORK = 3
"""Files at once: some are read while others are asked."""
_ASKED = 2
"""Files that are asked at once: the worker decodes their rows in one batch."""
_MOST_ATTEMPTS = 8
"""A file that was at work at so many deaths of the app is suspected of them."""
_SUSPECT = "Gatehouse ended each time while this file was worked on."
_SUSPECT_HINT = "Try it again alone; if that fails as well, please report it."
_BUG = "Something in Gatehouse went wrong with this file; the log has the details."


@dataclass(frozen=True, slots=True)
class Order:
    """A file to work on, and what its batch asks of it."""

    file: BatchFile
    schema: Schema
    model_id: str | None
    as_words: bool
    label: Label


class Runner:
    """The one that works on batches; in the process that owns the data folder."""

    def __init__(self, kit: Kit, announcer: Announcer) -> None:
        self._kit = kit
        self._announcer = announcer
        self._asking = asyncio.Semaphore(_ASKED)
        self._working: dict[str, tuple[Order, asyncio.Task[None]]] = {}
        self._passwords: dict[str, str] = {}
        self._resting: set[str] = set()
        """Batches that cannot go on for now."""
        self._owed: set[str] = set()
        """Files that do not work any more and could not be put back: the disk refused."""
        self._wake = asyncio.Event()
        self._loop_task: asyncio.Task[None] | None = None

    @property
    def busy(self) -> bool:
        """Files are at work."""
        return bool(self._working)

    async def start(self) -> None:
        """Take up what a dead process left, and begin to work."""

        def recover(connection: Connection) -> int:
            return batches.recover(connection, _MOST_ATTEMPTS, _SUSPECT, _SUSPECT_HINT)

        await self._kit.lane.write(recover)
        self._loop_task = asyncio.get_running_loop().create_task(self._run(), name="batches")
        self._wake.set()

    async def close(self) -> None:
        """End; the files at work wait again."""
        if self._loop_task is not None:
            self._loop_task.cancel()
            await asyncio.gather(self._loop_task, return_exceptions=True)
            self._loop_task = None
        await self._stop(list(self._working))
        self._passwords.clear()

    def wake(self, batch_id: str | None = None) -> None:
        """Something changed: files, order, states, the model. Batches that rested try again: this one, or all."""
        for rested in [batch_id] if batch_id else list(self._resting):
            self._resting.discard(rested)
            self._announcer.wait_for(rested, "")
        self._wake.set()

    async def stop_batch(self, batch_id: str) -> None:
        """Break off its files at work; they wait again. Its state in the store is the caller's."""
        await self._stop([key for key, (order, _) in self._working.items() if order.file.batch_id == batch_id])
        self._announcer.pace(batch_id).rest()

    def remember_password(self, file_id: str, password: str) -> None:
        """For the next try only."""
        self._passwords[file_id] = password

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                for file_id in tuple(self._owed):
                    await self._put_back(file_id)
                await self._fill()
            except GatehouseError as error:
                _log.error("Batches rest: %s", error)
            await self._wake.wait()

    async def _fill(self) -> None:
        """Take files into work while there is room."""
        while len(self._working) < _AT_WORK:
            order = await self._kit.lane.write(partial(_take, resting=tuple(self._resting)))
            if order is None:
                return
            self._announcer.pace(order.file.batch_id).begin(time.monotonic())
            self._tell(order.file)
            task = asyncio.get_running_loop().create_task(self._work(order), name=f"file-{order.file.id}")
            self._working[order.file.id] = order, task

    async def _stop(self, file_ids: list[str]) -> None:
        tasks = [self._working[file_id][1] for file_id in file_ids if file_id in self._working]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for file_id in file_ids:
            await self._put_back(file_id)

    async def _put_back(self, file_id: str) -> None:
        self._owed.add(file_id)
        try:
            self._tell(await self._kit.lane.write(lambda connection: batches.put_back(connection, file_id)))
        except StoreError as error:
            # It stays at work in the store; the next wake after the trouble, or the next start, takes it up.
            _log.error("A file could not be put back: %s", error)
        else:
            self._owed.discard(file_id)

    async def _work(self, order: Order) -> None:
        """One file, from its turn to its end, whatever that is."""
        file = order.file
        try:
            await self._read_and_ask(order)
        except asyncio.CancelledError:
            raise
        except (CannotGoOn, StoreError) as error:
            await self._rest(order, error)
        except DocumentError as error:
            state = FileState.NEEDS_PASSWORD if error.wants_password else FileState.FAILED
            await self._fail(order, state, error.code, error.sentence, error.hint)
        except GatehouseError as error:
            await self._fail(order, FileState.FAILED, error.code, error.sentence, error.hint)
        except Exception:  # noqa: BLE001 - a bug of ours must not take the rest of the batch with it; it is logged
            _log.exception("A file of a batch was ended by a bug.")
            await self._fail(order, FileState.FAILED, "bug", _BUG, "")
        finally:
            self._passwords.pop(file.id, None)
            self._working.pop(file.id, None)
            self._announcer.note(file.batch_id)
            self._wake.set()

    async def _read_and_ask(self, order: Order) -> None:
        began_at = time.monotonic()
        file = order.file
        reading = await self._read(order)

        def keep(connection: Connection) -> tuple[BatchFile, str]:
            document = documents.keep(connection, reading, file.path, order.label, time.time(), as_words=order.as_words)
            passages.replace(connection, document.id, cut(reading))
            return batches.was_read(connection, file.id, document.id, len(reading.pages)), document.id

        read, document_id = await self._kit.lane.write(keep)
        self._tell(read)
        async with self._asking:
            extracted = await self._kit.extractor.extract(reading, order.schema, order.model_id)
        seconds = time.monotonic() - began_at
        done = await self._kit.lane.write(
            lambda connection: self._save(connection, order, document_id, reading, extracted, seconds)
        )
        self._announcer.pace(file.batch_id).end_file(time.monotonic())
        self._tell(done)

    async def _read(self, order: Order) -> Reading:
        """From the file, or from the store when an earlier try had read these very bytes."""
        file, readers = order.file, self._kit.readers
        known = None
        if file.document_id is not None:
            document_id = file.document_id
            known = await self._kit.lane.read(lambda connection: documents.get(connection, document_id))
        if known is not None and await asyncio.to_thread(_has_hash, file, known.sha256):
            return await self._kit.lane.read(lambda connection: documents.reading(connection, known.id))
        password = self._passwords.get(file.id)
        reading = await readers.read(file.path, password, order.as_words)
        if password is not None and reading.password:
            self._kit.passwords[reading.sha256] = password  # its pages are to be drawn as well
        return reading

    def _save(
        self,
        connection: Connection,
        order: Order,
        document_id: str,
        reading: Reading,
        extracted: Extracted,
        seconds: float,
    ) -> BatchFile:
        """Values, evidence, manifest and the word that the file is done: all or nothing."""
        now, manifest = time.time(), extracted.manifest
        extractions.keep_manifest(connection, manifest.sha256, manifest.body, now)
        extractions.save(
            connection,
            order.file.id,
            document_id,
            extracted.extraction,
            doubtful(extracted.extraction, order.schema),
            manifest.sha256,
            seal(self._kit.seal_key, reading.sha256, manifest.sha256, extracted.extraction),
            now,
        )
        done = batches.finish(connection, order.file.id, seconds)
        batches.settle(connection, done.batch_id)
        return done

    async def _fail(self, order: Order, state: FileState, cause: str, sentence: str, hint: str) -> None:
        def work(connection: Connection) -> BatchFile:
            failed = batches.fail(connection, order.file.id, state, cause, sentence, hint)
            batches.settle(connection, failed.batch_id)
            return failed

        try:
            self._tell(await self._kit.lane.write(work))
        except StoreError as error:
            await self._rest(order, error)

    async def _rest(self, order: Order, error: GatehouseError) -> None:
        """The batch waits until something changes; its file is not to blame."""
        batch_id = order.file.batch_id
        self._resting.add(batch_id)
        self._announcer.pace(batch_id).rest()
        self._announcer.wait_for(batch_id, str(error))
        await self._put_back(order.file.id)

    def _tell(self, file: BatchFile) -> None:
        self._kit.bus.publish(FileChanged(file))
        self._announcer.note(file.batch_id)


def _take(connection: Connection, resting: tuple[str, ...]) -> Order | None:
    """Take the file whose turn it is into work."""
    waiting = batches.next_file(connection, resting)
    begun = batches.begin(connection, waiting.id) if waiting is not None else None
    if begun is None:
        return None
    batch = batches.get(connection, begun.batch_id)
    schema = unpack_schema(batches.schema_body(connection, batch.id))
    return Order(begun, schema, batch.model_id, batch.as_words, batch.label)


def _has_hash(file: BatchFile, sha256: str) -> bool:
    try:
        return hash_file(file.path) == sha256
    except OSError:
        return False  # reading it will say what is wrong
