"""A plan copied as a command: what it says, and that llama.cpp's own server then holds the same bytes."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from engine.fit.command import server_arguments, server_command
from engine.fit.fit import fit_header
from engine.fit.measured import Compared, compare
from engine.fit.plan import Plan, Wish
from engine.gguf.split import read_model
from engine.llama.buffers import parse_buffers
from engine.probe.client import measure_compute
from tests.bench.peers import locate
from tests.engine.fit.machines import GIB, card, machine
from tests.engine.fit.test_measured import PLAN
from tests.stand_in_card import stand_in_card


def test_every_choice_of_a_plan_is_said() -> None:
    plan = replace(PLAN, kv_type="q8_0", n_expert_used=3, layers_per_card=(20, 11), op_offload_tokens=64)
    arguments = " ".join(server_arguments(plan, architecture="llama", rpc_endpoints=("127.0.0.1:5",)))
    for words in (
        "--model model.gguf",
        "--ctx-size 2048 --parallel 4 --kv-unified",
        "--ubatch-size 512",
        "--cache-type-k q8_0 --cache-type-v q8_0",
        "--load-mode none",
        "--rpc 127.0.0.1:5 --device CUDA0 --n-gpu-layers 31",
        "--tensor-split 20,11",
        r"--override-tensor ^blk\.(29)\.ffn_(up|down|gate_up|gate)_(ch|)exps=CPU",
        "--override-kv llama.expert_used_count=int:3",
    ):
        assert words in arguments
    assert server_command(plan).startswith("GGML_OP_OFFLOAD_MIN_BATCH=64 llama-server ")


def test_a_cache_of_parts_is_said() -> None:
    assert "--no-kv-unified" in server_arguments(replace(PLAN, kv_unified=False))


def test_a_plan_for_main_memory_uses_no_card() -> None:
    arguments = server_arguments(replace(PLAN, n_gpu_layers=0, devices=PLAN.devices[1:], experts_in_ram=()))
    assert arguments[arguments.index("--device") + 1] == "none"
    assert "--override-tensor" not in arguments


def _served_buffers(arguments: Sequence[str]) -> tuple[tuple[str, str, int], ...]:
    """What llama-server says that it allocated, until it listens."""
    program = locate().path("llama-server")
    command = [str(program), *arguments[1:], "--host", "127.0.0.1", "--port", "0", "--verbosity", "4"]
    server = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=dict(os.environ, LC_ALL="C")
    )
    assert server.stderr is not None
    lines = []
    try:
        for line in server.stderr:
            lines.append(line)
            if "listening on" in line:
                return parse_buffers(lines)
        raise AssertionError("".join(lines[-20:]))
    finally:
        server.kill()
        server.wait()
        server.stderr.close()


def _off(rows: Sequence[Compared]) -> list[Compared]:
    return [row for row in rows if row.what != "compute" and row.difference_bytes]


@pytest.mark.native
@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("in_ram", [None, 12])
def test_llama_server_holds_the_same_bytes(in_ram: int | None, moe_model: Path) -> None:
    if not locate().path("llama-server").exists():
        pytest.skip("llama.cpp's own server is not built here: python -m tests.bench.peers")
    with stand_in_card() as endpoint:
        here = machine(16 * GIB, gpus=(card(4 * GIB, name="RPC0"),) if in_ram is not None else ())
        endpoints = (endpoint,) if in_ram is not None else ()
        wish = Wish(n_ctx=1024, sessions=1, threads=1, experts_in_ram=in_ram)
        probe = partial(measure_compute, timeout_s=300)
        plan = fit_header(read_model(moe_model), wish, here, rpc_endpoints=endpoints, probe=probe)
        assert isinstance(plan, Plan)
        rows = compare(plan, _served_buffers(server_arguments(plan, rpc_endpoints=endpoints)))
    assert {"weights", "kv", "compute"} <= {row.what for row in rows if row.device == plan.devices[0].name}
    assert _off(rows) == []
    for row in rows:
        if row.what == "compute":
            assert row.real_bytes == pytest.approx(row.planned_bytes, rel=0.05)
