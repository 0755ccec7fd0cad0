"""`python -m tests.fuzz_serving --requests 10000`: fuzz a worker, and say what came of it. Exit code 1 on any fault."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz_serving.run import fuzz


def main() -> int:
    """Parse, run, report."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz_serving", description=__doc__)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    asked = parser.parse_args()
    out = sys.stdout.write
    out(f"{asked.requests:,} requests, seed {asked.seed}\n")
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        report = fuzz(asked.requests, seed=asked.seed, folder=Path(folder))
    for name, count in report.requests.most_common():
        out(f"{count:7,}  {name}\n")
    total, seconds = report.requests.total(), time.monotonic() - began
    out(f"{total:7,}  requests in {seconds:.0f} s; the worker has grown by {report.growth_bytes / 2**20:.0f} MiB\n")
    out(f"meanwhile {report.witnessed} answers were read to the end, longest gap {report.longest_gap_s:.1f} s\n")
    for fault in report.faults[:50]:
        out(f"FAULT {fault}\n")
    out(f"{len(report.faults)} faults\n")
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
