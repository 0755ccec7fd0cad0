"""What the gate finds in made sentences with people, addresses and numbers in them, and whether it all comes back.

`GATEHOUSE_PII` names the folder with `synth_dev.json`. Its sentences come from templates; the halves share none, one is
for tuning, figures are of the other. Recall and precision count characters, whatever kind they were taken for.

`python -m tests.bench.gate_pii [--tune] [--sentences N] [--model none] [--misses] [--recognisers]`
"""

import argparse
import asyncio
import hashlib
import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from app.gate.detect import Detector
from app.gate.names import Asker, LoopbackAsker, NameFinder
from app.gate.placeholders import parse
from app.gate.records import Finding
from app.gate.redact import Redactor
from app.gate.restore import StreamRestorer
from app.gate.scan import Scanner
from app.providers import loopback
from app.providers.provider import Endpoint
from tests.bench.serving_sides import Setting, our_worker
from tests.bench.table import Row
from tests.fetched_models import MODELS, QWEN, installed

FOLDER = "GATEHOUSE_PII"
CHECKED = frozenset({"CREDIT_CARD", "IBAN_CODE"})
"""The kinds among the sentences' that have check digits."""
_TURN = 10
"""Sentences of one conversation in the round trip."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """A text, and where in it is what."""

    text: str
    spans: tuple[tuple[int, int, str], ...]
    """Start, end and kind."""


@dataclass(frozen=True, slots=True)
class Score:
    """Counts of characters and spans."""

    wanted: Counter[str]
    """Characters by kind, and ``all``."""
    found: Counter[str]
    marked: int
    """Characters that were found, rightly or not."""
    rightly: int
    checked: int
    """Numbers with check digits …"""
    checked_found: int
    """… and those of them that were found whole."""
    findings: int
    right_findings: int
    """That touch something that was wanted."""

    def recall(self, kind: str = "all") -> float:
        """Share of the wanted characters that were found."""
        return self.found[kind] / max(self.wanted[kind], 1)

    @property
    def precision(self) -> float:
        """Share of the found characters that were wanted."""
        return self.rightly / max(self.marked, 1)


def sentences(*, tune: bool = False) -> list[Sentence]:
    """One half of the sentences. Raises ``SystemExit`` when the folder is not named."""
    folder = os.environ.get(FOLDER)
    if not folder:
        raise SystemExit(f"{FOLDER} names no folder with the sentences.")
    raw = json.loads((Path(folder) / "synth_dev.json").read_text(encoding="utf-8"))
    half = [one for one in raw if (hashlib.sha256(str(one["template_id"]).encode()).digest()[0] % 2 == 0) == tune]
    return [
        Sentence(
            one["full_text"],
            tuple((span["start_position"], span["end_position"], span["entity_type"]) for span in one["spans"]),
        )
        for one in half
    ]


def score(asked: Sequence[Sentence], found: Sequence[Sequence[Finding]]) -> Score:
    """Compare what was found with what is there."""
    wanted: Counter[str] = Counter()
    hit: Counter[str] = Counter()
    marked = rightly = checked = whole = right = 0
    for sentence, findings in zip(asked, found, strict=True):
        covered = {place for one in findings for place in range(one.start, one.end)}
        everything: set[int] = set()
        for start, end, kind in sentence.spans:
            places = set(range(start, end))
            everything |= places
            for name in (kind, "all"):
                wanted[name] += len(places)
                hit[name] += len(places & covered)
            checked += kind in CHECKED
            whole += kind in CHECKED and places <= covered
        marked += len(covered)
        rightly += len(covered & everything)
        right += sum(bool(everything & set(range(one.start, one.end))) for one in findings)
    return Score(wanted, hit, marked, rightly, checked, whole, sum(map(len, found)), right)


def trip(asked: Sequence[Sentence], found: Sequence[Sequence[Finding]], seed: int = 1) -> tuple[int, int]:
    """How many texts came back exactly, of how many: as they are, and as models write the placeholders."""
    draw = random.Random(seed)
    exact = total = 0
    known: dict[str, str] = {}
    for first in range(0, len(asked), _TURN):
        turn = [one.text for one in asked[first : first + _TURN]]
        done = Redactor().redact(turn, found[first : first + _TURN], known)
        known = dict(done.known)
        for text, hidden in zip(turn, done.texts, strict=True):
            for answer in (hidden, hidden.lower(), hidden.replace("_", "\\_").replace("[", "\\[").replace("]", "\\]")):
                total += 1
                expected = text if answer == hidden else _expected(answer, hidden, done.known)
                exact += _streamed(answer, done.known, draw) == expected
        if (first // _TURN) % 5 == 4:
            known = {}
    return exact, total


def _expected(answer: str, hidden: str, known: dict[str, str] | object) -> str:
    """What must come back of a placeholder that a model wrote otherwise: the rest stays as the model wrote it."""
    assert isinstance(known, dict)
    lowered = answer == hidden.lower()
    for placeholder in sorted(known, key=len, reverse=True):
        assert parse(placeholder) is not None
        written = (
            placeholder.lower() if lowered else placeholder.replace("_", "\\_").replace("[", "\\[").replace("]", "\\]")
        )
        answer = answer.replace(written, f"\0{placeholder}\0")
    for placeholder, text in known.items():
        answer = answer.replace(f"\0{placeholder}\0", text)
    return answer


def _streamed(text: str, known: object, draw: random.Random) -> str:
    assert isinstance(known, dict)
    restorer = StreamRestorer(known)
    pieces = []
    while text:
        size = draw.randint(1, 7)
        pieces.append(restorer.feed(text[:size]))
        text = text[size:]
    return "".join([*pieces, restorer.end()])


@asynccontextmanager
async def asker(model: str) -> AsyncIterator[Asker | None]:
    """The named model in a real worker; ``none`` is nobody."""
    if model == "none":
        yield None
        return
    path = installed(next(one for one in MODELS if one.name == model))
    if path is None:
        raise SystemExit(f"{model} is not here; python -m tests.fetched_models {model} fetches it.")
    async with our_worker(Setting(path, 4, 8192)) as side, loopback.client() as http:
        yield LoopbackAsker(http, Endpoint(side.target.address, side.target.token, path.stem, 8192, "CPU"))


async def find(asked: Sequence[Sentence], model: str) -> tuple[tuple[tuple[Finding, ...], ...], float]:
    """What all detectors find, and how long they took for a sentence."""
    scanner = Scanner()
    try:
        async with asker(model) as someone:
            began = time.perf_counter()
            detected = await Detector(scanner, NameFinder()).detect([one.text for one in asked], (), someone, model)
            return detected.findings, (time.perf_counter() - began) / max(len(asked), 1)
    finally:
        await scanner.close()


def measure(model: str = QWEN.name, count: int | None = None, *, tune: bool = False, misses: bool = False) -> list[Row]:
    """About ten minutes with a model on two cores, seconds without."""
    asked = sentences(tune=tune)
    if count is not None:
        random.Random(7).shuffle(asked)
        asked = asked[:count]
    found, each_s = asyncio.run(find(asked, model))
    result = score(asked, found)
    exact, total = trip(asked, found)
    if misses:
        _show_misses(asked, found)
    sys.stderr.write(
        "".join(f"{kind:16}{result.recall(kind):6.2f} of {result.wanted[kind]}\n" for kind in result.wanted)
    )
    half = f"{len(asked)} sentences{', tuned on' if tune else ', other templates than tuned on'}"
    with_model = "patterns alone" if model == "none" else f"patterns and {model}"
    checked = result.checked_found / max(result.checked, 1)
    span_precision = result.right_findings / max(result.findings, 1)
    return [
        Row(
            "Numbers with check digits found",
            checked,
            "recall",
            None,
            "≥ 0.99",
            checked >= 0.99,
            f"{result.checked} of them",
        ),
        Row(
            "All private spans",
            result.recall(),
            "recall",
            None,
            "≥ 0.85",
            result.recall() >= 0.85,
            f"{half}; {with_model}",
        ),
        Row(
            "… of what was marked",
            result.precision,
            "precision",
            None,
            "≥ 0.80",
            result.precision >= 0.80,
            f"characters; {span_precision:.2f} of {result.findings} findings; {each_s * 1e3:,.0f} ms a sentence",
        ),
        Row(
            "Placeholders put back",
            exact / max(total, 1),
            "of all",
            None,
            "1.00",
            exact == total,
            f"{total:,} streamed texts",
        ),
    ]


def recognisers() -> str:
    """What each of Presidio's finds in the half for tuning, rightly and wrongly, by score. Imports it here."""
    from app.gate import scanner_child

    scanner_child.keep_suffix_list_here()
    from presidio_analyzer import predefined_recognizers as all_of_them

    lines = []
    for name in all_of_them.__all__:
        made = getattr(all_of_them, name)
        try:
            one = made()
            kinds = one.supported_entities
        except Exception as error:  # noqa: BLE001 - those that need a model or a service; named in the list
            lines.append(f"{name}: cannot run here ({type(error).__name__})")
            continue
        if not hasattr(one, "patterns") and name != "PhoneRecognizer":
            continue
        counts: Counter[tuple[float, bool]] = Counter()
        for sentence in sentences(tune=True):
            places = {place for start, end, _ in sentence.spans for place in range(start, end)}
            for hit in one.analyze(sentence.text, kinds, None):
                counts[round(hit.score, 2), bool(places & set(range(hit.start, hit.end)))] += 1
        said = ", ".join(
            f"{count} {'right' if good else 'wrong'} at {at}" for (at, good), count in sorted(counts.items())
        )
        lines.append(f"{name}: {said or 'nothing'}")
    return "\n".join(lines)


