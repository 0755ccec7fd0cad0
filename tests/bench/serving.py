"""`python -m tests.bench.serving [--write] [--only ROW …]`: our worker beside llama-server, in one run.

Same llama.cpp build, model file, context, slots, threads, batch and micro-batch, KV type and flash attention; same
requests from the same client; both sides up together and asked in turn, round by round; medians are compared. The rows
are ``serving_rows``'s.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shlex
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.bench import serving_rows as rows
from tests.bench.__main__ import machine, replace_between
from tests.bench.decode import MODEL
from tests.bench.serving_receipts import load
from tests.bench.serving_sides import Setting, peer_flags
from tests.bench.table import Row, markdown
from tests.fetched_models import QWEN, installed
from tests.made_models import make_moe

BEGIN, END = "<!-- bench-serving:begin -->", "<!-- bench-serving:end -->"
RECEIPTS_VARIABLE = "GATEHOUSE_RECEIPTS"
NAMES = ("single", "sessions-5", "sessions-20", "moe-5", "moe-20", "document", "gap", "ready", "restart", "receipts")


class Skipped(Exception):
    """A row cannot be measured here; the sentence says why."""


@dataclass(frozen=True, slots=True)
class Options:
    """The command line."""

    only: tuple[str, ...]
    scale: rows.Scale
    receipts: int
    receipts_folder: Path | None
    write: bool


async def measure(name: str, options: Options) -> list[Row]:
    """One entry of ``NAMES``.

    Raises:
        Skipped: something that it needs is not on this machine.
    """
    scale = options.scale
    counted = {"sessions-5": (MODEL, 5), "sessions-20": (MODEL, 20), "moe-5": (None, 5), "moe-20": (None, 20)}
    if name in counted:
        model, count = counted[name]
        return await rows.sessions(model or _moe(), scale, count)
    if name == "receipts":
        return await _receipts(options)
    if name == "ready":
        more = installed(QWEN)
        return await rows.ready(MODEL, scale) + (await rows.ready(more, scale) if more else [])
    plain = {
        "single": rows.single,
        "document": rows.document,
        "gap": rows.gap,
        "restart": rows.restart,
    }
    return await partial(plain[name], MODEL, scale)()


async def _receipts(options: Options) -> list[Row]:
    if options.receipts_folder is None or not options.receipts_folder.is_dir():
        raise Skipped(f"the receipts are not part of the project; name their folder by {RECEIPTS_VARIABLE}")
    model = installed(QWEN)
    if model is None:
        raise Skipped(f"{QWEN.name} is not there; python -m tests.fetched_models {QWEN.name} fetches it")
    return await rows.receipts(model, options.scale, load(options.receipts_folder, options.receipts))


def _moe() -> Path:
    """The starter as a mixture of four experts, kept where the tests keep it."""
    folder = Path(__file__).resolve().parents[2] / ".pytest_cache" / "d" / "made-models-5"
    folder.mkdir(parents=True, exist_ok=True)
    return make_moe(folder / "SmolLM2-4x135M-Q4_1.gguf")


def run(options: Options) -> tuple[list[Row], dict[str, str]]:
    """All rows, and why others are missing."""
    found: list[Row] = []
    missing: dict[str, str] = {}
    for name in options.only or NAMES:
        began = time.perf_counter()
        sys.stderr.write(f"measuring: {name}\n")
        try:
            found += asyncio.run(measure(name, options))
        except Skipped as reason:
            missing[name] = str(reason)
        except Exception as error:  # noqa: BLE001 - shown in full; the other rows are still wanted
            traceback.print_exc()
            missing[name] = f"failed: {error!r:.200}"
        sys.stderr.write(f"  took {time.perf_counter() - began:.0f} s\n")
    return found, missing


def report(found: Sequence[Row], missing: dict[str, str]) -> str:
    """The table, what was compared above it, what is missing below it."""
    flags = shlex.join(peer_flags(Setting(Path("MODEL"), 0, 0), 0)[6:])
    flags = flags.replace("--ctx-size 0 --parallel 0", "--ctx-size C --parallel N")
    head = f"Measured {time.strftime('%Y-%m-%d')} on {machine()}, with `make bench-serving`: llama-server of the same "
    head += (
        f"llama.cpp build with `{flags}`, our worker with the same, but with a unified cache in all rows except those "
    )
    head += "of two turns, which have it in parts as `gatehouse serve --users N` plans it; "
    head += "OpenMP's threads of both sleep after the same spin; prompts of both made alike."
    tail = "".join(f"\n\nNot measured: {name}, because {why}." for name, why in missing.items())
    return f"{head}\n\n{markdown(found)}{tail}"


def main(arguments: Sequence[str]) -> int:
    """The command: 0 when every asked row ran or was skipped for a reason, 1 otherwise."""
    options = _parse(arguments)
    found, missing = run(options)
    table = report(found, missing)
    sys.stdout.write(f"\n{table}\n\n{sum(row.met for row in found)} of {len(found)} goals met.\n")
    if any(why.startswith("failed") for why in missing.values()):
        return 1
    if options.write:
        readme = Path(__file__).resolve().parents[2] / "README.md"
        text = readme.read_text(encoding="utf-8")
        readme.write_text(replace_between(text, table, BEGIN, END), encoding="utf-8")
    return 0


def _parse(arguments: Sequence[str]) -> Options:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.serving", description="Measures beside llama-server.")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=[], metavar="ROW", help=" ".join(NAMES))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--receipts", type=int, default=20, help="how many, a minute each; 0 for none")
    parser.add_argument("--receipts-folder", type=Path, default=None, help=f"else {RECEIPTS_VARIABLE} names it")
    parser.add_argument("--quick", action="store_true", help="small and few: shows that everything runs, no figures")
    parser.add_argument("--write", action="store_true", help="renew the table in README.md")
    asked = parser.parse_args(arguments)
    folder = asked.receipts_folder or (Path(named) if (named := os.environ.get(RECEIPTS_VARIABLE)) else None)
    rounds, count = (1, min(asked.receipts, 2)) if asked.quick else (asked.rounds, asked.receipts)
    only = tuple(asked.only) or tuple(name for name in NAMES if name != "receipts" or count > 0)
    return Options(only, rows.Scale(max(1, rounds), asked.quick), count, folder, asked.write and not asked.quick)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
