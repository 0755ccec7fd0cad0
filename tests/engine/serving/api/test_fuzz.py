"""A few hundred of the requests that `make fuzz` sends by the thousand."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.fuzz_serving.run import fuzz

pytestmark = [pytest.mark.native, pytest.mark.slow, pytest.mark.timeout(600)]


def test_nobody_falls_and_a_good_reader_reads_on(made_folder: Path) -> None:
    """No crash, no 5xx, no hang, no cell left in the cache, every refusal in a sentence, the document kept."""
    report = fuzz(500, seed=int(time.time()) // 86_400, folder=made_folder)
    assert report.faults == []
    assert report.requests.total() >= 500
    assert report.witnessed > 0
