"""`python -m tests.bench [--group gate] [--write] [section …]`: runs the sections and shows one table.

Leaves measuring to the modules named in `SECTIONS`, each of which has `measure() -> list[Row]`.
"""

import argparse
import importlib
import json
import platform
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import psutil

from tests.bench.table import NO_GOAL, Row, markdown

SECTIONS = ("window", "store", "recovery", "lost", "decode", "predicted", "reading")
GATE_SECTIONS = ("gate_store", "gate_zero", "gate_pii", "gate_canary")
BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"
GROUPS = {
    "": (SECTIONS, "bench"),
    "gate": (GATE_SECTIONS, "bench-gate"),
}
"""What is measured together, and the name of the target and of the table's place in the README."""


def run_sections(names: Sequence[str]) -> tuple[dict[str, list[Row]], list[str]]:
    """Rows by section, and the names of the sections that broke; one that breaks does not take the others along."""
    rows: dict[str, list[Row]] = {}
    broken: list[str] = []
    for name in names:
        sys.stderr.write(f"measuring: {name}\n")
        try:
            rows[name] = importlib.import_module(f"tests.bench.{name}").measure()
        except Exception:  # noqa: BLE001 - shown in full; the figures of the other sections are still wanted
            traceback.print_exc()
            broken.append(name)
    return rows, broken


def machine() -> str:
    """What was measured on, as far as it bears on the figures."""
    processor = platform.processor() or platform.machine()
    if sys.platform == "linux":
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        processor = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), processor)
    memory = psutil.virtual_memory().total / (1 << 30)
    return f"{processor}, {psutil.cpu_count()} threads, {memory:.0f} GiB, {platform.system()} {platform.machine()}"


def report(rows: Sequence[Row], target: str = "bench") -> str:
    """The table with where and when above it."""
    when = time.strftime("%Y-%m-%d")
    return f"Measured {when} on {machine()}, with `make {target}`.\n\n{markdown(rows)}"


def kept(file: Path, measured: Mapping[str, Sequence[Row]]) -> dict[str, list[Row]]:
    """What was measured now, and what the file keeps of sections that were not; the file keeps both."""
    before = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    rows = {name: [Row(**row) for row in lines] for name, lines in before.items()}
    rows |= {name: list(lines) for name, lines in measured.items()}
    plain = {name: [asdict(row) for row in lines] for name, lines in rows.items()}
    file.write_text(json.dumps(plain, indent=1), encoding="utf-8")
    return rows


def replace_between(text: str, table: str, begin_mark: str = BEGIN, end_mark: str = END) -> str:
    """Put the table between the two marks.

    Raises:
        ValueError: the marks are not there, or in the wrong order.
    """
    begin, end = text.find(begin_mark), text.find(end_mark)
    if begin < 0 or end < begin:
        raise ValueError(f"README.md has no place for the table: {begin_mark} … {end_mark}")
    return f"{text[: begin + len(begin_mark)]}\n{table}\n{text[end:]}"


def main(arguments: Sequence[str]) -> int:
    """The command: 0 when every section ran, 1 otherwise. A goal that is not met is shown, not hidden in a code."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measures Gatehouse beside its peers.")
    parser.add_argument("sections", nargs="*", help="only these of: " + " ".join((*SECTIONS, *GATE_SECTIONS)))
    parser.add_argument("--group", choices=sorted(GROUPS), default="", help="what belongs together")
    parser.add_argument("--write", action="store_true", help="renew the table in README.md")
    parser.add_argument("--keep", type=Path, help="a file that keeps rows, to measure the sections one by one")
    asked = parser.parse_args(arguments)
    sections, target = GROUPS[asked.group]
    measured, broken = run_sections(asked.sections or sections)
    known = kept(asked.keep, measured) if asked.keep is not None else measured
    rows = [row for name in dict.fromkeys((*sections, *known)) for row in known.get(name, ())]
    table = report(rows, target)
    goals = [row.met for row in rows if row.goal != NO_GOAL]
    sys.stdout.write(f"\n{table}\n\n{sum(goals)} of {len(goals)} goals met.\n")
    if broken:
        sys.stdout.write(f"Not measured, see above: {', '.join(broken)}\n")
        return 1
    if asked.write:
        readme = Path(__file__).resolve().parents[2] / "README.md"
        marks = (f"<!-- {target}:begin -->", f"<!-- {target}:end -->")
        readme.write_text(replace_between(readme.read_text(encoding="utf-8"), table, *marks), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
