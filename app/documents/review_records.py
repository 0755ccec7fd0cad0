"""What a person sees of a document and its values, and what they decided about them. Frozen values only."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from app.documents.batch_records import BatchFile
from app.documents.records import Box
from app.extraction.records import Evidence, ExtractionTimings, Value
from app.extraction.schema import Schema
from app.gate.label import DEFAULT_LABEL, Label
from app.models.records import Outlook


@dataclass(frozen=True, slots=True)
class PageSize:
    """One page, in points (1/72 inch)."""

    number: int
    """1-based."""
    width: float
    height: float
    source: str
    """``text``, ``ocr`` or ``words``."""


@dataclass(frozen=True, slots=True)
class Document:
    """A document as the store knows it; its text is :meth:`DocumentsApi.reading`'s."""

    id: str
    path: Path
    """Where it was read from; it may have gone since."""
    sha256: str
    kind: str
    """``pdf``, ``image``, ``docx`` ... by content, not by name."""
    size_bytes: int
    pages: tuple[PageSize, ...]
    characters: int
    label: Label = DEFAULT_LABEL
    notes: tuple[str, ...] = ()
    """Sentences of the reader: pages that had to be recognised, parts that were left out."""
    read_at: float = 0.0

    @property
    def name(self) -> str:
        return self.path.name


class ReviewAction(StrEnum):
    """What a person did with a value."""

    ACCEPTED = "accepted"
    CORRECTED = "corrected"
    ABSENT = "absent"
    """The document does not have it."""
    TAKEN = "taken"
    """Taken from a box that was drawn on the page."""


@dataclass(frozen=True, slots=True)
class Review:
    """A person's decision. It replaces the machine's value, which stays beside it."""

    action: ReviewAction
    value: str | None
    """Canonical, as ``Value.value``; ``None`` for absent."""
    raw: str
    """As typed, or as it stands on the page."""
    evidence: tuple[Evidence, ...]
    problems: tuple[str, ...]
    """Sentences of validators that the decided value breaks; it is kept all the same."""
    at: float


@dataclass(frozen=True, slots=True)
class ReviewedValue:
    """A value of the machine, and what a person made of it."""

    value: Value
    review: Review | None
    doubtful: bool
    """Worth a look: uncertain, unproven, against a rule, or required and absent. False once it was reviewed."""

    @property
    def name(self) -> str:
        return self.value.name

    @property
    def shown(self) -> str | None:
        """The value that counts: the person's, else the machine's."""
        return self.value.value if self.review is None else self.review.value

    @property
    def places(self) -> tuple[Evidence, ...]:
        """The evidence of the value that counts."""
        return self.value.evidence if self.review is None else self.review.evidence


@dataclass(frozen=True, slots=True)
class Result:
    """Everything about one extracted file, in the schema's order; the page sorts it by doubt."""

    file: BatchFile
    document: Document
    schema: Schema
    values: tuple[ReviewedValue, ...]
    model: str
    timings: ExtractionTimings
    notes: tuple[str, ...] = ()
    undoable: bool = False
    """Whether :meth:`DocumentsApi.undo` would take something back here."""

    @property
    def by_doubt(self) -> tuple[ReviewedValue, ...]:
        """What needs a look first: doubtful ones by rising confidence, then the rest likewise."""
        return tuple(sorted(self.values, key=lambda item: (not item.doubtful, item.value.confidence)))


@dataclass(frozen=True, slots=True)
class BoxText:
    """What stands inside a box that was drawn on a page."""

    text: str
    evidence: tuple[Evidence, ...]
    """One for each line."""


class ExportFormat(StrEnum):
    """Tables with evidence and confidence."""

    CSV = "csv"
    XLSX = "xlsx"
    JSONL = "jsonl"
    SQLITE = "sqlite"


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export wrote."""

    path: Path
    files: int
    values: int
    size_bytes: int


class AttachmentState(StrEnum):
    """How far a document that was attached to a conversation is."""

    READING = "reading"
    READY = "ready"
    NEEDS_PASSWORD = "needs_password"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class AttachedDocument:
    """A document attached to a conversation: every further question there is asked with it."""

    id: str
    conversation_id: str
    path: Path
    state: AttachmentState
    document_id: str | None = None
    pages: int = 0
    tokens: int | None = None
    """Of the whole text, roughly; ``None`` until it was read."""
    whole: bool | None = None
    """Whether its whole text fits; else passages are looked up for each question."""
    outlook: Outlook | None = None
    """How they are, where a model for vectors is on this machine."""
    label: Label = DEFAULT_LABEL
    sentence: str = ""
    """Why it cannot be used, when it failed."""

    @property
    def name(self) -> str:
        return self.path.name


@dataclass(frozen=True, slots=True)
class Citation:
    """A place that an answer points to by its number, as in ``[2]``."""

    number: int
    document_id: str
    name: str
    """The file's."""
    page: int
    start: int
    """Offsets into the document's text, half open."""
    end: int
    text: str
    boxes: tuple[Box, ...]
    """One for each line on ``page``; empty where the format has no places."""
