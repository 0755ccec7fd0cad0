"""The work of ``gatehouse extract``: files in, a table out, and a journal from which a broken run goes on.

The journal holds one line of JSON a finished file, on the disk before the next one is reported: a run that is killed
loses the files at work and nothing else. For ``.jsonl`` the journal is the result; for tables it lies beside the result
until that is whole.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from app.bootstrap import Product
from app.cli import printer
from app.cli.documents import read_one
from app.documents.doubt import needs_look
from app.documents.faults import DocumentError
from app.documents.gather import Found, gather
from app.documents.kit import CannotGoOn
from app.documents.pool import ReaderPool
from app.documents.review_records import ExportFormat
from app.documents.schemas import schema_from_text
from app.extraction.ask import LocalAsker
from app.extraction.calibration import shipped
from app.extraction.export import writer_for
from app.extraction.exported import ExportedDocument, from_extraction, from_failure
from app.extraction.extractor import LocalExtractor
from app.extraction.journal import Journal
from app.extraction.learning import Lesson
from app.extraction.manifest import Manifest, hash_file
from app.extraction.records import Example
from app.extraction.sample_lines import read_samples
from app.extraction.schema import Schema
from app.extraction.view import view_text
from engine.errors import GatehouseError

_FORMATS = {
    ".jsonl": ExportFormat.JSONL,
    ".csv": ExportFormat.CSV,
    ".xlsx": ExportFormat.XLSX,
    ".sqlite": ExportFormat.SQLITE,
}
_AT_WORK = 3
_ASKED = 2
"""As ``app.documents.runner``: some files are read while others are asked."""
_CANCEL_S = 20.0


@dataclass(frozen=True, slots=True)
class Order:
    """What was asked for on the command line."""

    paths: tuple[Path, ...]
    schema: str
    out: Path
    model_id: str | None
    examples: Path | None
    resume: bool
    words: bool
    password: str | None = field(default=None, repr=False)
    """For those that are encrypted."""


@dataclass(frozen=True, slots=True)
class _Done:
    """A file's line, with what a person should know of it at once."""

    document: ExportedDocument
    manifest: Manifest | None
    doubtful: int
    seconds: float


def extract(product: Product, order: Order) -> int:
    """Write the values of all files; returns how many files have none. Raises ``GatehouseError``, ``OSError``."""
    kind = _FORMATS.get(order.out.suffix.casefold())
    if kind is None:
        known = ", ".join(_FORMATS)
        raise GatehouseError("unknown_format", f"What {order.out.name} is to be is unclear.", f"Use one of {known}.")
    found = gather(order.paths, as_words=order.words)
    if not found:
        raise GatehouseError("no_files", "There are no files to read there.", "Hidden files are left out.")
    future = product.core.submit(_Run(product, order, kind).run(found))
    try:
        return future.result()
    except KeyboardInterrupt:
        future.cancel()
        concurrent.futures.wait([future], _CANCEL_S)
        raise


