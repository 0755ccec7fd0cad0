"""What an extraction gives: values with their proof, their confidence and what they took. Records only."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from app.documents.records import Box
from app.extraction.schema import FieldType


class Grounding(StrEnum):
    """How a value was found in the source. Only what was found counts as proven."""

    EXACT = "exact"
    """Character by character."""
    NORMALISED = "normalised"
    """But for case, spaces, punctuation, number and date formats, or look-alikes of a scan."""
    FUZZY = "fuzzy"
    """Nearly: within a limit that the length sets."""
    UNPROVEN = "unproven"
    """Not found. The value may be inferred, or wrong."""
    ABSENT = "absent"
    """The model says that the document does not have it."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One place of the source, at most one line long; a value of several lines has several."""

    page: int
    """1-based."""
    box: Box | None
    """``None`` where the format has no places on a page."""
    start: int
    """Offsets into ``Reading.text``, half open."""
    end: int
    text: str
    """What stands there."""


@dataclass(frozen=True, slots=True)
class Value:
    """One value of one document."""

    name: str
    """The field's path: ``total``, ``seller.name``, ``lines[0].amount``, ``parties[1]``."""
    type: FieldType
    value: str | None
    """Canonical: a plain decimal (``1234.50``), an ISO date, ``true`` or ``false``, a text. ``None``: absent."""
    raw: str
    """As the document, or else the model, writes it. Empty when absent."""
    confidence: float
    """The probability that ``value`` is right, 0 to 1, calibrated."""
    grounding: Grounding
    evidence: tuple[Evidence, ...] = ()
    currency: str = ""
    """Of an amount, as an ISO 4217 code where the document names one."""
    problems: tuple[str, ...] = ()
    """Sentences of validators and rules that it broke."""
    alternatives: tuple[str, ...] = ()
    """Other values that were weighed, best first."""
    score: float | None = None
    """Before calibration, 0 to 1; kept so that labels can renew the calibration."""


@dataclass(frozen=True, slots=True)
class ExtractionTimings:
    """What it took. Seconds are of the wall clock; tokens are of all requests together."""

    total_s: float = 0.0
    model_s: float = 0.0
    requests: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Extraction:
    """All values of a document for a schema, in the schema's order. Absent fields are values too."""

    values: tuple[Value, ...]
    model: str
    timings: ExtractionTimings = ExtractionTimings()
    notes: tuple[str, ...] = ()
    """Sentences about the whole, for a person: rows that may be missing, parts that were not read."""
    prompt_sha256: str = ""
    """Of instruction and schema as the model saw them, so that a result can be repeated."""


@dataclass(frozen=True, slots=True)
class ExampleValue:
    """One field of a corrected document: what a person says is right, ``None`` for absent."""

    name: str
    """A path as in ``Value.name``."""
    value: str | None


@dataclass(frozen=True, slots=True)
class Example:
    """A document whose fields a person has seen, shown to the model before the next one."""

    text: str
    """``view.view_text`` of its reading, or ``Reading.text``, whole."""
    values: tuple[ExampleValue, ...]
    corrected: int = 0
    """How many fields the person had to change. What the model got wrong teaches most."""
