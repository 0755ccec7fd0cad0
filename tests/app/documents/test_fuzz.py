"""A hundred of the broken documents that `make fuzz` sends by the thousand."""

from __future__ import annotations

import pytest

from tests.fuzz_readers.run import fuzz


@pytest.mark.slow
async def test_broken_documents_are_read_or_refused_in_a_sentence() -> None:
    report = await fuzz(100, seed=7)
    assert not report.faults
    read = sum(count for outcome, count in report.outcomes.items() if outcome.endswith(" read"))
    assert 20 < read < 100
    assert {outcome.split()[1] for outcome in report.outcomes} >= {"read", "damaged"}
