"""Batches of files as frozen values: what is asked of them, how far each file came, and why it did not come further.

Times are seconds since the epoch. What a file's extraction holds is ``app.documents.review_records``'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from app.gate.label import DEFAULT_LABEL, Label


class BatchState(StrEnum):
    """What a batch is doing."""

    RUNNING = "running"
    """Files are worked on, or wait for their turn."""
    PAUSED = "paused"
    DONE = "done"
    """Nothing is left to do; failed files may be among the ended ones. A watched folder can make it run again."""
    CANCELLED = "cancelled"
    """The person ended it; what was done stays."""


class FileState(StrEnum):
    """How far a file of a batch came."""

    WAITING = "waiting"
    READING = "reading"
    """In a reader: text, boxes, recognition of scans."""
    EXTRACTING = "extracting"
    """Its values are asked of the model."""
    DONE = "done"
    NEEDS_PASSWORD = "needs_password"
    FAILED = "failed"
    """``cause`` and ``sentence`` say why; :meth:`DocumentsApi.retry` tries again."""
    CANCELLED = "cancelled"

    @property
    def is_ended(self) -> bool:
        """Nothing more happens to it unless a person asks."""
        return self in (FileState.DONE, FileState.NEEDS_PASSWORD, FileState.FAILED, FileState.CANCELLED)


@dataclass(frozen=True, slots=True)
class FileCounts:
    """How many files of a batch are where."""

    waiting: int = 0
    working: int = 0
    done: int = 0
    failed: int = 0
    needs_password: int = 0
    cancelled: int = 0

    @property
    def total(self) -> int:
        return self.waiting + self.working + self.done + self.failed + self.needs_password + self.cancelled


@dataclass(frozen=True, slots=True)
class Cause:
    """Files of a batch that failed for one reason."""

    code: str
    sentence: str
    """Of the first of them."""
    count: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Files that are asked for the values of one schema by one model."""

    id: str
    title: str
    schema_name: str
    schema_version: int
    model_id: str | None
    """``None``: whichever model is loaded when a file's turn comes."""
    state: BatchState
    position: int
    """0-based; batches of a lower position are worked on first."""
    created_at: float
    counts: FileCounts = FileCounts()
    doubtful_values: int = 0
    """Values that a person should look at and has not yet."""
    watched: tuple[Path, ...] = ()
    """Folders whose new files join by themselves."""
    label: Label = DEFAULT_LABEL
    """Every document of the batch has at least this one."""
    as_words: bool = False
    """Files are lists of words with boxes (``box/*.csv``), not documents."""
    file_s: float | None = None
    """Seconds a file took lately; ``None`` before the first."""
    left_s: float | None = None
    """Until the last file at that pace, as far as one can say."""
    causes: tuple[Cause, ...] = ()
    """Why files failed, the most frequent reason first."""
    waits_for: str = ""
    """A sentence when the batch cannot go on by itself: no model, a chat comes first."""
    watch_fault: str = ""
    """A sentence when a watched folder cannot be looked into."""


@dataclass(frozen=True, slots=True)
class BatchFile:
    """One file of a batch."""

    id: str
    batch_id: str
    path: Path
    state: FileState
    position: int
    """0-based among the files of its batch."""
    size_bytes: int
    attempts: int = 0
    """How often it was begun."""
    cause: str = ""
    """A stable code when it failed: ``vanished``, ``changed``, ``damaged``, ``too_large``, ``reader_died`` ..."""
    sentence: str = ""
    hint: str = ""
    document_id: str | None = None
    """Once it was read."""
    pages: int = 0
    seconds: float | None = None
    """What reading and extraction took."""
    doubtful_values: int = 0
    reviewed: bool = False
    """A person has looked at every doubtful value."""
    mean_confidence: float | None = None

    @property
    def name(self) -> str:
        return self.path.name


@dataclass(frozen=True, slots=True)
class NewBatch:
    """What :meth:`DocumentsApi.create` needs to know."""

    paths: tuple[Path, ...]
    """Files, and folders with everything below them but hidden files."""
    schema_name: str
    title: str = ""
    """Empty: made from the folder or file."""
    model_id: str | None = None
    watch: bool = False
    """Watch the folders among ``paths`` as well."""
    label: Label = DEFAULT_LABEL
    as_words: bool = False
    paused: bool = False
