"""Takes values out of readings with whichever model is loaded: waits for it, chooses examples, writes the manifest.

The pipeline computes for a while between two questions, so it runs in a thread with a loop of its own: nobody's chat
waits for it. What a question is, is ``pipeline``'s; which file comes next is ``app.documents.runner``'s.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from app.documents.kit import CannotGoOn, Extracted
from app.documents.records import Reading
from app.extraction.ask import Asker
from app.extraction.manifest import ModelIdentity, hash_file, write_manifest
from app.extraction.records import Example, Extraction
from app.extraction.schema import Schema
from app.lanes import CoreThread
from app.models.records import LoadedModel
from app.providers.provider import Endpoint
from engine.errors import GatehouseError, WorkerError

if TYPE_CHECKING:
    from app.extraction.calibration import Calibration
    from app.extraction.learning import Lesson

_TRIES: Final = 5
"""Of a file whose question ended with the model's process; after these the file is suspected."""
_LESSON_FILES: Final = 20
_LESSON_S: Final = 60.0
"""Examples stand before every document, and the model has computed them: they are chosen anew after so many files, or
when nothing was asked for so long."""

T = TypeVar("T")


class ModelHost(Protocol):
    """What is needed of the models."""

    def loaded(self) -> LoadedModel: ...

    async def ensure_ready(self, model_id: str | None) -> Endpoint:
        """Raises ``GatehouseError``."""

    async def explain_loss(self, endpoint: Endpoint) -> GatehouseError | None: ...


class ClosableAsker(Asker, Protocol):
    """An asker over a connection."""

    async def close(self) -> None: ...


@dataclass(slots=True)
class _Learned:
    lesson: Lesson
    left: int
    used_at: float


class LocalExtractor:
    """The extractor of the product. Close it."""

    def __init__(
        self,
        host: ModelHost,
        make_asker: Callable[[Endpoint], ClosableAsker],
        teach: Callable[[Schema], Awaitable[Lesson]],
    ) -> None:
        """``teach`` says what is known about a schema: examples, and how scores are read."""
        self._teach = teach
        self._host = host
        self._make_asker = make_asker
        self._thread: CoreThread | None = None
        self._asker: tuple[Endpoint, ClosableAsker] | None = None
        self._learned: dict[str, _Learned] = {}
        self._hashes: dict[tuple[str, int, int], str] = {}
        self._hashing = asyncio.Lock()

    async def extract(self, reading: Reading, schema: Schema, model_id: str | None) -> Extracted:
        lesson = await self._lesson(schema)
        for left in reversed(range(_TRIES)):
            endpoint = await self._endpoint(model_id)
            try:
                extraction = await self._ask(endpoint, reading, schema, lesson.examples, lesson.calibration)
            except WorkerError as error:
                cause = await self._host.explain_loss(endpoint)
                if not left:
                    raise cause or error from error
                continue
            identity = await self._identity(endpoint)
            manifest = write_manifest(schema, identity, lesson.examples, extraction.prompt_sha256)
            return Extracted(extraction, manifest)
        raise AssertionError("The last try returns or raises.")

    async def close(self) -> None:
        thread, self._thread = self._thread, None
        if thread is None:
            return
        if self._asker is not None:
            await asyncio.wrap_future(thread.submit(self._asker[1].close()))
            self._asker = None
        await asyncio.to_thread(thread.stop)

    async def _endpoint(self, model_id: str | None) -> Endpoint:
        """Where the model answers. Raises ``CannotGoOn`` when it is not there, or another one is in its place."""
        loaded = self._host.loaded().model_id
        if model_id is not None and loaded is not None and loaded != model_id:
            sentence = f"This batch asks {model_id}, but {loaded} is loaded."
            raise CannotGoOn("other_model", sentence, f"Load {model_id}, or make a batch for the model that is loaded.")
        try:
            return await self._host.ensure_ready(model_id)
        except GatehouseError as error:
            raise CannotGoOn(error.code, error.sentence, error.hint) from error

    async def _ask(
        self,
        endpoint: Endpoint,
        reading: Reading,
        schema: Schema,
        examples: Sequence[Example],
        calibration: Calibration,
    ) -> Extraction:
        async def work() -> Extraction:
            from app.extraction.pipeline import extract

            return await extract(reading, schema, examples, await self._asker_for(endpoint), calibration)

        return await self._elsewhere(work)

    async def _asker_for(self, endpoint: Endpoint) -> Asker:
        """In the thread of the pipeline."""
        if self._asker is None or self._asker[0] != endpoint:
            before, self._asker = self._asker, (endpoint, self._make_asker(endpoint))
            if before is not None:
                await before[1].close()
        return self._asker[1]

    async def _elsewhere(self, work: Callable[[], Awaitable[T]]) -> T:
        """Run in the pipeline's own thread; cancelling this cancels it there."""
        if self._thread is None:
            self._thread = CoreThread("extraction")
            self._thread.start()

        async def begin() -> T:
            return await work()

        return await asyncio.wrap_future(self._thread.submit(begin()))

    async def _lesson(self, schema: Schema) -> Lesson:
        """What people taught about this schema, the same for a while."""
        now = time.monotonic()
        learned = self._learned.get(schema.name)
        if learned is None or learned.left <= 0 or now - learned.used_at > _LESSON_S:
            learned = self._learned[schema.name] = _Learned(await self._teach(schema), _LESSON_FILES, now)
        learned.left -= 1
        learned.used_at = now
        return learned.lesson

    async def _identity(self, endpoint: Endpoint) -> ModelIdentity:
        """The loaded model by its bytes, hashed once while file and time of change stay the same."""
        plan = self._host.loaded().plan
        if plan is None:
            return ModelIdentity(endpoint.model_id, "", 0, endpoint.n_ctx)
        async with self._hashing:
            sha256, size_bytes = await asyncio.to_thread(self._hash, plan.model_path)
        return ModelIdentity(endpoint.model_id, sha256, size_bytes, endpoint.n_ctx)

    def _hash(self, path: Path) -> tuple[str, int]:
        try:
            status = path.stat()
            key = (str(path), status.st_size, status.st_mtime_ns)
            if key not in self._hashes:
                self._hashes[key] = hash_file(path)
        except OSError:
            return "", 0  # the model is in memory, its file is gone: the result says that it is unknown
        return self._hashes[key], status.st_size
