"""Asks the scanner's child what a text gives away. Every fault raises: who cannot look lets nothing out.

The recognisers are ``scanner_child``'s; names that only a model finds are ``names.py``'s; terms of the person's own
``detect.py``'s.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Final

from app.gate.placeholders import is_kind
from app.gate.records import Finding
from engine.errors import GatehouseError
from engine.sandbox.child import ChildEnded, SandboxedChild
from engine.sandbox.limits import Confinement, Limits

MODULE: Final = "app.gate.scanner_child"
MAX_CHARS: Final = 4 << 20
"""Of all texts of one call together."""
_IDLE_S: Final = 120.0
_PIECE_CHARS: Final = 64_000
_OVERLAP_CHARS: Final = 512
_DETECTORS: Final = frozenset({"checksum", "pattern"})
_LIMITS: Final = Limits(memory_bytes=768 << 20, cpu_s=120, wall_s=120.0, open_files=64, answer_bytes=32 << 20)


class Scanner:
    """The recognisers, in a confined process that is started when it is needed and ended when it is idle."""

    def __init__(self, *, idle_s: float = _IDLE_S, limits: Limits = _LIMITS) -> None:
        self._limits = limits
        self._child: SandboxedChild | None = None
        self._turn = asyncio.Lock()
        self._idle_s = idle_s
        self._farewell: asyncio.TimerHandle | None = None
        self._ending: asyncio.Task[None] | None = None
        self._closed = False

    async def scan(self, texts: Sequence[str]) -> tuple[tuple[Finding, ...], ...]:
        """For each text what was found, in order, without overlaps.

        Raises ``GatehouseError`` ``not_scanned`` when it is not certain that everything was looked at.
        """
        if sum(map(len, texts)) > MAX_CHARS:
            raise GatehouseError(
                "not_scanned",
                f"The text has {sum(map(len, texts)):,} characters; {MAX_CHARS:,} can be looked through at once.",
                "Leave something out.",
            )
        pieces = [(place, at, piece) for place, text in enumerate(texts) for at, piece in _pieces(text)]
        if not pieces:
            return tuple(() for _ in texts)
        raw = await self._ask([piece for _, _, piece in pieces])
        found: list[list[Finding]] = [[] for _ in texts]
        for (place, at, piece), rows in zip(pieces, _checked(raw, len(pieces)), strict=True):
            for one in _findings(rows, piece):
                before = found[place][-1].end if found[place] else 0
                if one.start + at >= before:
                    found[place].append(
                        Finding(one.kind, one.start + at, one.end + at, one.text, one.detector, one.score)
                    )
        return tuple(map(tuple, found))

    @property
    def confinement(self) -> Confinement | None:
        """What holds the child; ``None`` while there is none."""
        return self._child.confinement if self._child is not None else None

    @property
    def pid(self) -> int | None:
        """The child's process; ``None`` while there is none."""
        return self._child.pid if self._child is not None else None

    async def close(self) -> None:
        """End the child. Later scans raise."""
        self._closed = True
        async with self._turn:
            await self._end()
        if self._ending is not None:
            await self._ending

    async def _ask(self, texts: list[str]) -> object:
        question = json.dumps(texts).encode("ascii")
        async with self._turn:
            if self._closed:
                raise _not_scanned("The scanner was already closed.")
            if self._farewell is not None:
                self._farewell.cancel()
            try:
                if self._child is None or not self._child.alive:
                    await self._end()
                    self._child = await SandboxedChild.start(MODULE, self._limits)
                answer = await self._child.ask(question)
                return json.loads(answer)
            except ChildEnded as error:
                raise _not_scanned(error.sentence) from error
            except ValueError as error:
                await self._end()
                raise _not_scanned("The scanner answered something that is not JSON.") from error
            finally:
                if not self._closed:
                    self._farewell = asyncio.get_running_loop().call_later(self._idle_s, self._go_idle)

    def _go_idle(self) -> None:
        self._ending = asyncio.get_running_loop().create_task(self._end_if_idle())

    async def _end_if_idle(self) -> None:
        if not self._turn.locked():
            async with self._turn:
                await self._end()

    async def _end(self) -> None:
        if self._farewell is not None:
            self._farewell.cancel()
        child, self._child = self._child, None
        if child is not None and child.alive:
            await child.stop()


def _pieces(text: str) -> list[tuple[int, str]]:
    """The text in pieces that overlap by more than the longest number."""
    if not text:
        return []
    step = _PIECE_CHARS - _OVERLAP_CHARS
    return [(at, text[at : at + _PIECE_CHARS]) for at in range(0, max(len(text) - _OVERLAP_CHARS, 1), step)]


def _checked(raw: object, count: int) -> list[list[object]]:
    if not isinstance(raw, list) or len(raw) != count or not all(isinstance(rows, list) for rows in raw):
        raise _not_scanned("The scanner answered for other texts than were given.")
    return raw


def _findings(rows: list[object], text: str) -> list[Finding]:
    """Findings from what the child said. Raises ``GatehouseError`` for anything that cannot be."""
    found = []
    for row in rows:
        if not isinstance(row, list) or len(row) != 5:
            raise _not_scanned("The scanner answered with something that is no finding.")
        kind, start, end, detector, score = row
        sound = (
            isinstance(kind, str)
            and is_kind(kind)
            and type(start) is int
            and type(end) is int
            and 0 <= start < end <= len(text)
            and detector in _DETECTORS
            and isinstance(score, float)
        )
        if not sound:
            raise _not_scanned("The scanner answered with something that is no finding.")
        found.append(Finding(kind, start, end, text[start:end], detector, score))
    return found


def _not_scanned(why: str) -> GatehouseError:
    return GatehouseError(
        "not_scanned", f"The text could not be looked through, so nothing leaves: {why}", "Try again, or stay local."
    )