class _Run:
    """One run, in the core thread."""

    def __init__(self, product: Product, order: Order, kind: ExportFormat) -> None:
        self._product = product
        self._order = order
        self._kind = kind
        self._pool = ReaderPool(recogniser=lambda: product.services.settings.values.recogniser)
        self._asking = asyncio.Semaphore(_ASKED)
        self._tasks: deque[asyncio.Task[_Done]] = deque()

    async def run(self, found: Sequence[Found]) -> int:
        """Returns how many files have no values."""
        schema = await self._schema()
        path = self._order.out
        if self._kind is not ExportFormat.JSONL:
            path = path.with_name(f"{path.name}.partial.jsonl")
            if self._order.out.exists() and not self._order.resume:
                raise GatehouseError("out_exists", f"{self._order.out} is there already.", "Use another name.")
        journal = await asyncio.to_thread(Journal, path, schema, resume=self._order.resume, result=self._order.out)
        if journal.finished and not await asyncio.to_thread(self._left, found, journal.finished):
            await asyncio.to_thread(journal.drop)
            printer.tell(f"All {len(found)} files are done already; {self._order.out} is whole.")
            return 0
        extractor: LocalExtractor | None = None
        try:
            extractor = await self._extractor(schema)
            failed = await self._write(found, schema, extractor, journal)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            journal.close()
            if extractor is not None:
                await extractor.close()
            await self._pool.close()
        if self._kind is not ExportFormat.JSONL:
            await asyncio.to_thread(self._make_table, journal, schema)
        return failed

    async def _write(self, found: Sequence[Found], schema: Schema, extractor: LocalExtractor, journal: Journal) -> int:
        """All files that are not in the journal yet, in order, a few at a time."""
        waiting = deque(await asyncio.to_thread(self._left, found, journal.done))
        progress = _Progress(len(found), len(found) - len(waiting))
        while waiting or self._tasks:
            while waiting and len(self._tasks) < _AT_WORK:
                work = self._one(waiting.popleft(), schema, extractor)
                self._tasks.append(asyncio.get_running_loop().create_task(work))
            done = await self._tasks[0]
            self._tasks.popleft()
            await asyncio.to_thread(journal.add, done.document, done.manifest)
            progress.tell(done)
        progress.end()
        return progress.failed

    async def _one(self, file: Found, schema: Schema, extractor: LocalExtractor) -> _Done:
        """A file to its line. Raises ``GatehouseError`` for what no file is to blame for."""
        began_at = time.monotonic()
        name = self._shown(file.path)
        try:
            reading = await read_one(self._pool, file.path, self._order.password, self._order.words)
            async with self._asking:
                asked_at = time.monotonic()
                made = await extractor.extract(reading, schema, self._order.model_id)
        except CannotGoOn:
            raise
        except DocumentError as error:
            status = "needs_password" if error.wants_password else "failed"
            return _Done(from_failure(name, status, error), None, 0, time.monotonic() - began_at)
        except GatehouseError as error:
            return _Done(from_failure(name, "failed", error), None, 0, time.monotonic() - began_at)
        doubtful = sum(needs_look(value, schema) for value in made.extraction.values)
        document = from_extraction(name, reading.sha256, made.extraction)
        return _Done(document, made.manifest, doubtful, time.monotonic() - asked_at)

    def _left(self, found: Sequence[Found], done: Mapping[str, str]) -> list[Found]:
        """The files that ``done`` lacks, or has with other bytes."""
        return [file for file in found if not _is_done(file, done.get(self._shown(file.path)))]

    def _make_table(self, journal: Journal, schema: Schema) -> None:
        writer = writer_for(self._kind, self._order.out, schema)
        try:
            for document in journal.documents():
                writer.add(document)
            writer.finish()
        except BaseException:
            writer.drop()
            raise
        journal.drop()

    async def _schema(self) -> Schema:
        """By its name, or from a file of that name."""
        path = Path(self._order.schema)
        if not await asyncio.to_thread(path.is_file):
            return await self._product.documents.schema_named(self._order.schema)
        try:
            text = await asyncio.to_thread(path.read_text, "utf-8-sig")
        except UnicodeDecodeError as error:
            raise GatehouseError("bad_schema", f"{path.name} is no schema: it is not text in UTF-8.") from error
        return schema_from_text(text, path.stem)

    async def _extractor(self, schema: Schema) -> LocalExtractor:
        """With the given examples, and nothing that people taught this installation: runs can be compared."""
        examples = []
        if self._order.examples is not None:
            for sample in await asyncio.to_thread(read_samples, self._order.examples, schema):
                reading = await self._pool.read(sample.path.absolute(), as_words=self._order.words)
                examples.append(Example(view_text(reading), sample.values))
        lesson = Lesson(tuple(examples), shipped())

        async def teach(_: Schema) -> Lesson:
            return lesson

        return LocalExtractor(self._product.models, lambda endpoint: LocalAsker(endpoint, "batch"), teach)

    def _shown(self, path: Path) -> str:
        """As the person named it: relative names stay relative."""
        if any(given.is_absolute() for given in self._order.paths):
            return str(path)
        return os.path.relpath(path)


def _is_done(file: Found, sha256: str | None) -> bool:
    if sha256 is None:
        return False
    try:
        return hash_file(file.path) == sha256
    except OSError:
        return False


class _Progress:
    """One line a file on standard error."""

    def __init__(self, total: int, done: int) -> None:
        self._total = total
        self._done = done
        self._first = done
        self._began_at = time.monotonic()
        self.failed = 0
        if done:
            printer.tell(f"{done} of {total} files are done already.")

    def tell(self, done: _Done) -> None:
        self._done += 1
        document = done.document
        name = Path(document.file).name
        if document.error is not None:
            self.failed += 1
            printer.tell(f"[{self._done}/{self._total}] {name}: {document.error[1]}")
            return
        doubt = f", {done.doubtful} to check" if done.doubtful else ""
        here = (time.monotonic() - self._began_at) / (self._done - self._first)
        left = _duration(here * (self._total - self._done))
        count = sum(value.value is not None for value in document.values)
        printer.tell(f"[{self._done}/{self._total}] {name}: {count} values{doubt}, {done.seconds:.1f} s, {left} left")

    def end(self) -> None:
        took = time.monotonic() - self._began_at
        count = self._done - self._first
        pace = f", {took / count:.1f} s a file" if count else ""
        failed = f", {self.failed} without values" if self.failed else ""
        printer.tell(f"{self._done} files in {_duration(took)}{pace}{failed}.")


def _duration(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} min" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60} min"
