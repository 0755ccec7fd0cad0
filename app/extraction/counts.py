"""Guards the count of items: rows that a model passed over, and lists and answers that were full. Pure.

Of a table with numbers every line below its first row that looks like its rows is one of them; of a table of words
only one that stands directly below another. What was added is told, and sums and people see to the rest.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median_low
from typing import Final

from app.extraction.drafts import Draft
from app.extraction.finding import find
from app.extraction.forms import LABELLED, MAX_LIST_ITEMS, label_words
from app.extraction.schema import Field, FieldType

_FEW_NAMES: Final = 2
"""A line without a number that has the names of as many columns is a head."""
_FEW_COLUMNS: Final = 3
"""Lines of words need as many columns before they can look like rows."""


@dataclass(frozen=True, slots=True)
class _Shape:
    """What a line looks like."""

    amounts: int
    dates: int
    columns: int
    """Parts between wide gaps."""

    @classmethod
    def of(cls, line: str) -> _Shape:
        amounts, dates = (len(find(kind, line)) for kind in (FieldType.AMOUNT, FieldType.DATE))
        return cls(amounts, dates, len(re.split(r"\s{2,}", line)))

    def like(self, usual: _Shape) -> bool:
        enough = self.amounts >= usual.amounts and self.dates >= usual.dates
        return enough and self.columns >= usual.columns - 1


def without_head(table: Field, starts: Sequence[int], lines: Sequence[str]) -> list[int]:
    """Without the lines that only name the table's columns."""
    names = [set(label_words(column)) for column in table.fields]
    return [
        number
        for number in starts
        if any(map(str.isdigit, lines[number]))
        or sum(bool(words & set(re.findall(r"[^\W\d_]{3,}", lines[number].lower()))) for words in names) < _FEW_NAMES
    ]


def missed_rows(table: Field, starts: Sequence[int], lines: Sequence[str]) -> list[int]:
    """Lines that look like the rows that begin at ``starts`` (rising), and are none yet."""
    if not starts:
        return []
    shapes = [_Shape.of(lines[number]) for number in starts]
    usual = _Shape(*(median_low([getattr(one, part) for one in shapes]) for part in ("amounts", "dates", "columns")))
    numeric = any(column.type in LABELLED for column in table.fields)
    if (numeric and usual.amounts + usual.dates < 2) or (not numeric and usual.columns < _FEW_COLUMNS):
        return []
    found: list[int] = []
    taken = set(starts)
    for number in range(starts[0] + 1, len(lines)):
        below = number - 1 in taken or number - 1 in found
        if number not in taken and (numeric or below) and _Shape.of(lines[number]).like(usual):
            found.append(number)
    return found


def rows_note(table: Field, count: int, added: int, *, complete: bool) -> str:
    """A sentence about a table's count; empty when there is nothing to say."""
    if not complete:
        return f"The list of rows of {table.shown} was cut off after {count}; rows may be missing."
    if not added:
        return ""
    what = "line that looks like a row was" if added == 1 else "lines that look like rows were"
    return f"{table.shown} has {count} rows: the model named {count - added}, and {added} {what} added."


def list_notes(fields: Sequence[Field], drafts: Sequence[Draft]) -> list[str]:
    """A sentence for each list of one answer that had no room for another item."""
    notes = []
    for field in fields:
        count = sum(draft.field is field and draft.value is not None for draft in drafts)
        if field.type is FieldType.LIST and count >= MAX_LIST_ITEMS:
            notes.append(f"{field.shown} was full with {count} items; more may be missing.")
    return notes
