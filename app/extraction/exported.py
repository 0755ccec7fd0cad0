"""What an export holds: each document with its values as they count now, and its line of JSON. Pure.

The line: ``{"file", "sha256", "status", "fields": {name: {"value", "raw", "confidence", "grounding", "evidence":
[{"page", "box", "start", "end", "text"}]}}, "model", "timings"}``. A file without values has an ``error`` besides; a
value that a person decided about has a ``review``, an amount may have a ``currency``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from app.documents.review_records import ReviewAction, ReviewedValue
from app.extraction.records import Evidence, Extraction, ExtractionTimings, Grounding, Value
from app.extraction.schema import Field, FieldType, Schema
from engine.errors import GatehouseError


@dataclass(frozen=True, slots=True)
class ExportedValue:
    """A value that counts, with its proof."""

    name: str
    type: FieldType
    value: str | None
    raw: str
    confidence: float
    """Of what a person decided: 1."""
    grounding: Grounding
    evidence: tuple[Evidence, ...]
    currency: str = ""
    review: str = ""
    """A ``ReviewAction``, or empty."""


@dataclass(frozen=True, slots=True)
class ExportedDocument:
    """One file of an export."""

    file: str
    sha256: str
    status: str
    """``done``, or how else it ended."""
    values: tuple[ExportedValue, ...] = ()
    model: str = ""
    timings: ExtractionTimings = field(default_factory=ExtractionTimings)
    error: tuple[str, str] | None = None
    """Code and sentence of a file without values."""


class Writer(Protocol):
    """Writes documents one after the other; blocks. ``finish`` puts the file in its place, ``drop`` leaves none."""

    def add(self, document: ExportedDocument) -> None: ...

    def finish(self) -> None: ...

    def drop(self) -> None: ...


def from_extraction(file: Path | str, sha256: str, extraction: Extraction) -> ExportedDocument:
    """A document as the model left it."""
    values = tuple(_machine(value) for value in extraction.values)
    return ExportedDocument(str(file), sha256, "done", values, extraction.model, extraction.timings)


def from_failure(file: Path | str, status: str, error: GatehouseError) -> ExportedDocument:
    """A document without values."""
    return ExportedDocument(str(file), "", status, error=(error.code, str(error)))


def from_review(values: Iterable[ReviewedValue]) -> tuple[ExportedValue, ...]:
    """Values as they count after what people decided."""
    return tuple(_machine(item.value) if item.review is None else _decided(item) for item in values)


def json_line(document: ExportedDocument) -> str:
    """The line without its end."""
    fields: dict[str, Any] = {
        "file": document.file,
        "sha256": document.sha256,
        "status": document.status,
        "fields": {value.name: _fields_of(value) for value in document.values},
        "model": document.model,
        "timings": asdict(document.timings),
    }
    if document.error is not None:
        fields["error"] = {"code": document.error[0], "sentence": document.error[1]}
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))


def columns_of(schema: Schema) -> tuple[tuple[str, ...], dict[str, tuple[str, ...]]]:
    """The paths of a document's single values (those of lists once), and for each table those of its columns."""
    single: list[str] = []
    tables: dict[str, tuple[str, ...]] = {}

    def walk(fields: Sequence[Field], prefix: str) -> None:
        for one in fields:
            path = f"{prefix}{one.name}"
            if one.type is FieldType.GROUP:
                walk(one.fields, f"{path}.")
            elif one.type is FieldType.TABLE:
                tables[path] = tuple(column.name for column in one.fields)
            else:
                single.append(path)

    walk(schema.fields, "")
    return tuple(single), tables


def _fields_of(value: ExportedValue) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "value": value.value,
        "raw": value.raw,
        "confidence": round(value.confidence, 4),
        "grounding": value.grounding.value,
        "evidence": [
            {
                "page": place.page,
                "box": None if place.box is None else [place.box.x0, place.box.y0, place.box.x1, place.box.y1],
                "start": place.start,
                "end": place.end,
                "text": place.text,
            }
            for place in value.evidence
        ],
    }
    if value.currency:
        fields["currency"] = value.currency
    if value.review:
        fields["review"] = value.review
    return fields


def _machine(value: Value) -> ExportedValue:
    return ExportedValue(
        value.name,
        value.type,
        value.value,
        value.raw,
        value.confidence,
        value.grounding,
        value.evidence,
        value.currency,
    )


def _decided(item: ReviewedValue) -> ExportedValue:
    review, machine = item.review, item.value
    assert review is not None
    if review.value is None:
        grounding = Grounding.ABSENT
    elif review.action is ReviewAction.ACCEPTED:
        grounding = machine.grounding
    elif not review.evidence:
        grounding = Grounding.UNPROVEN
    else:
        found = " ".join(place.text for place in review.evidence)
        grounding = Grounding.EXACT if found == review.raw else Grounding.NORMALISED
    currency = machine.currency if review.value is not None else ""
    return ExportedValue(
        item.name,
        machine.type,
        review.value,
        review.raw,
        1.0,
        grounding,
        review.evidence,
        currency,
        review.action.value,
    )
