"""What a model takes beyond what llama.cpp reports, counted and kept for the next plan."""

from __future__ import annotations

import sys
from pathlib import Path

import httpx2
import pytest

from engine.fit.plan import Plan
from engine.worker.allowance import Resident, beyond_reported, read_resident
from tests.engine.fit.test_measured import BUFFERS, PLAN
from tests.engine.served import KEY, WorkerProcess, spec
from tests.engine.worker.test_applied import made_plan
from tests.fetched_models import MODELS, Fetched, installed

MIB = 1 << 20


def test_a_card_s_driver_and_the_process_itself_are_counted() -> None:
    before, after = {"CUDA0": 8000 * MIB}, {"CUDA0": 7570 * MIB}
    found = beyond_reported(PLAN, BUFFERS, before, after, Resident(120 * MIB, 30 * MIB))
    # Of the card 130 MiB are reported; of main memory 50 MiB of weights lie on the heap.
    assert dict(found) == {"CUDA0": 300 * MIB - 3000, "CPU": 100 * MIB}


def test_a_card_that_tells_nothing_new_is_left_out() -> None:
    same = {"CUDA0": 8000 * MIB}
    assert beyond_reported(PLAN, BUFFERS, same, same, None) == ()


def test_pages_of_the_mapped_model_are_not_the_process_s(tmp_path: Path) -> None:
    (tmp_path / "status").write_text("VmRSS:\t9 kB\nRssAnon:\t100 kB\nRssFile:\t70 kB\n")
    (tmp_path / "smaps").write_text(
        "7f00-7f01 r--s 0 08:01 5   /models/a.gguf\nSize: 99 kB\nRss: 40 kB\nVmFlags: rd\n"
        "7f02-7f03 r--p 0 08:01 6   /usr/lib/libc.so\nRss: 30 kB\n"
        "7f04-7f05 r--s 0 08:01 5   /models/a.gguf\nRss: 10 kB\n"
    )
    if sys.platform == "linux":
        assert read_resident(Path("/models/a.gguf"), tmp_path) == Resident(100 * 1024, 20 * 1024)
    assert read_resident(Path("/models/a.gguf"), tmp_path / "missing") is None


def _peak_bytes(pid: int) -> int:
    rows = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
    return next(int(row.split()[1]) * 1024 for row in rows if row.startswith("VmHWM"))


def _fill(plan: Plan) -> tuple[int, int]:
    """Use every cell of the context; (what the worker took beyond what was reported, its peak)."""
    worker = WorkerProcess(spec(plan=plan))
    try:
        ready = worker.until_ready()
        answer = httpx2.post(
            f"{ready.address}/v1/completions",
            json={"prompt": list(range(3, plan.n_ctx - 13)), "max_tokens": 4, "ignore_eos": True},
            headers={"Authorization": f"Bearer {KEY}"},
            timeout=600,
        )
        assert answer.status_code == 200
        return dict(ready.allowances)["CPU"], _peak_bytes(ready.pid)
    finally:
        worker.close()


@pytest.mark.native
@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(sys.platform != "linux", reason="the system tells the parts of a process's memory apart")
def test_the_peak_of_a_worker_is_planned(starter: Path) -> None:
    _peak_is_planned(starter)


@pytest.mark.models
@pytest.mark.timeout(900)
@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
@pytest.mark.skipif(sys.platform != "linux", reason="the system tells the parts of a process's memory apart")
def test_the_peak_of_a_worker_of_a_fetched_model_is_planned(model: Fetched) -> None:
    path = installed(model)
    if path is None:
        pytest.skip(f"{model.name} is not fetched: python -m tests.fetched_models")
    _peak_is_planned(path)


def _peak_is_planned(model: Path) -> None:
    plan = made_plan(model, (), ())
    allowance, _ = _fill(plan)
    _, peak = _fill(plan)  # the next one is planned with what the first one took
    assert plan.devices[-1].needed_bytes + allowance == pytest.approx(peak, rel=0.05)
