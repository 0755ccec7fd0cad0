"""Answers of the model as values with a place in the document, not yet calibrated. Pure.

A draft keeps what the model was sure of; ``pipeline`` merges drafts of several windows and judges them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from app.documents.records import Reading
from app.extraction.answers import Certainty, Leaf, Scalar, certainty_of, leaves_of
from app.extraction.ask import Reply
from app.extraction.finding import find
from app.extraction.forms import LABELLED, QUOTED, label_words, names
from app.extraction.ground import NOT_FOUND, Found, Source
from app.extraction.normalise import canonical, fold
from app.extraction.records import Grounding
from app.extraction.schema import Field, FieldType

_INDEX: Final = re.compile(r"\[\d+\]$")


@dataclass(frozen=True, slots=True)
class Draft:
    """One value as answered, with what is known about it."""

    path: str
    field: Field
    kind: FieldType
    """Of the value itself: a list's items have the list's ``item_type``."""
    value: str | None
    raw: str
    currency: str
    grounding: Grounding
    spans: tuple[tuple[int, int], ...]
    certainty: Certainty | None
    labelled: bool = False


def drafts_of(reply: Reply, fields: Sequence[Field], source: Source, reading: Reading, prefix: str = "") -> list[Draft]:
    """The drafts of one answer. Leaves that belong to no field are left out; so is what cannot be of its type."""
    found: list[Draft] = []
    for path, group in groupby(leaves_of(reply.text), key=lambda leaf: _value_path(leaf.path, fields)):
        field = _field_at(path, fields)
        if field is None:
            continue
        leaves = list(group)
        certainty = certainty_of(reply, [(leaf.start, leaf.end) for leaf in leaves])
        found.append(_draft(f"{prefix}{path}", field, leaves, certainty, source, reading))
    return found


def _value_path(path: str, fields: Sequence[Field]) -> str:
    """The path of the value that a leaf belongs to: the lines of an address are one, as are quote and value."""
    bare = _INDEX.sub("", path)
    field = _field_at(bare, fields)
    if field is not None and field.type is FieldType.ADDRESS:
        return bare
    above = path.rpartition(".")[0]
    field = _field_at(above, fields) if above else None
    return above if field is not None and field.type in QUOTED else path


def _field_at(path: str, fields: Sequence[Field]) -> Field | None:
    found: Field | None = None
    for name in re.sub(r"\[\d+\]", "", path).split("."):
        found = next((field for field in fields if field.name == name), None)
        if found is None:
            return None
        fields = found.fields
    return found


def _draft(
    path: str, field: Field, leaves: Sequence[Leaf], certainty: Certainty | None, source: Source, reading: Reading
) -> Draft:
    kind = field.item_type if field.type is FieldType.LIST else field.type
    texts = [text for leaf in leaves if (text := _text(leaf.value))]
    if not texts:
        return absent(path, field, certainty)
    if kind in QUOTED and len(leaves) == 2:
        return _judgement(path, field, leaves, certainty, source, reading)
    if kind is FieldType.ADDRESS:
        return _address(path, field, texts, certainty, source, reading)
    text, labelled = texts[0].rstrip(" ,;") if kind is FieldType.TEXT else texts[0], False
    found = source.find(FieldType.TEXT, text) if kind in LABELLED or kind is FieldType.DATE else source.find(kind, text)
    if kind in LABELLED or kind is FieldType.DATE:
        text, found, labelled = _last_of(kind, field, text, found, source)
    return _made(path, field, kind, text, found, certainty, reading, labelled=labelled)


def _text(value: Scalar) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value).strip()


def _last_of(kind: FieldType, field: Field, text: str, found: Found, source: Source) -> tuple[str, Found, bool]:
    """The value at the end of an answer that has the words before it too; whether those name the field."""
    spans = find(kind, text) or (find(FieldType.NUMBER, text) if kind is FieldType.AMOUNT else [])
    if not spans:
        return text, source.find(kind, text), False
    start, end = spans[-1]
    value, label = text[start:end], text[:start].lower()
    labelled = any(names(word, label) for word in label_words(field))
    if found.grounding is Grounding.EXACT and len(found.spans) == 1:
        first, last = found.spans[0]
        tail = len(text) - end
        place = (last - tail - (end - start), last - tail)
        if place[0] >= first:
            return value, Found(Grounding.EXACT, (place,)), labelled
    return value, source.find(kind, value), labelled


def _address(
    path: str,
    field: Field,
    texts: Sequence[str],
    certainty: Certainty | None,
    source: Source,
    reading: Reading,
) -> Draft:
    """Lines that were found one by one, or else the whole text."""
    each = [source.find(FieldType.TEXT, text) for text in texts]
    if all(one.grounding is Grounding.EXACT for one in each):
        found = Found(Grounding.EXACT, tuple(span for one in each for span in one.spans))
    else:
        found = source.find(FieldType.ADDRESS, " ".join(texts))
    return _made(path, field, FieldType.ADDRESS, "\n".join(texts), found, certainty, reading)


def _judgement(
    path: str,
    field: Field,
    leaves: Sequence[Leaf],
    certainty: Certainty | None,
    source: Source,
    reading: Reading,
) -> Draft:
    """What the model concludes from a quote. Only what stands there in its own words is proven."""
    quote, text = (_text(leaf.value) for leaf in leaves)
    shown = source.find(FieldType.TEXT, quote) if quote else NOT_FOUND
    if field.type is FieldType.CHOICE and fold(text) in fold(quote):
        found = source.find(FieldType.TEXT, text)
    else:
        found = Found(Grounding.UNPROVEN, shown.spans)
    return _made(path, field, field.type, text, found, certainty, reading)


def _made(
    path: str,
    field: Field,
    kind: FieldType,
    text: str,
    found: Found,
    certainty: Certainty | None,
    reading: Reading,
    *,
    labelled: bool = False,
) -> Draft:
    """A value takes the spelling of the document wherever it was found there."""
    joint = "\n" if kind is FieldType.ADDRESS else " "
    raw = (
        joint.join(" ".join(reading.text[a:b].split()) for a, b in found.spans)
        if found.spans and kind not in QUOTED
        else text
    )
    value = canonical(kind, raw, field.choices) or canonical(kind, text, field.choices)
    if value is None:
        return Draft(path, field, kind, text, text, "", Grounding.UNPROVEN, (), certainty)
    grounding = found.grounding
    if grounding is Grounding.EXACT and " ".join(raw.split()) != " ".join(text.split()):
        grounding = Grounding.NORMALISED
    return Draft(path, field, kind, value.value, raw, value.currency, grounding, found.spans, certainty, labelled)


def absent(path: str, field: Field, certainty: Certainty | None) -> Draft:
    """A field that the document does not have."""
    kind = field.item_type if field.type is FieldType.LIST else field.type
    return Draft(path, field, kind, None, "", "", Grounding.ABSENT, (), certainty)


def places_of(draft: Draft, source: Source) -> int:
    """How often the value stands in the document; amounts and dates by what they mean."""
    if draft.value is None:
        return 0
    if draft.kind in LABELLED or draft.kind is FieldType.DATE:
        return sum(
            (there := canonical(draft.kind, line.text[a:b])) is not None and there.value == draft.value
            for line in source.lines
            for a, b in find(draft.kind, line.text)
        )
    wanted = fold(draft.value)
    return sum(wanted in fold(line.text) for line in source.lines) if wanted else 0
