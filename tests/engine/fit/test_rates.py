"""Products of weights on processors whose kernels were timed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.fit.budget import budgets
from engine.fit.described import describe_machine
from engine.fit.fit import fit_header
from engine.fit.footprint import Part, Size
from engine.fit.plan import Plan, Wish
from engine.fit.rates import Rates, machine_rates
from engine.gguf.split import read_model
from engine.hardware.profile import Kernel, Kernels, Machine
from engine.probe.records import ComputeAnswer, ComputeQuestion
from tests.made_models import STARTER

SLOW, QUICK = Kernel("Q4_1", 10e9, 0.0, 40e9), Kernel("Q4_K", 40e9, 0.0, 150e9)
MB = 1_000_000


def _host(*kernels: Kernel, threads: int = 4, memory: str = "100GB/s") -> Rates:
    here = replace(describe_machine(f"ram=8GiB,cpu={memory}"), kernels=Kernels(kernels, 40e9))
    return machine_rates(here, budgets(here), threads).host


def _size(kind: str, megabytes: int = 100, rows: int = 1_000) -> Size:
    return Size(megabytes * MB, 2 * megabytes * MB, (Part(kind, megabytes * MB, 2 * megabytes * MB, rows),))


def test_a_slow_kernel_binds_where_memory_would_not() -> None:
    host = _host(SLOW, QUICK)
    assert host.product_s(_size("Q4_1"), 1) == pytest.approx(100 * MB / 10e9 / 4)
    assert host.product_s(_size("Q4_K"), 1) == pytest.approx(100 * MB / host.read_bytes_s)


def test_more_threads_than_memory_feeds_gain_nothing() -> None:
    seconds = [_host(SLOW, threads=n, memory="30GB/s").product_s(_size("Q4_1"), 1) for n in (1, 2, 4, 8)]
    assert seconds[0] == pytest.approx(2 * seconds[1])
    assert seconds[2] == seconds[3]


def test_short_rows_cost_more() -> None:
    host = _host(replace(SLOW, row_s=5e-9))
    assert host.product_s(_size("Q4_1", rows=1_000_000), 1) > 1.3 * host.product_s(_size("Q4_1"), 1)


def test_a_type_that_was_not_timed_counts_as_the_nearest_in_size() -> None:
    host = _host(SLOW, Kernel("Q8_0", 20e9, 0.0, 100e9))
    for kind in ("Q4_0", ""):
        size = Size(100 * MB, 178 * MB, (Part(kind, 100 * MB, 178 * MB, 0),))
        assert host.product_s(size, 64) == pytest.approx(2 * 64 * 178 * MB / 40e9 / 4)


def test_parts_of_one_type_are_counted_together() -> None:
    both = _size("Q4_1") + _size("Q4_K") + _size("Q4_1", 50)
    assert both.bytes == sum(part.bytes for part in both.parts) == 250 * MB
    assert {part.type: part.bytes for part in both.parts} == {"Q4_1": 150 * MB, "Q4_K": 100 * MB}


def _probe(question: ComputeQuestion) -> ComputeAnswer:
    return ComputeAnswer((("CPU", 50 * MB),), MB, 0, 0, 1, question.n_ctx)


def _plan(here: Machine) -> Plan:
    plan = fit_header(read_model(STARTER), Wish(n_ctx=2_048, sessions=1), here, probe=_probe)
    assert isinstance(plan, Plan)
    return plan


@pytest.mark.parametrize("times", [0.5, 2.0])
def test_a_processor_with_other_kernels_is_predicted_otherwise(times: float) -> None:
    plain = replace(describe_machine("ram=8GiB,cpu=200GB/s"), kernels=Kernels((SLOW,), 40e9))
    other = replace(
        plain, kernels=Kernels((replace(SLOW, read_bytes_s=10e9 * times, flop_s=40e9 * times),), 40e9 * times)
    )
    before, after = _plan(plain).speed, _plan(other).speed
    assert before is not None
    assert after is not None
    assert after.basis == before.basis
    ratio = after.prefill_tok_s.likely / before.prefill_tok_s.likely
    assert ratio == pytest.approx(times, rel=0.1)
    # A step has parts that no kernel speeds up.
    assert abs(after.decode_tok_s.likely / before.decode_tok_s.likely - 1) < abs(times - 1)


def test_what_was_timed_is_promised_more_narrowly_than_what_was_not() -> None:
    guessed = describe_machine("ram=8GiB,cpu=40GB/s")
    timed = replace(guessed, kernels=Kernels((SLOW,), 40e9))
    widths = []
    for here in (guessed, timed):
        speed = _plan(here).speed
        assert speed is not None
        widths.append(speed.prefill_tok_s.high / speed.prefill_tok_s.low)
    assert widths[1] < widths[0]
