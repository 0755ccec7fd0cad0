"""The supervisor and the real worker with the starter model: killed, replaced, stopped, orphaned."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from engine.errors import WorkerError
from engine.fit.plan import DeviceBytes, Plan
from engine.hardware.profile import DeviceKind
from engine.worker.spec import Loading, Ready, Starting, Stopped, WorkerSpec
from engine.worker.supervisor import Supervisor
from engine.worker.watch import Patience
from tests.engine.worker.test_supervisor import News, gone
from tests.stand_in_card import stand_in_card

pytestmark = [pytest.mark.native, pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")]

STARTER = Path(sys.prefix) / "share/gatehouse/models/SmolLM2-135M-Instruct-Q4_1.gguf"
LIMIT_S = 60.0


def starter_spec(path: Path = STARTER) -> WorkerSpec:
    plan = Plan(
        model_path=path,
        model_name="SmolLM2 135M",
        n_ctx=1024,
        n_ctx_train=8192,
        n_seq_max=2,
        n_batch=256,
        n_ubatch=256,
        n_outputs_max=2,
        kv_type="f16",
        n_gpu_layers=0,
        load_mode="mmap",
        threads=1,
        devices=(),
    )
    return WorkerSpec(plan, "starter", "127.0.0.1", 0, (), 1)


@pytest.fixture
async def kept() -> AsyncIterator[tuple[Supervisor, News]]:
    news = News()
    supervisor = Supervisor(starter_spec(), news)
    supervisor.start()
    yield supervisor, news
    await supervisor.stop()


async def status(supervisor: Supervisor, token: str | None) -> int:
    """The HTTP status of the list of models."""
    assert supervisor.address is not None
    host, port = supervisor.address.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(f"GET /v1/models HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n".encode())
        writer.write(f"Authorization: Bearer {token}\r\n\r\n".encode())
        return int((await reader.readline()).split()[1])
    finally:
        writer.close()
        await writer.wait_closed()


async def test_a_worker_killed_is_back_within_five_seconds(kept: tuple[Supervisor, News]) -> None:
    supervisor, news = kept
    clock = asyncio.get_running_loop().time
    started_at = clock()
    first = await supervisor.ready(LIMIT_S)
    first_start_s = clock() - started_at
    old_token = supervisor.token
    assert await status(supervisor, old_token) == 200
    assert await status(supervisor, "wrong") == 401
    killed_at = clock()
    os.kill(first.pid, signal.SIGKILL)
    second = await supervisor.ready(LIMIT_S, other_than=first)
    assert clock() - killed_at < max(5.0, 3 * first_start_s)  # the second bound: on a machine that is busy otherwise
    assert await status(supervisor, supervisor.token) == 200
    assert await status(supervisor, old_token) == 401
    assert [failed.code for failed in news.failures] == ["killed"]
    await supervisor.stop()
    assert supervisor.state == Stopped()
    assert gone(second.pid)
    assert {type(state) for state in news.states} >= {Starting, Loading, Ready, Stopped}
    assert any("llama" in line for line in supervisor.log_lines())


async def test_stopping_while_it_loads_leaves_nothing(kept: tuple[Supervisor, News]) -> None:
    supervisor, news = kept
    async with asyncio.timeout(LIMIT_S):
        while not news.states:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    pid = supervisor.pid
    assert pid is not None
    await supervisor.stop()
    assert supervisor.state == Stopped()
    assert gone(pid)


async def test_a_file_that_is_no_model_is_refused_once(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + b"\0" * 4096)
    news = News()
    supervisor = Supervisor(starter_spec(broken), news)
    supervisor.start()
    with pytest.raises(WorkerError) as raised:
        await supervisor.ready(LIMIT_S)
    await supervisor.stop()
    assert raised.value.code in ("load_failed", "bad_model_file")
    assert len(news.failures) == 1
    assert not supervisor.running


@pytest.mark.slow
async def test_want_of_main_memory_is_named_and_a_chosen_way_loads() -> None:
    """The address space is limited, so llama.cpp's own allocation fails: f16 would need 1.5 GB, q8_0 needs 0.8."""
    given = starter_spec()
    host = DeviceBytes("CPU", DeviceKind.CPU, 8 << 30, 98_000_000, 1_509_949_440, 0, 50_000_000)
    spec = replace(given, plan=replace(given.plan, n_ctx=65_536, devices=(host,)))
    limited = f"ulimit -v 1700000; OPENBLAS_NUM_THREADS=1 MALLOC_ARENA_MAX=2 exec {sys.executable} -P -m engine.worker"
    news = News()
    supervisor = Supervisor(spec, news, command=("/bin/sh", "-c", limited))
    supervisor.start()
    try:
        with pytest.raises(WorkerError) as raised:
            await supervisor.ready(2 * LIMIT_S)
        assert raised.value.code == "out_of_memory"
        assert "Main memory ran out when the cache for a context of 65,536 tokens was made" in raised.value.sentence
        (failed,) = news.failures
        assert "failed to allocate" in failed.evidence
        assert len(failed.concessions) == 3
        (quantized,) = [way for way in failed.concessions if way.kind == "kv_type"]
        supervisor.start(quantized.plan(supervisor.plan))
        await supervisor.ready(2 * LIMIT_S)
        assert (supervisor.plan.kv_type, supervisor.plan.n_ctx) == ("q8_0", 65_536)
    finally:
        await supervisor.stop()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the stand-in card's memory is limited by Linux")
