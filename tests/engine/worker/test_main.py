"""A worker's life: how it begins, what it says, and that it never outlives those it works for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import psutil
import pytest

from engine.worker.spec import Failed, Loading, Ready, Starting, Stopped, WorkerSpec
from engine.worker.wire import decode_state, encode_spec
from tests.engine.served import KEY, STARTER, WorkerProcess, plan, spec

pytestmark = pytest.mark.native


@pytest.fixture
def start() -> Iterator[type[WorkerProcess]]:
    started: list[WorkerProcess] = []

    class Started(WorkerProcess):
        def __init__(self, asked: WorkerSpec) -> None:
            super().__init__(asked)
            started.append(self)

    yield Started
    for worker in started:
        worker.close()


def test_from_start_to_stop(start: type[WorkerProcess]) -> None:
    worker = start(spec())
    ready = worker.until_ready()
    assert ready.pid == worker.process.pid
    assert httpx2.get(f"{ready.address}/health").json()["status"] == "ok"
    sizes = {what: size for _, what, size in ready.buffers}
    assert set(sizes) == {"weights", "kv", "compute", "output"}
    assert sizes["weights"] == pytest.approx(STARTER.stat().st_size, rel=0.05)
    # 30 layers, 3 heads of 64 for each of K and V, two bytes each, 2,048 cells
    assert sizes["kv"] == pytest.approx(30 * 3 * 64 * 2 * 2 * 2048, rel=0.01)
    worker.tell("stop")
    assert list(worker.events()) == [Stopped()]
    assert worker.process.wait(10) == 0


def test_loading_is_told_as_it_goes(start: type[WorkerProcess]) -> None:
    events = start(spec(plan=plan(load_mode="read"))).events()
    seen = []
    for event in events:
        seen.append(event)
        if isinstance(event, Ready):
            break
    assert isinstance(seen[0], Starting)
    ratios = [event.progress_ratio for event in seen if isinstance(event, Loading)]
    assert ratios == sorted(ratios)
    assert ratios[-1] == 1.0
    assert len(ratios) > 5


def test_the_end_of_standard_input_is_its_end(start: type[WorkerProcess]) -> None:
    worker = start(spec())
    worker.until_ready()
    worker.hang_up()
    assert worker.process.wait(10) == 0


def test_it_ends_in_the_middle_of_an_answer(start: type[WorkerProcess]) -> None:
    worker = start(spec())
    address = worker.until_ready().address
    body = {"prompt": "On and on", "ignore_eos": True, "stream": True}
    headers = {"Authorization": f"Bearer {KEY}"}
    with httpx2.stream("POST", f"{address}/v1/completions", json=body, headers=headers, timeout=30) as answer:
        lines = answer.iter_lines()
        next(lines)
        worker.tell("stop")
        rest = list(lines)
    assert any("worker_stopped" in line for line in rest)
    assert worker.process.wait(10) == 0


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM to be polite with")
def test_sigterm_is_a_stop_and_ctrl_c_is_not_its_business(start: type[WorkerProcess]) -> None:
    worker = start(spec())
    address = worker.until_ready().address
    worker.process.send_signal(signal.SIGINT)
    assert httpx2.get(f"{address}/health").status_code == 200
    worker.process.send_signal(signal.SIGTERM)
    assert worker.process.wait(10) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the supervisor's job object or standard input does it")
def test_it_dies_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    """The parent is a process of its own whose standard input and output the worker does not share."""
    line = encode_spec(spec()).replace(f'"parent_pid":{os.getpid()}', '"parent_pid":PARENT')
    parent_code = (
        "import os, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-m', 'engine.worker'], stdin=subprocess.PIPE, "
        "stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)\n"
        f"child.stdin.write({line!r}.replace('PARENT', str(os.getpid())).encode() + b'\\n')\n"
        "child.stdin.flush()\n"
        "while b'\"ready\"' not in child.stdout.readline(): pass\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", parent_code], stdout=subprocess.PIPE)
    try:
        assert parent.stdout is not None
        worker = psutil.Process(int(parent.stdout.readline()))
        family = [worker, *worker.children(recursive=True)]
        assert len(family) == 2  # with the child that renders templates
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()
    _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive


@pytest.mark.skipif(sys.platform != "linux", reason="only there a worker asks who its parent is")
def test_a_worker_of_another_parent_does_not_begin(start: type[WorkerProcess]) -> None:
    worker = start(spec(parent_pid=1 << 22))
    assert list(worker.events()) == []
    assert worker.process.wait(10) == 0


def test_a_file_that_is_no_model_is_a_named_failure(start: type[WorkerProcess], tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF" + bytes(1000))
    worker = start(spec(plan=plan(model_path=path)))
    *_, last = worker.events()
    assert isinstance(last, Failed)
    assert last.code == "load_failed"
    assert "SmolLM2" in last.sentence
    assert worker.process.wait(10) == 1


def test_a_port_in_use_is_a_named_failure(start: type[WorkerProcess]) -> None:
    first = start(spec())
    port = int(first.until_ready().address.rsplit(":", 1)[1])
    *_, last = start(spec(port=port)).events()
    assert isinstance(last, Failed)
    assert last.code == "address_in_use"


@pytest.mark.parametrize("line", ["", "{}", "not json", '{"plan": 3}'])
def test_nonsense_instead_of_a_spec_is_refused(line: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "engine.worker"],
        input=line.encode() + b"\n",
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    event = decode_state(done.stdout)
    assert isinstance(event, Failed)
    assert event.code == "bad_spec"


def test_a_stop_while_loading_is_heard(start: type[WorkerProcess]) -> None:
    worker = start(spec(plan=plan(load_mode="read")))
    worker.tell("stop")
    began = time.monotonic()
    assert isinstance(list(worker.events())[-1], Stopped)
    assert worker.process.wait(10) == 0
    assert time.monotonic() - began < 30
