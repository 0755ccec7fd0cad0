"""The formula for compute buffers against llama.cpp's own projection: generous, and by how much."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.fit.budget import budgets
from engine.fit.buffers import EstimatedBuffers, ProbedBuffers
from engine.fit.facts import facts_of
from engine.fit.footprint import CacheShape
from engine.fit.placement import ALL_IN_RAM
from engine.gguf.split import read_model
from engine.probe.client import measure_compute
from tests.engine.fit.machines import GIB, machine
from tests.large_header import make_large_header

pytestmark = [pytest.mark.native, pytest.mark.timeout(600)]

SHAPES = [CacheShape(2_048, 4, 512, "f16"), CacheShape(32_768, 8, 512, "f16"), CacheShape(8_192, 40, 2_048, "f16")]
SHAPES += [CacheShape(20 * 1_024, 20, 512, "f16", kv_unified=False), CacheShape(2 * 8_192, 2, 512, "f16", False)]


def _assert_generous(model: Path) -> None:
    header = read_model(model)
    facts, memories = facts_of(header), budgets(machine(64 * GIB))
    probed = ProbedBuffers(header, facts, memories, measure_compute)
    for shape in SHAPES:
        real = probed.measure(shape, ALL_IN_RAM).host_bytes
        assert (
            real
            <= EstimatedBuffers(facts, memories).estimate(shape).host_bytes
            <= (1.5 if shape.kv_unified else 1.6) * real
        )


def test_the_estimate_for_a_dense_model(starter: Path) -> None:
    _assert_generous(starter)


@pytest.mark.slow
def test_the_estimate_for_30_billion_parameters_with_experts(tmp_path: Path) -> None:
    _assert_generous(make_large_header(tmp_path / "large.gguf"))
