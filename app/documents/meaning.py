"""Passages near a question in meaning: each is shown to the model for vectors once, and its vector kept in the store.

A long document is learned in the background, from the moment that somebody begins to ask; the question waits a little
and uses what is there. The worker is ``app.models.vectors``'s, ranks together with words ``app.chat.attachments``'s.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Final, Literal, Protocol

from app.lanes import StoreLane
from app.models.vectors import Vectors
from app.store import passages
from app.store.database import Connection
from app.store.passages import Passage
from engine.errors import GatehouseError

_log = logging.getLogger(__name__)

_AT_ONCE: Final = 8
"""Passages in one request: a question waits for no more than one of these."""
_WAIT_S: Final = 6.0
"""How long a question waits for passages that have no vector yet; words find them meanwhile."""
_YIELD_S: Final = 0.5
_SHORT: Final = "a"


class VectorMaker(Protocol):
    """What is needed of ``app.models.vectors``."""

    async def embed(self, texts: Sequence[str], purpose: Literal["question", "passage"]) -> Vectors | None: ...


class Meaning:
    """Learns documents and finds their passages. The core thread. Close it."""

    def __init__(
        self, lane: StoreLane, maker: VectorMaker, busy: Callable[[], bool] = lambda: False, wait_s: float = _WAIT_S
    ) -> None:
        """``busy``: somebody is being answered; while nobody waits for vectors, learning lets that go first."""
        self._lane = lane
        self._maker = maker
        self.busy = busy
        self._wait_s = wait_s
        self._wanted: list[str] = []
        self._learning: asyncio.Task[None] | None = None
        self._waiting = 0
        self._needed = asyncio.Event()
        """Set while a question waits."""
        self._question: tuple[str, Vectors] | None = None

    def learn(self, document_ids: Sequence[str]) -> None:
        """Begin to make what vectors are missing, if that is not being done."""
        self._wanted += [one for one in document_ids if one not in self._wanted]
        if self._wanted and self._learning is None:
            self._learning = asyncio.get_running_loop().create_task(self._learn(), name="learn passages")

    async def nearest(self, document_ids: Sequence[str], question: str, limit: int) -> tuple[Passage, ...]:
        """Best first; empty where there are no vectors. Of a document that is still being learned, what is known."""
        asked = await self._ask(question)
        if asked is None:
            return ()
        self.learn(document_ids)
        self._waiting += 1
        self._needed.set()
        try:
            if self._learning is not None:
                await asyncio.wait((self._learning,), timeout=self._wait_s)
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._needed.clear()
        model, vector = asked.model, asked.rows[0]
        return await self._lane.read(partial(_nearest, ids=document_ids, model=model, vector=vector, limit=limit))

    def forget(self) -> None:
        """The app is locked: nothing more is read, and no question stays in memory."""
        self._question = None
        self._wanted.clear()
        if self._learning is not None:
            self._learning.cancel()

    async def close(self) -> None:
        learning = self._learning
        self.forget()
        if learning is not None:
            await asyncio.gather(learning, return_exceptions=True)

    async def _ask(self, question: str) -> Vectors | None:
        """A question is laid out twice before it is answered, and computed once."""
        if self._question is None or self._question[0] != question:
            made = await self._maker.embed([question], "question")
            self._question = (question, made) if made is not None else None
        return self._question[1] if self._question is not None else None

    async def _learn(self) -> None:
        try:
            while self._wanted:
                ids = tuple(self._wanted)
                if not await self._learn_some(ids):
                    del self._wanted[: len(ids)]
        except GatehouseError as error:
            _log.warning("Learning passages ended: %s", error.sentence)
            self._wanted.clear()
        finally:
            self._learning = None

    async def _learn_some(self, ids: Sequence[str]) -> bool:
        """Vectors for a few passages that have none; ``False`` when there is nothing to do, or nobody to do it."""
        while self.busy() and not self._needed.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._needed.wait(), _YIELD_S)
        known = await self._maker.embed([_SHORT], "passage")  # says which model there is
        if known is None:
            return False
        part = await self._lane.read(partial(_unseen, ids=ids, model=known.model))
        made = await self._maker.embed([passage.text for passage in part], "passage") if part else None
        if made is None:
            return False
        rows = [(passage.seq, row) for passage, row in zip(part, made.rows, strict=True)]
        await self._lane.write(partial(_keep, model=made.model, rows=rows))
        return True


def _unseen(connection: Connection, ids: Sequence[str], model: str) -> tuple[Passage, ...]:
    return passages.without_vectors(connection, ids, model, _AT_ONCE)


def _keep(connection: Connection, model: str, rows: Sequence[tuple[int, bytes]]) -> None:
    passages.add_vectors(connection, model, rows)


def _nearest(connection: Connection, ids: Sequence[str], model: str, vector: bytes, limit: int) -> tuple[Passage, ...]:
    return passages.by_vector(connection, ids, model, vector, limit)
