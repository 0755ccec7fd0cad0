"""Half a minute of what `make soak` does for half an hour, and what it would call broken."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.made_models import TINY_LLAMA, make_tiny
from tests.soak_serving import Options, Seen, report, soak


@pytest.mark.native
@pytest.mark.slow
def test_careless_clients_cost_neither_memory_nor_cells(tmp_path: Path) -> None:
    model = make_tiny(TINY_LLAMA, tmp_path / "tiny.gguf")
    seen = asyncio.run(soak(Options(0.5, 12, model, 1, 7)))
    assert all(held for _, held in seen.verdicts()), report(seen)
    answered = {what.split(",")[0] for what in seen.outcomes if what.endswith("200")}
    assert answered >= {"chat", "conversation", "constraint", "choices", "plain"}, report(seen)


def held(seen: Seen) -> list[bool]:
    return [verdict for _, verdict in seen.verdicts()]


def level() -> list[tuple[float, float]]:
    """A process that grows at first and then stays."""
    return [(float(second), min(500.0, 300.0 + 10 * second)) for second in range(0, 1800, 5)]


def test_growth_at_first_is_none() -> None:
    assert held(Seen(memory=level(), cells_left=0)) == [True, True, True]


def test_a_leak_a_lost_cell_and_a_fault_are_broken_promises() -> None:
    leaking = [(second, size + second / 10) for second, size in level()]
    seen = Seen(faults=["500"], memory=leaking, cells_left=1)
    assert held(seen) == [False, False, False]
    assert seen.slope_mib_h == pytest.approx(360, rel=0.01)
    assert report(seen).count("BROKEN") == 3
