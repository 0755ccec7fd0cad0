"""The receipts that extraction is judged on: read by the product's own readers, halved, and scored.

They are not part of the project: a folder with ``box/*.csv`` (words and where they stand), ``img/*.jpg`` (some of them
as pictures) and ``key/*.json`` (the four fields as a person read them), named by an option or ``GATEHOUSE_RECEIPTS``.
Its layout is that of SROIE 2019, task 3. Source: Huang et al., ICDAR 2019.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from app.documents.pool import ReaderPool
from app.documents.records import Reading
from app.extraction.calibration import expected_error
from app.extraction.normalise import canonical, parse_number
from app.extraction.records import Example, ExampleValue, Value
from app.extraction.schema import FieldType
from app.extraction.view import view_text

FIELDS = ("company", "address", "date", "total")
"""In the order of the schema."""
COVERAGE = 0.7
"""The share of fields that nobody checks."""
_TYPES = {
    "company": FieldType.TEXT,
    "date": FieldType.DATE,
    "address": FieldType.ADDRESS,
    "total": FieldType.AMOUNT,
}


@dataclass(frozen=True, slots=True)
class Receipt:
    """One document and its truth."""

    name: str
    reading: Reading
    truth: dict[str, str]


@dataclass(slots=True)
class Scored:
    """What was right, of all receipts asked so far."""

    right: dict[str, int] = field(default_factory=lambda: dict.fromkeys(FIELDS, 0))
    said: dict[str, int] = field(default_factory=lambda: dict.fromkeys(FIELDS, 0))
    there: dict[str, int] = field(default_factory=lambda: dict.fromkeys(FIELDS, 0))
    judged: list[tuple[float, bool]] = field(default_factory=list)
    """Confidence and whether it was right, of each field."""
    seconds: list[float] = field(default_factory=list)
    exact: int = 0
    false_exact: int = 0

    def add(self, name: str, said: str, truth: str, confidence: float | None = None) -> bool:
        """Count one field; an absent one is right where the truth is absent too."""
        right = same(name, said, truth)
        self.said[name] += bool(said)
        self.there[name] += bool(truth)
        self.right[name] += right and bool(truth)
        if confidence is not None:
            self.judged.append((confidence, right))
        return right

    def f1(self, *names: str) -> float:
        """Micro F1 over the named fields, all by default."""
        chosen = names or FIELDS
        both = sum(self.said[name] + self.there[name] for name in chosen)
        return 2 * sum(self.right[name] for name in chosen) / both if both else 0.0

    def calibration_error(self) -> float:
        """ECE in ten bins."""
        return expected_error(self.judged)

    def right_when_sure(self) -> float:
        """Share of right fields among the surest ``COVERAGE``."""
        kept = sorted(self.judged, reverse=True, key=lambda pair: pair[0])[: round(COVERAGE * len(self.judged))]
        return sum(right for _, right in kept) / len(kept) if kept else 0.0


def same(name: str, said: str, truth: str) -> bool:
    """Equal letters and digits; of totals the number alone, for a currency's sign is in half of the truths."""
    if name == "total" and said and truth:
        return parse_number(said) == parse_number(truth)
    return _alphanumeric(said) == _alphanumeric(truth)


def stands_there(value: Value, reading: Reading) -> bool:
    """Whether the value really stands where its evidence says, on the text and on the page."""
    joined = " ".join(one.text for one in value.evidence)
    if not value.evidence or " ".join(joined.split()) != " ".join(value.raw.split()):
        return False
    for one in value.evidence:
        words = reading.words_in(one.start, one.end)
        on_page = one.box is not None and all(one.box.overlap_ratio(word.box) > 0 for word in words)
        if reading.text[one.start : one.end] != one.text or not words or not on_page:
            return False
    return True


def _alphanumeric(text: str) -> str:
    return re.sub(r"[^A-Z0-9]", "", text.upper())


def example_of(receipt: Receipt) -> Example:
    """A receipt as a person has corrected it."""
    values = []
    for name, truth in receipt.truth.items():
        made = canonical(_TYPES[name], truth)
        values.append(ExampleValue(name, made.value if made is not None else truth or None))
    return Example(view_text(receipt.reading), tuple(values))


def names_of(folder: Path, *, pictures: bool = False) -> list[str]:
    """Those that can be read, in order. Raises ``FileNotFoundError`` when there is none."""
    found = sorted(path.stem for path in (folder / ("img" if pictures else "box")).iterdir())
    if not found:
        raise FileNotFoundError(f"{folder} holds no receipts")
    return found


def halves(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """For tuning and for reporting."""
    return list(names[0::2]), list(names[1::2])


async def read(folder: Path, names: Sequence[str], *, pictures: bool = False) -> list[Receipt]:
    """Read by the reader pool: as words with boxes, or pictures through recognition."""
    pool = ReaderPool(1)
    try:
        found = []
        for name in names:
            path = next((folder / "img").glob(f"{name}.*")) if pictures else folder / "box" / f"{name}.csv"
            found.append(Receipt(name, await pool.read(path, as_words=not pictures), _truth(folder, name)))
        return found
    finally:
        await pool.close()


def _truth(folder: Path, name: str) -> dict[str, str]:
    found = json.loads(next((folder / "key").glob(f"{name}.*")).read_text(encoding="utf-8"))
    return {key: str(found.get(key) or "") for key in FIELDS}
