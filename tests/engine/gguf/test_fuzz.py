"""Mutated headers never crash, hang or fill the memory of the process that reads them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from engine.errors import ModelFileError
from tests.engine.gguf import fuzz

_MEMORY_LIMIT_BYTES = 200_000_000


def _run(count: int, seed: int, folder: Path, timeout_s: float) -> dict[str, object]:
    child = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-m", "tests.engine.gguf.fuzz", str(count), str(seed), str(folder)],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        cwd=Path(__file__).parents[3],
    )
    assert child.returncode == 0, child.stderr[-2_000:]
    report = json.loads(child.stdout)
    assert isinstance(report, dict)
    return report


@pytest.mark.parametrize("count", [2_000, pytest.param(100_000, marks=[pytest.mark.slow, pytest.mark.timeout(1_800)])])
def test_mutated_headers_are_accepted_or_refused(count: int, tmp_path: Path) -> None:
    report = _run(count, count + 1, tmp_path, timeout_s=1_700)
    assert report["strangers"] == []
    outcomes = report["outcomes"]
    assert isinstance(outcomes, dict)
    assert sum(outcomes.values()) == count
    # A reader that refused or accepted everything would pass the rest of this test.
    assert outcomes["accepted"] > count // 50
    for code in ("damaged", "truncated", "overlong", "not_gguf", "unsupported"):
        assert outcomes.get(code, 0) > count // 2_000, outcomes
    assert isinstance(report["peak_bytes"], int)
    assert report["peak_bytes"] < _MEMORY_LIMIT_BYTES
    assert isinstance(report["slowest_s"], float)
    assert report["slowest_s"] < 10, "a header took seconds to refuse"


def test_the_files_it_starts_from_are_right(tmp_path: Path) -> None:
    for number, data in enumerate(fuzz.seeds()):
        path = tmp_path / f"{number}.gguf"
        path.write_bytes(data)
        try:
            fuzz.examine(path)
        except ModelFileError as error:
            pytest.fail(f"seed {number}: {error}")
