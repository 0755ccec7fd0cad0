"""What was seen of each receipt, kept in the person's cache, so that a run cut short goes on where it stood.

A file a receipt and setting, in a folder named by a hash of the code that asks and of the schema: another prompt, other
files. Confidence is not kept but made anew from the signs, so a new calibration needs no new questions.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

from app.extraction import pipeline
from app.extraction.calibration import Calibration
from app.extraction.confidence import Signs, score
from app.extraction.records import Extraction, Grounding
from engine.records import RecordFault, from_plain, to_plain
from installers.places import find_places
from tests.bench.extraction_receipts import FIELDS, Receipt, Scored, same, stands_there

_ROOT = Path(__file__).resolve().parents[2]
_AFTERWARDS = {"calibration", "confidence", "editing", "export", "export_xlsx", "exported", "extractor", "journal"}
_AFTERWARDS |= {"learning", "manifest", "propose", "sample_lines", "schema_packing", "schema_pydantic"}
"""Modules of ``app/extraction`` that change neither a question nor a sign."""


@dataclass(frozen=True, slots=True)
class SeenField:
    """One field of one receipt."""

    name: str
    said: str
    right: bool
    there: bool
    """The truth has it."""
    exact: bool
    false_exact: bool
    signs: Signs


@dataclass(frozen=True, slots=True)
class Seen:
    """One receipt, asked once."""

    name: str
    fields: tuple[SeenField, ...]
    seconds: float
    requests: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int


@dataclass(slots=True)
class Watch:
    """The signs of the extraction that ran last."""

    signs: list[Signs] = field(default_factory=list)

    @classmethod
    @contextmanager
    def over_pipeline(cls) -> Iterator[Watch]:
        """Take down what the pipeline weighs."""
        watch = cls()

        def noting(signs: Signs) -> float:
            watch.signs.append(signs)
            return score(signs)

        with mock.patch.object(pipeline, "score", noting):
            yield watch

    def seen(self, made: Extraction, receipt: Receipt) -> Seen:
        """What came of a receipt, beside its truth."""
        signs = self.signs[-len(made.values) :]
        self.signs.clear()
        fields = []
        for value, own in zip(made.values, signs, strict=True):
            if value.name in FIELDS:
                said, truth = value.raw if value.value is not None else "", receipt.truth[value.name]
                exact = value.grounding is Grounding.EXACT
                false = exact and not stands_there(value, receipt.reading)
                right = same(value.name, said, truth)
                fields.append(SeenField(value.name, said, right, bool(truth), exact, false, own))
        times = made.timings
        counts = (times.requests, times.prompt_tokens, times.cached_tokens, times.completion_tokens)
        return Seen(receipt.name, tuple(fields), times.total_s, *counts)


def scored_of(seen: Sequence[Seen], calibration: Calibration) -> Scored:
    """The figures, with the confidence that the calibration gives now."""
    scored = Scored()
    for one in seen:
        for own in one.fields:
            scored.right[own.name] += own.right and own.there
            scored.said[own.name] += bool(own.said)
            scored.there[own.name] += own.there
            scored.judged.append((calibration.probability(score(own.signs)), own.right))
            scored.exact += own.exact
            scored.false_exact += own.false_exact
        scored.seconds.append(one.seconds)
    return scored


class Kept:
    """The files of one setting."""

    def __init__(self, setting: str) -> None:
        self._folder = find_places(_ROOT).cache / "bench-extraction" / _code_hash() / setting
        self._folder.mkdir(parents=True, exist_ok=True)

    def load(self, name: str) -> Seen | None:
        """``None`` when it was not asked yet, or what is kept cannot be read."""
        try:
            return from_plain(Seen, json.loads((self._folder / f"{name}.json").read_text("utf-8")), name)
        except (FileNotFoundError, ValueError, RecordFault):
            return None

    def store(self, seen: Seen) -> None:
        """Whole or not at all."""
        incoming = self._folder / f"{seen.name}.part"
        incoming.write_text(json.dumps(to_plain(seen)), encoding="utf-8")
        incoming.replace(self._folder / f"{seen.name}.json")


def _code_hash() -> str:
    digest = hashlib.sha256()
    asking = [path for path in (_ROOT / "app" / "extraction").glob("*.py") if path.stem not in _AFTERWARDS]
    for path in (*sorted(asking), _ROOT / "resources" / "schemas" / "receipt.json"):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
