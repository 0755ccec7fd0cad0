"""Receipts to a flat schema: documents a second, one at a time and four at a time, and how right the fields are.

The receipts are not part of the project: a folder with ``box/*.csv`` (words and where they stand) and ``key/*.json``
(the four fields as a person read them), named by an option or by the variable ``GATEHOUSE_RECEIPTS``. Its layout is
that of SROIE 2019, task 3. Source: Huang et al., ICDAR 2019.
"""

from __future__ import annotations

import asyncio
import csv
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.serving_client import Body, Target, ask_plainly
from tests.bench.serving_load import CHAT

FIELDS = ("company", "date", "address", "total")
AT_A_TIME = 4
MAX_TOKENS = 300
_LINE_HEIGHT = 12
"""Words whose tops differ by less stand on one line; in the pixels of the scans."""
_SYSTEM = (
    "Extract the fields from the receipt. Return an instance of the JSON with extracted values copied verbatim from "
    "the receipt, not the schema itself. Use an empty text if absent. company = the seller's name; date = as printed; "
    "address = seller's full address; total = the final total amount."
)
_SCHEMA = {
    "type": "object",
    "properties": {name: {"type": "string"} for name in FIELDS},
    "required": list(FIELDS),
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True)
class Receipt:
    """One document and its truth."""

    name: str
    text: str
    truth: dict[str, str]


@dataclass(slots=True)
class Extracted:
    """What one side made of the receipts, and how long it took."""

    seconds: float = 0.0
    texts: dict[str, str] = field(default_factory=dict)

    @property
    def documents_s(self) -> float:
        return len(self.texts) / self.seconds if self.seconds else 0.0


def load(folder: Path, count: int) -> list[Receipt]:
    """The first receipts by name.

    Raises:
        FileNotFoundError: the folder holds none.
    """
    names = sorted(path.stem for path in (folder / "box").glob("*.csv"))[:count]
    if not names:
        raise FileNotFoundError(f"{folder} holds no receipts")
    return [Receipt(name, _text(folder / "box" / f"{name}.csv"), _truth(folder / "key", name)) for name in names]


def _truth(folder: Path, name: str) -> dict[str, str]:
    path = next(path for path in folder.glob(f"{name}.*"))
    found = json.loads(path.read_text(encoding="utf-8"))
    return {key: str(found.get(key) or "") for key in FIELDS}


def _text(path: Path) -> str:
    """The words in reading order, line by line."""
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        read = [line for line in csv.reader(file, quoting=csv.QUOTE_NONE) if len(line) >= 9]
    # Eight corners, then words that may hold commas themselves.
    words = [(int(line[1]), int(line[0]), ",".join(line[8:])) for line in read]
    lines: list[tuple[int, list[tuple[int, str]]]] = []
    for top, left, word in sorted(words):
        if lines and top - lines[-1][0] < _LINE_HEIGHT:
            lines[-1][1].append((left, word))
        else:
            lines.append((top, [(left, word)]))
    return "\n".join("  ".join(word for _, word in sorted(line)) for _, line in lines)


def request(receipt: Receipt, *, plain: bool = False) -> Body:
    """Greedy, to the schema. ``plain`` asks our worker to decode token by token, as llama-server does."""
    options = {"fast_forward": False, "prompt_lookup": False} if plain else {}
    return {
        **options,
        "messages": [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": receipt.text}],
        "max_tokens": MAX_TOKENS,
        "temperature": 0,
        "repeat_penalty": 1.0,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "receipt", "strict": True, "schema": _SCHEMA},
        },
    }


async def extract(
    target: Target, receipts: Sequence[Receipt], at_a_time: int, into: Extracted, *, plain: bool = False
) -> None:
    """Ask for all of them, never more than ``at_a_time`` at once; adds to ``into``."""
    left = list(reversed(receipts))

    async def asking() -> None:
        while left:
            receipt = left.pop()
            answer = json.loads(await ask_plainly(target, CHAT, request(receipt, plain=plain)))
            into.texts[receipt.name] = answer["choices"][0]["message"]["content"]

    began = time.perf_counter()
    await asyncio.gather(*(asking() for _ in range(at_a_time)))
    into.seconds += time.perf_counter() - began


def fields_of(text: str) -> dict[str, str] | None:
    """The four fields of an answer; ``None`` for one that was cut off or is not of the schema."""
    try:
        found = json.loads(text)
    except ValueError:
        return None
    if not isinstance(found, dict) or any(not isinstance(found.get(name), str) for name in FIELDS):
        return None
    return {name: found[name] for name in FIELDS}


def field_f1(texts: dict[str, str], receipts: Sequence[Receipt]) -> float:
    """Micro F1 over all fields; a field counts as found when it equals the truth but for case and spaces."""
    right = said = there = 0
    for receipt in receipts:
        found = fields_of(texts.get(receipt.name, "")) or dict.fromkeys(FIELDS, "")
        for name in FIELDS:
            ours, truth = _plain(found[name]), _plain(receipt.truth[name])
            said += bool(ours)
            there += bool(truth)
            right += bool(truth) and ours == truth
    return 2 * right / (said + there) if said + there else 0.0


def differing(one: dict[str, str], other: dict[str, str]) -> int:
    """Of the documents that both answered, those whose fields are not the same."""
    return sum(fields_of(one[name]) != fields_of(other[name]) for name in one.keys() & other.keys())


def _plain(text: str) -> str:
    return "".join(text.upper().split())
