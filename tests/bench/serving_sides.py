"""The two sides of the serving bench, under the same flags: our worker, and llama-server of the same llama.cpp.

Both are up at the same time and asked in turn; one that waits sleeps. What is asked is ``serving_load``'s.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from engine.fit.fit import fit
from engine.fit.plan import Misfit, Plan, Wish
from engine.hardware.detect import detect
from engine.worker.process import worker_environment
from engine.worker.spec import WorkerSpec
from engine.worker.supervisor import Supervisor
from tests.bench.decode import plan_for, threads_here
from tests.bench.peers import find_or_build
from tests.bench.serving_client import Target, ask_plainly

MICRO_BATCH = 512
"""Of both sides, and the batch too, as our planner has it; a larger one would lengthen llama-server's gaps."""
_READY_TIMEOUT_S = 300.0
_POLL_S = 0.005


@dataclass(frozen=True, slots=True)
class Setting:
    """What both sides are started with."""

    model: Path
    sessions: int
    n_ctx: int
    """Cells of the KV cache, of all sessions together; each of llama-server's has an equal part for itself."""
    apart: bool = False
    """Ours has a part for each session too, as ``gatehouse serve --users`` plans it."""


@dataclass(frozen=True, slots=True)
class Side:
    """A server that is up."""

    name: str
    target: Target
    pid: int
    ready_s: float
    """From starting the process to its first 200 on ``/health``."""

    def resident_bytes(self) -> int:
        """Of the process and its children, pages of the mapped model file included."""
        process = psutil.Process(self.pid)
        return sum(one.memory_info().rss for one in (process, *process.children(recursive=True)))

    async def metrics(self) -> dict[str, float]:
        """The plain counters and gauges of ``/metrics``."""
        lines = (await ask_plainly(self.target, "/metrics")).decode().splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))
        return {name: float(value) for name, value in pairs}


@dataclass(frozen=True, slots=True)
class Pair:
    """Both sides, up."""

    ours: Side
    peer: Side

    def turns(self, mark: int) -> tuple[Side, Side]:
        """Who goes first changes from round to round."""
        return (self.ours, self.peer) if mark % 2 == 0 else (self.peer, self.ours)


@asynccontextmanager
async def both(setting: Setting) -> AsyncIterator[Pair]:
    """Our worker and llama-server, from ready to gone."""
    async with our_worker(setting) as ours, llama_server(setting) as peer:
        yield Pair(ours, peer)


@asynccontextmanager
async def our_worker(setting: Setting, **more: object) -> AsyncIterator[Side]:
    """The real worker under the real supervisor. ``more`` are fields of its specification."""
    spec = WorkerSpec(our_plan(setting), setting.model.stem, "127.0.0.1", 0, (), os.getpid())
    supervisor = Supervisor(dataclasses.replace(spec, **more))  # type: ignore[arg-type]
    began = time.perf_counter()
    supervisor.start()
    try:
        ready = await supervisor.ready()
        target = Target(ready.address, supervisor.token or "")
        await ask_plainly(target, "/health")
        yield Side("Gatehouse", target, ready.pid, time.perf_counter() - began)
    finally:
        await supervisor.stop()


def our_plan(setting: Setting) -> Plan:
    """The plan of a setting, said outright; of sessions apart the planner's own, for the processor alone."""
    if not setting.apart:
        plan = plan_for(setting.model, threads_here(), setting.sessions, setting.n_ctx)
        return dataclasses.replace(plan, n_batch=MICRO_BATCH, n_ubatch=MICRO_BATCH)
    wish = Wish(
        n_ctx=setting.n_ctx // setting.sessions,
        sessions=setting.sessions,
        apart=True,
        kv_type="f16",
        threads=threads_here(),
        n_ubatch=MICRO_BATCH,
    )
    folder = setting.model.parent
    here = detect(folder, folder, with_bandwidth=False, with_ggml=False)
    planned = fit(setting.model, wish, dataclasses.replace(here, gpus=()))
    if isinstance(planned, Misfit):
        raise TypeError(f"{planned.sentence} {planned.hint}")
    return planned


def peer_flags(setting: Setting, port: int) -> list[str]:
    """llama-server's command line: our flags, and its own default where we have none.

    With ``--parallel`` given it keeps a cache in parts, one a session, unless told otherwise; ours as the row says.
    In short trials on a busy machine that gave it the higher throughput at 5 and at 20 sessions; at 20 a unified cache
    gave it the shorter waits.
    """
    threads = str(threads_here())
    return [
        *("--model", str(setting.model), "--host", "127.0.0.1", "--port", str(port)),
        *("--threads", threads, "--threads-batch", threads, "--gpu-layers", "0"),
        *("--ctx-size", str(setting.n_ctx), "--parallel", str(setting.sessions), "--no-kv-unified"),
        *("--batch-size", str(MICRO_BATCH), "--ubatch-size", str(MICRO_BATCH)),
        *("--cache-type-k", "f16", "--cache-type-v", "f16", "--flash-attn", "auto"),
        *("--no-ui", "--log-disable", "--fit", "off", "--metrics"),
    ]


@asynccontextmanager
async def llama_server(setting: Setting) -> AsyncIterator[Side]:
    """llama-server; its standard error is kept for when it does not come up."""
    tool, port = find_or_build("llama-server"), _free_port()
    with tempfile.TemporaryFile() as log:
        began = time.perf_counter()
        command = [str(tool), *peer_flags(setting, port)]
        environment = {**os.environ, "GOMP_SPINCOUNT": worker_environment()["GOMP_SPINCOUNT"]}  # threads sleep alike
        process = subprocess.Popen(  # noqa: ASYNC220 - at once
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
        )
        try:
            target = Target(f"http://127.0.0.1:{port}")
            if not await _answers(target, process):
                log.seek(0)
                raise RuntimeError(f"llama-server did not come up: {log.read()[-2000:].decode(errors='replace')}")
            yield Side("llama-server", target, process.pid, time.perf_counter() - began)
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


async def _answers(target: Target, process: subprocess.Popen[bytes]) -> bool:
    deadline = time.perf_counter() + _READY_TIMEOUT_S
    while process.poll() is None and time.perf_counter() < deadline:
        try:
            await ask_plainly(target, "/health")
        except (OSError, RuntimeError):
            await asyncio.sleep(_POLL_S)
            continue
        return True
    return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
