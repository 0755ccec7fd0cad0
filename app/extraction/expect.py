"""What a plain rule would take for a field, without any model: a second opinion for the confidence, never a value.

An amount or a number: the last with the field's words before it that do not say that it is but a part. A date: the one
with the field's words before it, else the first. An address: the first block with a postcode, whole. The name of the
firm that wrote the document: the first line near the top that ends as firms' names do. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from app.extraction.blocks import line_forms
from app.extraction.firms import FIRM_WORDS, firm_names
from app.extraction.forms import LABELLED, WindowForms, label_words, supports
from app.extraction.normalise import fold, same_value
from app.extraction.schema import Field, FieldType
from app.extraction.view import Line

_POSTCODES: Final = (
    re.compile(r"(?<![\d/-])\d{5}(?:-\d{4})?\b(?!\s*[/(-])|\b[A-Z]{1,2}\d[A-Z\d]?\s?\d[A-Z]{2}\b"),
    re.compile(r"(?<![\d/-])\d{4}\b(?!\s*[/(-])\s+[^\W\d]"),
)
"""Likely ones first: five digits, the British form; then four digits before a town."""
_PART: Final = re.compile(
    r"\b(?:sub|excl?|excluding|tax|gst|vat|items?|qty|quantity|disc\w*|savings?|change|adj\w*|points?)\b",
    re.IGNORECASE,
)
_WHOLE: Final = re.compile(
    r"\b(?:grand|round\w*|incl?|inclusive|including|included|payable|due|nett?)\b(?!\W*(?:adj|ding adj))", re.IGNORECASE
)
_OTHER_SIDE: Final = frozenset({"buyer", "customer", "recipient", "delivery", "shipping", "billing"})
_MOST_ABOVE: Final = 4
_STATE_WORDS: Final = 3


class Opinion(StrEnum):
    """What the rule says of a value."""

    AGREES = "agrees"
    DIFFERS = "differs"
    NONE = "none"
    """There is no rule for such a field, or it finds nothing."""


def opinion(field: Field, value: str | None, lines: Sequence[Line]) -> Opinion:
    """Of a value that was taken for a field that occurs once."""
    expected = _expected(field, lines)
    if expected is None or value is None:
        return Opinion.NONE
    return Opinion.AGREES if same_value(field.type, expected, value, field.choices) else Opinion.DIFFERS


def rivals(kind: FieldType, lines: Sequence[Line]) -> int:
    """How many different values of the type the document offers; 0 for types without a form of their own."""
    options = WindowForms(lines).options(kind) if kind in LABELLED or kind is FieldType.DATE else []
    return len({fold(option.value) for option in options})


def _expected(field: Field, lines: Sequence[Line]) -> str | None:
    if field.type in LABELLED:
        return _amount(field, field.type, lines)
    if field.type is FieldType.DATE:
        return _date(field, lines)
    if field.type is FieldType.ADDRESS:
        return None if set(label_words(field)) & _OTHER_SIDE else _address(lines)
    return _firm(lines) if field.type is FieldType.TEXT and set(label_words(field)) & FIRM_WORDS else None


def _date(field: Field, lines: Sequence[Line]) -> str | None:
    words = label_words(field)
    options = WindowForms(lines).options(FieldType.DATE)
    best = max(options, key=lambda one: (supports(one, words), -one.line), default=None)
    return best.value if best is not None else None


def _amount(field: Field, kind: FieldType, lines: Sequence[Line]) -> str | None:
    """The last one with the field's words, unless the words say that it is but a part."""
    words = label_words(field)
    options = [one for one in WindowForms(lines).options(kind) if supports(one, words)]
    final = [one for one in options if _WHOLE.search(one.text)]
    whole = final or [one for one in options if not _PART.search(one.text)] or options
    values = [fold(one.value) for one in WindowForms(lines).options(kind)]
    best = max(whole, key=lambda one: (min(values.count(fold(one.value)), 2), one.line), default=None)
    return best.value if best is not None else None


def _address(lines: Sequence[Line]) -> str | None:
    forms = [line_forms(line.text) for line in lines]
    for postcode in _POSTCODES:
        for number, parts in enumerate(forms):
            if parts and postcode.search(parts[0]) and re.search(r"[^\W\d_]{2,}", parts[0]):
                return "\n".join(_block_around(forms, number))
    return None


def _block_around(forms: Sequence[list[str]], number: int) -> list[str]:
    """From the first line above it that has a number or a comma, to the line below when that is but a few words."""
    first = number
    for above in range(number - 1, max(-1, number - _MOST_ABOVE - 1), -1):
        if not forms[above]:
            break
        first = above if re.search(r"[\d,]", forms[above][0]) else first
    below = forms[number + 1] if number + 1 < len(forms) else []
    more = below and not re.search(r"\d", below[0]) and len(below[0].split()) <= _STATE_WORDS
    return [parts[0] for parts in forms[first : number + 1 + bool(more)]]


def _firm(lines: Sequence[Line]) -> str | None:
    texts = [line.text for line in lines]
    names = firm_names(texts)
    return names[0] if names else next((text for text in texts if re.search(r"[^\W\d_]{3,}", text)), None)