async def test_a_card_that_gives_less_than_it_told_is_named() -> None:
    with stand_in_card(2 << 30, 30 << 20) as endpoint:
        card = DeviceBytes("RPC0", DeviceKind.GPU, 2 << 30, 95_000_000, 23_592_960, 0, 20_000_000)
        host = DeviceBytes("CPU", DeviceKind.CPU, 8 << 30, 30_000_000, 0, 0, 5_000_000)
        given = starter_spec()
        plan = replace(given.plan, n_gpu_layers=31, load_mode="read", devices=(card, host))
        news = News()
        supervisor = Supervisor(replace(given, plan=plan, rpc_endpoints=(endpoint,)), news)
        supervisor.start()
        try:
            with pytest.raises(WorkerError, match="The memory of RPC0 ran out while the weights were read"):
                await supervisor.ready(2 * LIMIT_S)
            (failed,) = news.failures
            assert [way.kind for way in failed.concessions] == ["batch", "kv_type", "layers"]
            assert dict(failed.free)["RPC0"] == 2 << 30
            assert news.names.count("Starting") == 1
        finally:
            await supervisor.stop()


@pytest.mark.slow
async def test_a_worker_that_hangs_is_replaced() -> None:
    news = News()
    supervisor = Supervisor(starter_spec(), news, patience=Patience(silence_s=4.0, tick_s=0.2, terminate_s=0.2))
    supervisor.start()
    try:
        first = await supervisor.ready(LIMIT_S)
        os.kill(first.pid, signal.SIGSTOP)
        second = await supervisor.ready(LIMIT_S, other_than=first)
        assert gone(first.pid)
        assert await status(supervisor, supervisor.token) == 200
        assert second.pid != first.pid
        assert news.failures[0].code == "hung"
    finally:
        await supervisor.stop()


_APP = """
import asyncio
from engine.worker.supervisor import Supervisor
from tests.engine.worker.test_supervised_worker import starter_spec

async def main():
    supervisor = Supervisor(starter_spec())
    supervisor.start()
    print((await supervisor.ready(60)).pid, flush=True)
    await asyncio.sleep(3600)

asyncio.run(main())
"""


def test_an_app_killed_takes_its_worker_along(wait_for: Callable[[Callable[[], bool], float], None]) -> None:
    root = Path(__file__).parents[3]
    with subprocess.Popen([sys.executable, "-c", _APP], stdout=subprocess.PIPE, cwd=root) as app:
        assert app.stdout is not None
        worker = int(app.stdout.readline())
        assert not gone(worker)
        app.kill()
        wait_for(lambda: gone(worker), 10.0)
