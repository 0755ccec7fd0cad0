"""The second, small worker: makes vectors of texts when the library holds a model for that and it fits beside the chat.

Started when somebody asks, ended when nobody does, and before another chat model is planned, which goes first. Where
there is no such model, or no room, there are no vectors and a sentence says why. Runs in the core thread. What vectors
are good for is ``app.documents.meaning``'s.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from app.models.planner import Beside, Planner
from app.models.records import LoadedModel, ModelCard, Outlook
from app.models.vector_prompts import Purpose, prompted
from app.providers.local_vectors import VectorClient
from engine.errors import GatehouseError, RequestError, WorkerError
from engine.fit.plan import Plan, Wish
from engine.worker.spec import Ready, WorkerSpec
from engine.worker.supervisor import Supervisor

_log = logging.getLogger(__name__)

IDLE_S: Final = 120.0
_LOOK_AGAIN_S: Final = 30.0
"""After a model did not fit or did not start; memory may be free by then."""
_N_CTX: Final = 1024
"""Passages have some 200 tokens, in the worst of scripts 700."""
_LEAST_CHARACTERS: Final = 16
_REVISION: Final = 1
"""Of how texts are shown to models. Vectors of different ones are not compared."""


@dataclass(frozen=True, slots=True)
class Vectors:
    """Rows for texts, of Euclidean length one, as little-endian 32-bit floats."""

    model: str
    """Names the model's bytes: rows of different ones cannot be compared."""
    rows: tuple[bytes, ...]


class Cards(Protocol):
    """What is needed of ``app.models.shelf``."""

    async def cards(self) -> Sequence[ModelCard]: ...


@dataclass(slots=True)
class _Up:
    """The worker."""

    card: ModelCard
    model: str
    supervisor: Supervisor


class VectorWorker:
    """At most one worker beside the chat's. Close it."""

    def __init__(
        self, shelf: Cards, planner: Planner, loaded: Callable[[], LoadedModel], idle_s: float = IDLE_S
    ) -> None:
        """``loaded`` says which chat model there is, whose memory is not touched."""
        self._shelf = shelf
        self._planner = planner
        self._loaded = loaded
        self._idle_s = idle_s
        self._up: _Up | None = None
        self._starting = asyncio.Lock()
        self._idle: asyncio.TimerHandle | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self._client = VectorClient()
        self._users = 0
        self._why = ""
        self._looked_at = float("-inf")
        self._hashes: dict[tuple[str, int, int], str] = {}
        self._closed = False

    @property
    def pid(self) -> int | None:
        """Of the process, while there is one."""
        return self._up.supervisor.pid if self._up is not None else None

    async def outlook(self) -> Outlook | None:
        """How passages are looked up; ``None`` where no model for vectors is on this machine."""
        up = self._up
        if up is None:
            candidates = await self._candidates()
            if not candidates:
                return None
            name = candidates[0].name
            if self._refusing():
                return Outlook(by_meaning=False, sentence=f"Passages are found by their words only: {self._why}")
        else:
            name = up.card.name
        sentence = f"Passages are found by their words and, with {name}, by their meaning."
        return Outlook(by_meaning=True, sentence=sentence)

    async def embed(self, texts: Sequence[str], purpose: Purpose) -> Vectors | None:
        """A row for each text; ``None`` where no model is there for it, none fits, or it failed, which is logged."""
        self._users += 1
        try:
            up = await self._ready()
            if up is None:
                return None
            names = (up.card.id, up.card.name, up.card.architecture)
            rows = await self._rows(up, [prompted(text, purpose, *names) for text in texts])
            return Vectors(up.model, tuple(rows))
        except GatehouseError as error:
            _log.warning("No vectors were made: %s: %s", error.code, error.sentence)
            self._refuse(error.sentence)
            await self.end()
            return None
        finally:
            self._users -= 1
            self._rest()

    async def end(self) -> None:
        """End the worker; it comes back when somebody asks. What it computes is lost."""
        up, self._up = self._up, None
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        if up is not None:
            await up.supervisor.stop()

    async def make_room(self) -> None:
        """A chat model is about to be planned, and gets the memory; whether there is room beside it is seen anew."""
        await self.end()
        self._looked_at = float("-inf")

    async def close(self) -> None:
        """End it for good."""
        self._closed = True
        async with self._starting:
            await self.end()
        await asyncio.gather(*self._ending, return_exceptions=True)
        await self._client.close()

    def _rest(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        if self._up is not None and not self._users and not self._closed:
            self._idle = asyncio.get_running_loop().call_later(self._idle_s, self._end_idle)

    def _end_idle(self) -> None:
        if not self._users:
            task = asyncio.get_running_loop().create_task(self.end(), name="end vector worker")
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    def _refusing(self) -> bool:
        return bool(self._why) and asyncio.get_running_loop().time() - self._looked_at < _LOOK_AGAIN_S

    def _refuse(self, why: str) -> None:
        self._why = why
        self._looked_at = asyncio.get_running_loop().time()

    async def _candidates(self) -> list[ModelCard]:
        """Models for vectors, the smallest first: a processor reads a whole document with it."""
        cards = [card for card in await self._shelf.cards() if card.output == "vectors" and not card.fault]
        return sorted(cards, key=lambda card: (card.size_bytes, card.id))

    async def _ready(self) -> _Up | None:
        """Raises ``GatehouseError`` when it cannot be started."""
        async with self._starting:
            if self._up is None or not self._up.supervisor.running:
                self._up = await self._start()
            if self._up is None:
                return None
            await self._up.supervisor.ready()
            return self._up

    async def _start(self) -> _Up | None:
        if self._closed or self._refusing():
            return None
        for card in await self._candidates():
            wish = Wish(n_ctx=min(card.n_ctx_train or _N_CTX, _N_CTX), sessions=1)
            loaded = self._loaded()
            beside = Beside(loaded.plan, isinstance(loaded.state, Ready)) if loaded.plan is not None else None
            plan = await self._planner.plan_file(card.path, wish, beside=beside)
            if isinstance(plan, Plan):
                model = f"{await asyncio.to_thread(self._hash, card)}/{_REVISION}"
                spec = WorkerSpec(plan, card.id, "127.0.0.1", 0, (), os.getpid())
                supervisor = Supervisor(spec)
                supervisor.start()
                self._why = ""
                return _Up(card, model, supervisor)
            self._refuse(plan.sentence)
        return None

    def _hash(self, card: ModelCard) -> str:
        """Of the file's bytes; once while size and time of change stay the same. Raises ``WorkerError``."""
        from app.extraction.manifest import hash_file

        try:
            status = card.path.stat()
            key = (str(card.path), status.st_size, status.st_mtime_ns)
            if key not in self._hashes:
                self._hashes[key] = hash_file(card.path)
        except OSError as error:
            raise WorkerError("unreadable", f"{card.path.name} could not be read: {error.strerror}.") from error
        return self._hashes[key]

    async def _rows(self, up: _Up, texts: Sequence[str]) -> list[bytes]:
        """All at once; where one is too long for the model, each by itself, and the long ones without their ends."""
        try:
            return await self._client.rows(up.supervisor.address or "", up.supervisor.token or "", texts)
        except RequestError as error:
            if error.code != "context_length_exceeded":
                raise
            if len(texts) == 1:
                if len(texts[0]) <= _LEAST_CHARACTERS:
                    raise
                return await self._rows(up, [texts[0][: len(texts[0]) * 2 // 3]])
        return [row for text in texts for row in await self._rows(up, [text])]
