"""One run: broken documents through real readers; every answer is a consistent reading or a sentence."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final

from app.documents.faults import DocumentError
from app.documents.pool import ReaderPool
from app.documents.records import Reading
from engine.sandbox.limits import Limits
from tests.fuzz_readers.mutate import broken
from tests.fuzz_readers.seeds import WEIGHTS, make_seeds

READERS: Final = 2
LIMITS: Final = Limits(cpu_s=60, wall_s=120.0)
_OURS: Final = frozenset(("reader_nonsense", "reader_time", "reader_cpu_time", "reader_output", "reader_not_started"))
"""Endings that no broken document of a few kilobytes may bring about. A crash or a refused allocation may happen in the
parsers, and is what the sandbox is for: they are counted."""


@dataclass
class Report:
    """What a run came to."""

    outcomes: Counter[str] = field(default_factory=Counter)
    """By kind of document and code; ``read`` when it could be."""
    faults: list[str] = field(default_factory=list)
    sentences: Counter[str] = field(default_factory=Counter)
    """What was said of documents for which no reader had a better word."""


async def fuzz(n_cases: int, *, seed: int, kept: Path | None = None) -> Report:
    """Read ``n_cases`` broken documents; those with a fault are left in ``kept``."""
    report, random, seeds = Report(), Random(seed), make_seeds()
    names = list(WEIGHTS)
    cases = iter(random.choices(names, [WEIGHTS[name] for name in names], k=n_cases))
    pool = ReaderPool(READERS, LIMITS)
    with tempfile.TemporaryDirectory() as folder:

        async def lane(number: int) -> None:
            own = Random(f"{seed} {number}")
            for count, name in enumerate(cases):
                path = Path(folder) / f"{number}-{name}"
                data = broken(seeds[name], own)
                path.write_bytes(data)
                fault = await _case(pool, path, own, report)
                if fault:
                    report.faults.append(f"{name}: {fault}")
                    if kept is not None:
                        (kept / f"{seed}-{number}-{count}-{name}").write_bytes(data)

        try:
            await asyncio.gather(*(lane(number) for number in range(READERS)))
        finally:
            await pool.close()
    return report


async def _case(pool: ReaderPool, path: Path, random: Random, report: Report) -> str:
    """Read one; what is wrong with the answer."""
    kind = path.suffix[1:]
    password = "x" if "locked" in path.name else None
    try:
        reading = await pool.read(path, password)
    except DocumentError as error:
        report.outcomes[f"{kind} {error.code}"] += 1
        if error.code in ("reader_failed", "reader_crashed", "reader_memory"):
            report.sentences[error.sentence[:160]] += 1
        if error.code in _OURS or not error.sentence.endswith((".", "!", "?")):
            return f"{error.code}: {error.sentence}"
        return ""
    report.outcomes[f"{kind} read"] += 1
    wrong = inconsistency(reading)
    if not wrong and random.random() < 0.02:
        try:
            await pool.render(path, len(reading.pages), 200, password)
        except DocumentError as error:
            report.outcomes[f"{kind} drawn {error.code}"] += 1
            wrong = "" if error.code not in _OURS else f"drawn: {error.code}"
    return wrong


def inconsistency(reading: Reading) -> str:
    """What is not as a reading promises; empty when all is."""
    end = 0
    for number, page in enumerate(reading.pages, start=1):
        if page.number != number or not end <= page.start <= page.end <= len(reading.text):
            return f"page {number} is out of order"
        end = page.start
        for word in page.words:
            box = word.box
            if reading.text[word.start : word.end] != word.text or not end <= word.start < word.end <= page.end:
                return f"the word {word.text!r} is not where it says"
            if not (0 <= box.x0 <= box.x1 <= page.width + 0.02 and 0 <= box.y0 <= box.y1 <= page.height + 0.02):
                return f"the word {word.text!r} stands off its page: {box}"
            end = word.end
        end = page.end
    return "" if reading.pages else "it has no pages"
