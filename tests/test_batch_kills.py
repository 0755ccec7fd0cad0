"""The short form of ``python -m tests.batch_kills 1000 40``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.batch_kills import run


@pytest.mark.slow
def test_files_are_done_exactly_once_under_kill_9(tmp_path: Path) -> None:
    outcome = run(tmp_path, 120, 8, seed=11)
    assert outcome.states == {"done": 120}
    assert (outcome.extractions, outcome.done_more_than_once, outcome.wrong) == (120, 0, 0)
    assert outcome.app_kills + outcome.child_kills > 0  # which of them, and how many, is chance
