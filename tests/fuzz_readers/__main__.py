"""`python -m tests.fuzz_readers --cases 10000`: fuzz the readers, and say what came of it. Exit code 1 on any fault."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from pathlib import Path

from tests.fuzz_readers.run import fuzz


def main() -> int:
    """Parse, run, report."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz_readers", description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--keep", type=Path, help="Folder for the documents that showed a fault.")
    asked = parser.parse_args()
    if asked.keep is not None:
        asked.keep.mkdir(parents=True, exist_ok=True)
    out = sys.stdout.write
    out(f"{asked.cases:,} broken documents, seed {asked.seed}\n")
    began = time.monotonic()
    report = asyncio.run(fuzz(asked.cases, seed=asked.seed, kept=asked.keep))
    for outcome, count in sorted(report.outcomes.items()):
        out(f"{count:7,}  {outcome}\n")
    for sentence, count in report.sentences.most_common(30):
        out(f"{count:7,}  {sentence}\n")
    out(f"{report.outcomes.total():7,}  in {time.monotonic() - began:.0f} s\n")
    for fault in report.faults[:50]:
        out(f"FAULT {fault}\n")
    out(f"{len(report.faults)} faults\n")
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
