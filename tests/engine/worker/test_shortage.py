"""Why memory ran out, read from logs that llama.cpp wrote; and what is offered then."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.fit.concession import Concession, concessions
from engine.fit.plan import DeviceBytes, Plan, Wish
from engine.hardware.profile import DeviceKind
from engine.worker.diagnosis import Death, diagnose
from engine.worker.shortage import Shortage, explain, read_shortage
from engine.worker.spec import Failed, Loading, Ready
from tests.engine.worker.test_wire import SPEC

GB = 1_000_000_000
CARD = DeviceBytes("CUDA0", DeviceKind.GPU, 8 * GB, 5 * GB, GB, 0, GB // 2, experts_bytes=3 * GB)
HOST = DeviceBytes("CPU", DeviceKind.CPU, 20 * GB, 9 * GB, 0, 0, GB // 10)
PLAN = replace(
    SPEC.plan,
    n_ctx=8192,
    n_ubatch=512,
    kv_type="f16",
    n_gpu_layers=31,
    experts_in_ram=tuple(range(20, 30)),
    devices=(CARD, HOST),
)

# Lines as this llama.cpp writes them, with a stand-in card too small for each.
WEIGHTS = (
    "alloc_tensor_range: failed to allocate CUDA0 buffer of size 5000000000",
    "llama_model_load: error loading model: unable to allocate CUDA0 buffer",
)
KV = (
    "alloc_tensor_range: failed to allocate CUDA0 buffer of size 1000000000",
    "llama_init_from_model: failed to initialize the context: failed to allocate buffer for kv cache",
)
COMPUTE = (
    "ggml_gallocr_reserve_n_impl: failed to allocate CUDA0 buffer of size 500000000",
    "llama_init_from_model: failed to initialize the context: failed to allocate compute pp buffers",
)
POOL = ("ggml_backend_cuda: allocating 120.00 MiB on device 0: cudaMalloc failed: out of memory",)
MAIN = ("ggml_aligned_malloc: insufficient memory (attempted to allocate 9000.00 MB)",)


@pytest.mark.parametrize(
    ("lines", "shortage"),
    [
        (WEIGHTS, Shortage("weights", "CUDA0", 5 * GB)),
        (KV, Shortage("kv", "CUDA0", GB)),
        (COMPUTE, Shortage("compute", "CUDA0", GB // 2)),
        (POOL, Shortage("other", "CUDA0", 120 << 20)),
        (MAIN, Shortage("other", "CPU", 9000 << 20)),
        (("something else",), Shortage("other", None, 0)),
    ],
)
def test_a_log_tells_what_was_wanted_and_where(lines: tuple[str, ...], shortage: Shortage) -> None:
    assert read_shortage(lines, PLAN) == shortage


def test_other_programs_are_named_when_they_took_it() -> None:
    told = explain(read_shortage(WEIGHTS, PLAN), PLAN, {"CUDA0": 5 * GB}, in_use=False)
    assert told == (
        "The memory of CUDA0 ran out while the weights were read (5.0 GB at once). Other programs have taken 3.0 GB of "
        "it since the plan was made: 8.0 GB were free then, 5.0 GB are now, and the plan needs 6.5 GB."
    )


def test_the_plan_is_named_when_nobody_else_took_anything() -> None:
    told = explain(read_shortage(KV, PLAN), PLAN, {"CUDA0": 8 * GB}, in_use=False)
    assert told == (
        "The memory of CUDA0 ran out when the cache for a context of 8,192 tokens was made (1.0 GB at once). The plan "
        "puts 6.5 GB on CUDA0: 3.0 GB for the experts, 2.0 GB for the weights without experts, 1.0 GB for a context of "
        "8,192 tokens, 500 MB for computing. 8.0 GB are free."
    )


def kinds(ways: tuple[Concession, ...]) -> list[str]:
    return [way.kind for way in ways]


def test_what_frees_enough_is_offered_first() -> None:
    assert kinds(concessions(PLAN, "CUDA0")) == ["batch", "kv_type", "context"]
    assert kinds(concessions(PLAN, "CUDA0", 420_000_000)) == ["kv_type", "context", "experts"]
    assert kinds(concessions(PLAN, "CUDA0", 2 * GB)) == ["experts", "layers", "batch"]
    (experts, *_) = concessions(PLAN, "CUDA0", 2 * GB)
    assert experts.frees_bytes >= 2 * GB
    assert experts.wish(Wish()).experts_in_ram == 10 + 15
    assert "the experts of 15 more layers in main memory" in experts.sentence


def test_a_context_shrinks_by_what_is_missing() -> None:
    (way,) = [way for way in concessions(PLAN, "CUDA0", 700_000_000) if way.kind == "context"]
    assert way.n_ctx == 1792
    assert way.frees_bytes >= 700_000_000
    assert way.wish(Wish(n_ctx=8192, sessions=2)) == Wish(n_ctx=1792, sessions=2)


def test_main_memory_is_not_relieved_by_moving_experts_there() -> None:
    assert "experts" not in kinds(concessions(PLAN, "CPU", GB))
    assert "layers" not in kinds(concessions(PLAN, "CPU", GB))


def test_a_death_for_memory_is_explained_and_answered() -> None:
    last = Failed("load_failed", "llama.cpp could not load it.", "", "", free=(("CUDA0", 5 * GB),))
    failed = diagnose(Death(1, WEIGHTS, last, plan=PLAN, free=(("CPU", 20 * GB),)))
    assert failed.code == "out_of_memory"
    assert "Other programs have taken 3.0 GB" in failed.sentence
    assert len(failed.concessions) == 3
    assert dict(failed.free) == {"CUDA0": 5 * GB, "CPU": 20 * GB}


def test_a_kill_for_memory_blames_main_memory() -> None:
    death = Death(-9, (), Ready(1, "http://127.0.0.1:1", 0.1, ()), killed_for_memory=True, plan=PLAN)
    failed = diagnose(replace(death, free=(("CPU", 2 * GB),)))
    assert failed.sentence.startswith("The system ended the model's process to free memory. Main memory ran out while ")
    assert "Other programs have taken 18.0 GB" in failed.sentence


def test_other_deaths_offer_nothing() -> None:
    assert diagnose(Death(-11, (), Loading(0.5), plan=PLAN)).concessions == ()


def test_a_way_that_needs_the_planner_has_no_plan_of_its_own() -> None:
    several: Plan = replace(PLAN, layers_per_card=(20, 11))
    ways = {way.kind: way.plan(several) for way in concessions(several, "CUDA0", 3 * GB)}
    assert ways["experts"] is None
    assert ways["layers"] is None
