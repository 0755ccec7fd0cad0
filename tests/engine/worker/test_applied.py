"""The real worker loads exactly what was planned, on stand-in cards: bytes on each device, and the same text."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx2
import pytest

from engine.fit.fit import fit_header
from engine.fit.measured import compare
from engine.fit.plan import Plan, Wish
from engine.gguf.split import read_model
from engine.probe.client import measure_compute
from engine.worker.spec import Ready
from tests.engine.fit.machines import GIB, MIB, card, machine
from tests.engine.served import KEY, WorkerProcess, spec
from tests.stand_in_card import stand_in_card

pytestmark = [pytest.mark.native, pytest.mark.slow, pytest.mark.timeout(900)]

_PROMPT = "The capital of France is"
_TOKENS = 16
_N_LAYER = 30


@pytest.fixture(scope="module")
def cards() -> Iterator[tuple[str, str]]:
    """Two stand-in cards. What is free of each is said by the test's machine, not by the card."""
    with stand_in_card() as first, stand_in_card() as second:
        yield first, second


def made_plan(model: Path, endpoints: tuple[str, ...], free: tuple[int, ...], **wish: object) -> Plan:
    gpus = tuple(card(size, name=f"RPC{index}") for index, size in enumerate(free))
    asked = Wish(n_ctx=1024, sessions=1, threads=1, kv_type="f16", **wish)  # type: ignore[arg-type]
    probe = partial(measure_compute, timeout_s=300)
    plan = fit_header(read_model(model), asked, machine(16 * GIB, gpus=gpus), rpc_endpoints=endpoints, probe=probe)
    assert isinstance(plan, Plan), plan
    return plan


def _load(plan: Plan, endpoints: tuple[str, ...] = ()) -> tuple[Ready, str]:
    worker = WorkerProcess(spec(plan=plan, rpc_endpoints=endpoints))
    try:
        ready = worker.until_ready()
        answer = httpx2.post(
            f"{ready.address}/v1/completions",
            json={"prompt": _PROMPT, "max_tokens": _TOKENS, "temperature": 0},
            headers={"Authorization": f"Bearer {KEY}"},
            timeout=300,
        )
        return ready, answer.json()["choices"][0]["text"]
    finally:
        worker.close()


@pytest.fixture(scope="module")
def text_on_cpu(moe_model: Path) -> str:
    """What the processor alone answers."""
    plan = made_plan(moe_model, (), ())
    ready, text = _load(plan)
    assert [row for row in compare(plan, ready.buffers) if row.difference_bytes] == []
    assert text.strip()
    return text


def _assert_as_planned(plan: Plan, endpoints: tuple[str, ...], text_on_cpu: str) -> None:
    ready, text = _load(plan, endpoints)
    rows = compare(plan, ready.buffers)
    exact = [row for row in rows if row.what != "compute"]
    # Beside a card that holds everything the file is mapped, and main memory's share of it is not told.
    told = [device.name for device in plan.devices if device.name != "CPU" or plan.load_mode == "read"]
    assert {row.device for row in exact if row.what == "weights"} == set(told)
    assert [row for row in exact if row.difference_bytes] == []
    for row in rows:
        if row.what == "compute":
            # The projection adds a digit of the log to each buffer, so that it is never below the truth.
            assert row.planned_bytes == pytest.approx(row.real_bytes, rel=0.01, abs=3 * row.rounding_bytes)
    assert text == text_on_cpu


@pytest.mark.parametrize("in_ram", [0, 8, 15, _N_LAYER])
def test_experts_stay_in_main_memory(in_ram: int, cards: tuple[str, str], moe_model: Path, text_on_cpu: str) -> None:
    plan = made_plan(moe_model, cards[:1], (4 * GIB,), experts_in_ram=in_ram)
    assert plan.n_gpu_layers == _N_LAYER + 1
    assert plan.experts_in_ram == tuple(range(_N_LAYER - in_ram, _N_LAYER))
    _assert_as_planned(plan, cards[:1], text_on_cpu)


@pytest.mark.parametrize("room", [64 * MIB, 128 * MIB, 192 * MIB, 256 * MIB])
def test_a_card_of_any_size_is_filled_as_planned(
    room: int, cards: tuple[str, str], moe_model: Path, text_on_cpu: str
) -> None:
    """``room`` is what the card has beyond the margin that plans leave on it."""
    plan = made_plan(moe_model, cards[:1], (room + 256 * MIB,))
    used = [device for device in plan.devices if device.name == "RPC0"]
    assert sum(device.needed_bytes for device in used) <= room
    assert used or room < 100 * MIB
    _assert_as_planned(plan, cards[:1], text_on_cpu)


@pytest.mark.parametrize("in_ram", [None, 10])
def test_two_unequal_cards_share_the_layers(
    in_ram: int | None, cards: tuple[str, str], moe_model: Path, text_on_cpu: str
) -> None:
    plan = made_plan(moe_model, cards, (420 * MIB, 500 * MIB), experts_in_ram=in_ram)
    assert len(plan.layers_per_card) == 2
    assert sum(plan.layers_per_card) == plan.n_gpu_layers
    _assert_as_planned(plan, cards, text_on_cpu)
