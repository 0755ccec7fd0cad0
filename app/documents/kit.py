"""What all parts of the documents service work with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from app.bus import Bus
from app.documents.pool import MarkUp
from app.documents.records import Reading
from app.extraction.ask import Asker
from app.extraction.manifest import Manifest
from app.extraction.records import Extraction
from app.extraction.schema import Schema
from app.lanes import StoreLane
from engine.errors import GatehouseError


class Readers(Protocol):
    """What is needed of ``app.documents.pool``. Everything raises ``DocumentError``."""

    async def read(
        self, path: Path, password: str | None = None, as_words: bool = False, *, sha256: str = ""
    ) -> Reading: ...

    async def render(
        self,
        path: Path,
        page: int,
        width_px: int,
        password: str | None = None,
        as_words: bool = False,
        *,
        sha256: str = "",
    ) -> bytes: ...

    async def mark_up(
        self,
        path: Path,
        marks: Sequence[MarkUp],
        out: Path,
        password: str | None = None,
        as_words: bool = False,
        *,
        sha256: str = "",
    ) -> None: ...

    async def close(self) -> None: ...


class CannotGoOn(GatehouseError):
    """A batch cannot go on for now, through no fault of its files: no model, another model, a full disk."""


@dataclass(frozen=True, slots=True)
class Extracted:
    """A file's values, and what it takes to repeat them."""

    extraction: Extraction
    manifest: Manifest


class Extractor(Protocol):
    """Takes values out of readings with the local model."""

    async def extract(self, reading: Reading, schema: Schema, model_id: str | None) -> Extracted:
        """Raises ``CannotGoOn`` for what no file is to blame for, other ``GatehouseError`` for this file's own."""

    async def close(self) -> None: ...


class ClosableAsker(Asker, Protocol):
    """An asker over a connection."""

    async def close(self) -> None: ...


MakeAsker = Callable[[], Awaitable[ClosableAsker]]
"""Waits for the loaded model. Raises ``GatehouseError``."""


@dataclass(frozen=True, slots=True)
class Kit:
    """Handed to each part by ``app.bootstrap``."""

    lane: StoreLane
    bus: Bus
    readers: Readers
    extractor: Extractor
    seal_key: bytes = b""
    """Results are sealed with it; without one the seal shows changes by accident only."""
    passwords: dict[str, str] = field(default_factory=dict, repr=False)
    """What opened encrypted documents, by their SHA-256: in memory only, for as long as the program runs."""
