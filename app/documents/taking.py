"""What a typed text or a box drawn on a page means for a field: the words, the canonical value, its place.

Pure but for :func:`whereabouts`. Types are ``app.extraction.normalise``'s, places ``app.extraction.ground``'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from app.documents.records import Box, Reading, Word
from app.documents.review_records import BoxText
from app.extraction.records import Evidence
from app.extraction.schema import Field, FieldType, Schema, find_field
from app.extraction.view import lines_of
from app.store import documents
from app.store.database import Connection
from engine.errors import RequestError

_INSIDE: Final = 0.5
"""So much of a word's box must lie inside for it to be meant."""
_ACCEPTS: Final = {
    FieldType.NUMBER: "a number, as in 1,234.5",
    FieldType.AMOUNT: "an amount, as in 1,234.50 EUR",
    FieldType.DATE: "a date, as in 31.12.2025 or 2025-12-31",
    FieldType.BOOLEAN: "yes or no",
    FieldType.EMAIL: "an e-mail address",
    FieldType.IBAN: "an IBAN",
    FieldType.VAT_ID: "a VAT id",
}


@dataclass(frozen=True, slots=True)
class Taken:
    """A value as a person gave it."""

    value: str | None
    raw: str
    evidence: tuple[Evidence, ...]
    problems: tuple[str, ...]


NOTHING: Final = Taken(None, "", (), ())


@dataclass(frozen=True, slots=True)
class Target:
    """The single value that a path names."""

    field: Field
    type: FieldType


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Where a document's bytes may still lie."""

    sha256: str
    as_words: bool
    paths: tuple[Path, ...]


def whereabouts(connection: Connection, document_id: str) -> Whereabouts:
    """Raises ``StoreError``."""
    document = documents.get(connection, document_id)
    as_words = documents.was_read_as_words(connection, document_id)
    return Whereabouts(document.sha256, as_words, documents.paths_of(connection, document_id))


def target(schema: Schema, name: str) -> Target:
    """Raises ``no_such_value`` for a path that the schema does not have."""
    field = find_field(schema, name)
    if field is None or field.type in (FieldType.TABLE, FieldType.GROUP):
        raise RequestError("no_such_value", f"The schema has no single value {name[:80]!r}.")
    return Target(field, field.item_type if field.type is FieldType.LIST else field.type)


def from_text(schema: Schema, name: str, text: str, reading: Reading) -> Taken:
    """What was typed, by the field's type, with its place if it stands in the document. Raises ``not_of_type``.

    Imports what knows types and places only now: most starts of the product never need it. Blocking.
    """
    from app.extraction.ground import Source, evidence_of
    from app.extraction.normalise import canonical
    from app.extraction.validate import problems_of

    wanted = target(schema, name)
    found = canonical(wanted.type, text, wanted.field.choices)
    if found is None:
        raise _not_of_type(wanted, text)
    source = Source(lines_of(reading.text))
    place = source.find(wanted.type, text)
    evidence = evidence_of(reading, place.spans)
    return Taken(found.value, text.strip(), evidence, problems_of(wanted.field, found.value))


def from_box(schema: Schema, name: str, reading: Reading, page: int, box: Box) -> Taken:
    """What stands in a box, by the field's type. Raises ``empty_box``, ``not_of_type``. Blocking, as ``from_text``."""
    from app.extraction.finding import find
    from app.extraction.ground import evidence_of
    from app.extraction.normalise import canonical
    from app.extraction.validate import problems_of

    wanted = target(schema, name)
    inside = text_in(reading, page, box)
    if not inside.text:
        raise RequestError("empty_box", "There are no words in this box.", "Draw it around the words that are meant.")
    text = inside.text if wanted.type is FieldType.ADDRESS else " ".join(inside.text.split("\n"))
    # A box around "Total  9.00" means the amount in it.
    for line in inside.evidence if wanted.type in _ACCEPTS else ():
        for start, end in find(wanted.type, line.text):
            part = canonical(wanted.type, line.text[start:end], wanted.field.choices)
            if part is not None:
                evidence = evidence_of(reading, ((line.start + start, line.start + end),))
                return Taken(part.value, line.text[start:end], evidence, problems_of(wanted.field, part.value))
    found = canonical(wanted.type, text, wanted.field.choices)
    if found is None:
        raise _not_of_type(wanted, text)
    return Taken(found.value, text, inside.evidence, problems_of(wanted.field, found.value))


def text_in(reading: Reading, page: int, box: Box) -> BoxText:
    """The words of a page that lie inside a box, line by line."""
    chosen = [one for one in reading.pages if one.number == page]
    words = [word for one in chosen for word in one.words if _share(word.box, box) >= _INSIDE]
    lines: list[list[Word]] = []
    for word in words:
        if lines and "\n" not in reading.text[lines[-1][-1].end : word.start]:
            lines[-1].append(word)
        else:
            lines.append([word])
    places = []
    for line in lines:
        around = line[0].box
        for word in line[1:]:
            around = around.union(word.box)
        start, end = line[0].start, line[-1].end
        places.append(Evidence(page, around, start, end, reading.text[start:end]))
    return BoxText("\n".join(" ".join(place.text.split()) for place in places), tuple(places))


def _share(word: Box, box: Box) -> float:
    """How much of a word lies inside, 0 to 1; a word without extent counts by its middle."""
    x, y = (word.x0 + word.x1) / 2, (word.y0 + word.y1) / 2
    if word.width <= 0 or word.height <= 0:
        return 1.0 if box.x0 <= x <= box.x1 and box.y0 <= y <= box.y1 else 0.0
    width = min(word.x1, box.x1) - max(word.x0, box.x0)
    height = min(word.y1, box.y1) - max(word.y0, box.y0)
    return max(0.0, width) * max(0.0, height) / (word.width * word.height)


def _not_of_type(wanted: Target, text: str) -> RequestError:
    accepts = _ACCEPTS.get(wanted.type, "a text")
    if wanted.type is FieldType.CHOICE:
        accepts = f"one of {', '.join(wanted.field.choices)}"
    return RequestError("not_of_type", f"{text.strip()[:80]!r} cannot be taken: {wanted.field.shown} is {accepts}.")
