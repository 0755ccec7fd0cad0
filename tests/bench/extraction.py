"""`python -m tests.bench.extraction [--write]`: fields of receipts from the schema alone and with three examples.

Everything was tuned on every other receipt; what is shown is of the rest. The built-in schema, the product's pipeline
and the real worker; the prompt's prefix is computed before the clock starts, as in a batch. `--peer` asks llama-server
for the same receipts with a plain prompt and a JSON schema, `--pictures` reads scans by recognition. `--fit` makes the
shipped calibration anew from the tuning half. `--resume` (always on with `--fit` and `--tuning`) takes receipts that
were already asked by this code from the cache; `--minutes` ends a run early, and the next one goes on there.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from app.extraction.ask import LocalAsker
from app.extraction.builtin import builtin_schema
from app.extraction.calibration import shipped
from app.extraction.pipeline import extract
from app.extraction.records import Example
from app.providers.provider import Endpoint
from tests.bench import serving_receipts
from tests.bench.__main__ import machine, replace_between
from tests.bench.extraction_fit import judged_by_others, table_of, write
from tests.bench.extraction_kept import Kept, Seen, Watch, scored_of
from tests.bench.extraction_receipts import (
    FIELDS,
    Receipt,
    Scored,
    example_of,
    halves,
    names_of,
    read,
)
from tests.bench.serving_client import ask_plainly
from tests.bench.serving_load import CHAT
from tests.bench.serving_sides import Setting, Side, llama_server, our_worker
from tests.bench.table import Row, markdown
from tests.fetched_models import QWEN, installed

BEGIN, END = "<!-- bench-extraction:begin -->", "<!-- bench-extraction:end -->"
RECEIPTS_VARIABLE = "GATEHOUSE_RECEIPTS"
EXAMPLES = 3
N_CTX = 8192
_GOALS = {0: 0.75, EXAMPLES: 0.88}


@dataclass(frozen=True, slots=True)
class Options:
    """The command line."""

    folder: Path
    count: int
    tuning: bool
    peer: bool
    pictures: bool
    fit: bool
    write: bool
    verbose: bool
    resume: bool
    minutes: float


async def ours(
    side: Side, warm: Receipt, receipts: Sequence[Receipt], examples: Sequence[Example], options: Options
) -> list[Seen]:
    """The product's pipeline over all receipts, one at a time; ``warm`` is asked before the clock starts.

    Fewer than asked for when the time is over.
    """
    model = installed(QWEN)
    assert model is not None
    kept = Kept(f"{'pictures' if options.pictures else 'words'}-{len(examples)}")
    asker = LocalAsker(Endpoint(side.target.address, side.target.token, model.stem, N_CTX, "CPU"))
    schema = builtin_schema("receipt")
    found: list[Seen] = []
    try:
        with Watch.over_pipeline() as watch:
            await extract(warm.reading, schema, examples, asker)
            for receipt in receipts:
                known = kept.load(receipt.name) if options.resume else None
                if known is None:
                    if time.monotonic() > _ends_at(options):
                        break
                    known = watch.seen(await extract(receipt.reading, schema, examples, asker), receipt)
                    kept.store(known)
                found.append(known)
                if options.verbose:
                    _tell(known)
    finally:
        await asker.close()
    return found


_BEGAN = time.monotonic()


def _ends_at(options: Options) -> float:
    return _BEGAN + options.minutes * 60


def _tell(seen: Seen) -> None:
    wrong = ", ".join(f"{one.name}={one.said!r}" for one in seen.fields if not one.right)
    fresh = seen.prompt_tokens - seen.cached_tokens
    sys.stderr.write(
        f"{seen.name}: {seen.seconds:.1f} s, {seen.requests} requests, {fresh} tokens read, "
        f"{seen.completion_tokens} answered {wrong}\n"
    )


async def peer(warm: Receipt, receipts: Sequence[Receipt], folder: Path, examples: Sequence[Receipt]) -> Scored:
    """llama-server with the plain prompt of ``serving_receipts``, and the examples as earlier turns."""
    model = installed(QWEN)
    assert model is not None
    scored = Scored()
    async with llama_server(Setting(model, 1, N_CTX)) as side:
        known = {one.name: one for one in serving_receipts.load(folder, 10_000)}
        for receipt in [warm, *receipts]:
            body = dict(serving_receipts.request(known[receipt.name], plain=False))
            turns = list(body["messages"])  # type: ignore[call-overload]
            shown = [turn for one in examples for turn in _turns(known[one.name])]
            body["messages"] = [turns[0], *shown, turns[1]]
            began = time.perf_counter()
            answer = json.loads(await ask_plainly(side.target, CHAT, body))
            seconds = time.perf_counter() - began
            if receipt is warm:
                continue
            said = serving_receipts.fields_of(answer["choices"][0]["message"]["content"]) or dict.fromkeys(FIELDS, "")
            for name in FIELDS:
                scored.add(name, said[name], receipt.truth[name])
            scored.seconds.append(seconds)
    return scored


def _turns(receipt: serving_receipts.Receipt) -> list[dict[str, str]]:
    answer = json.dumps(receipt.truth, ensure_ascii=False)
    return [{"role": "user", "content": receipt.text}, {"role": "assistant", "content": answer}]


def rows(count: int, scored: Scored, other: Scored | None, *, pictures: bool) -> list[Row]:
    """The figures of one setting."""
    what = "from the schema alone" if count == 0 else f"with {count} corrected examples"
    what += ", pictures" if pictures else ""
    mean = sum(scored.seconds) / len(scored.seconds)
    goal = _GOALS[count] - (0.08 if pictures else 0.0)
    each = ", ".join(f"{name} {scored.f1(name):.2f}" for name in FIELDS)
    n = len(scored.seconds)
    peer_mean = sum(other.seconds) / len(other.seconds) if other else None
    error, sure = scored.calibration_error(), scored.right_when_sure()
    return [
        Row(
            f"Micro-F1 {what}",
            scored.f1(),
            "",
            other.f1() if other else None,
            f"≥ {goal:.2f}",
            scored.f1() >= goal,
            f"{n} receipts: {each}",
        ),
        Row(f"A receipt {what}", mean, "s", peer_mean, "≤ 8 s", mean <= 8.0, f"mean of {n}"),
        Row(f"Calibration error {what}", error, "", None, "≤ 0.05", error <= 0.05, "ECE, ten bins"),
        Row(
            f"Right when the least certain 30 % are checked, {what}",
            sure,
            "",
            None,
            "≥ 0.95",
            sure >= 0.95,
            f"of {len(scored.judged)} fields, {sum(right for _, right in scored.judged)} were right",
        ),
        Row(
            f"False *exact* {what}",
            float(scored.false_exact),
            "",
            None,
            "0",
            scored.false_exact == 0,
            f"of {scored.exact} values shown as exact",
        ),
    ]


async def measure(options: Options) -> list[Row]:
    """All settings, one after the other."""
    model = installed(QWEN)
    if model is None:
        raise SystemExit(f"{QWEN.name} is not there; python -m tests.fetched_models {QWEN.name} fetches it")
    everything = names_of(options.folder)
    tuning, reporting = halves(everything)
    shown = await read(options.folder, tuning[-EXAMPLES:])
    chosen = tuning[:-EXAMPLES] if options.tuning or options.fit else reporting
    if options.pictures:
        chosen = [name for name in names_of(options.folder, pictures=True) if name not in tuning[-EXAMPLES:]]
    receipts = await read(options.folder, chosen[: options.count], pictures=options.pictures)
    found: list[Row] = []
    settings: list[list[Seen]] = []
    for count in (0, EXAMPLES):
        async with our_worker(Setting(model, 1, N_CTX)) as side:
            seen = await ours(side, shown[0], receipts, [example_of(one) for one in shown[:count]], options)
        if not seen:
            continue
        settings.append(seen)
        other = await peer(shown[0], receipts, options.folder, shown[:count]) if options.peer else None
        found += rows(count, scored_of(seen, shipped()), other, pictures=options.pictures)
        sys.stderr.write(f"{_counts(seen)}\n{markdown(found)}\n")
    if options.fit and settings:
        fit_and_tell(settings)
    return found


def _counts(seen: Sequence[Seen]) -> str:
    """Where the seconds go."""
    n = len(seen)
    fresh = sum(one.prompt_tokens - one.cached_tokens for one in seen) / n
    return (
        f"{n} receipts; each {sum(one.requests for one in seen) / n:.2f} requests, {fresh:.0f} tokens read, "
        f"{sum(one.cached_tokens for one in seen) / n:.0f} cached, "
        f"{sum(one.completion_tokens for one in seen) / n:.0f} answered"
    )


def fit_and_tell(settings: Sequence[Sequence[Seen]]) -> None:
    """Write the shipped file, and say how good the same fit is on receipts that it did not see."""
    table = table_of(settings)
    write(table)
    judged = judged_by_others(table)
    start = 0
    for count, seen in zip((0, EXAMPLES), settings, strict=False):
        end = start + sum(len(one.fields) for one in seen)
        own = Scored(judged=judged[start:end])
        start = end
        sys.stderr.write(
            f"{count} examples, {len(seen)} receipts, each judged by the others: calibration error "
            f"{own.calibration_error():.3f}, right but for the least certain 30 % {own.right_when_sure():.3f}\n"
        )


def main(arguments: Sequence[str]) -> int:
    """The command."""
    options = _parse(arguments)
    found = asyncio.run(measure(options))
    which = "the tuning half" if options.tuning or options.fit else "the half that nothing was tuned on"
    head = f"Measured {time.strftime('%Y-%m-%d')} on {machine()}, with `make bench-extraction`: {which} of 200 "
    head += f"receipts as words with boxes, {QWEN.name} (Q4_K_M), greedy."
    table = f"{head}\n\n{markdown(found)}"
    sys.stdout.write(f"\n{table}\n\n{sum(row.met for row in found)} of {len(found)} goals met.\n")
    if options.write:
        readme = Path(__file__).resolve().parents[2] / "README.md"
        text = readme.read_text(encoding="utf-8")
        readme.write_text(replace_between(text, table, BEGIN, END), encoding="utf-8")
    return 0


def _parse(arguments: Sequence[str]) -> Options:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.extraction", description="Fields out of receipts.")
    parser.add_argument("--receipts-folder", type=Path, default=None, help=f"else {RECEIPTS_VARIABLE} names it")
    parser.add_argument("--count", type=int, default=1000, help="at most so many receipts")
    parser.add_argument("--tuning", action="store_true", help="the tuning half instead")
    parser.add_argument("--peer", action="store_true", help="llama-server beside us")
    parser.add_argument("--pictures", action="store_true", help="scans through recognition")
    parser.add_argument("--fit", action="store_true", help="fit the shipped calibration on the tuning half")
    parser.add_argument("--write", action="store_true", help="renew the table in README.md")
    parser.add_argument("--resume", action="store_true", help="take what this code was already told from the cache")
    parser.add_argument("--minutes", type=float, default=1e6, help="begin no receipt after so many")
    parser.add_argument("--verbose", action="store_true", help="name what was wrong")
    asked = parser.parse_args(arguments)
    folder = asked.receipts_folder or (Path(named) if (named := os.environ.get(RECEIPTS_VARIABLE)) else None)
    if folder is None or not folder.is_dir():
        parser.error(f"the receipts are not part of the project; name their folder by {RECEIPTS_VARIABLE}")
    return Options(
        folder,
        asked.count,
        asked.tuning,
        asked.peer,
        asked.pictures,
        asked.fit,
        asked.write,
        asked.verbose,
        asked.resume or asked.fit or asked.tuning,
        asked.minutes,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