def _show_misses(asked: Sequence[Sentence], found: Sequence[Sequence[Finding]]) -> None:
    for sentence, findings in zip(asked, found, strict=True):
        covered = {place for one in findings for place in range(one.start, one.end)}
        missed = [
            (kind, sentence.text[start:end])
            for start, end, kind in sentence.spans
            if not set(range(start, end)) <= covered
        ]
        places = {place for start, end, _ in sentence.spans for place in range(start, end)}
        wrong = [(one.kind, one.detector, one.text) for one in findings if not places & set(range(one.start, one.end))]
        if missed or wrong:
            sys.stderr.write(f"{sentence.text[:160]!r}\n    missed {missed} wrong {wrong}\n")


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    from tests.bench.table import markdown

    parser = argparse.ArgumentParser(prog="python -m tests.bench.gate_pii", description=__doc__)
    parser.add_argument("--tune", action="store_true", help="the half for tuning, instead of the other")
    parser.add_argument("--sentences", type=int, help="so many of them, drawn")
    parser.add_argument("--model", default=QWEN.name, help="none, or one of: " + ", ".join(one.name for one in MODELS))
    parser.add_argument("--misses", action="store_true", help="show what was missed and what was taken wrongly")
    parser.add_argument("--recognisers", action="store_true", help="only count what each of Presidio's finds")
    asked = parser.parse_args(arguments)
    if asked.recognisers:
        sys.stdout.write(recognisers() + "\n")
        return
    sys.stdout.write(markdown(measure(asked.model, asked.sentences, tune=asked.tune, misses=asked.misses)) + "\n")


if __name__ == "__main__":
    main()
