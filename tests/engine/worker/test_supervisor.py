"""The supervisor against real processes that behave, crash, hang, lie and shout."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from engine.errors import WorkerError
from engine.worker.lifecycle import RestartPolicy
from engine.worker.spec import Failed, Ready, Starting, Stopped, WorkerState
from engine.worker.supervisor import Supervisor
from engine.worker.watch import Patience
from tests.engine.worker.test_wire import SPEC

DOUBLE = Path(__file__).with_name("worker_double.py")
QUICK = RestartPolicy(delays_s=(0.01,), max_quick_deaths=2)
LONG_S = 20.0

posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")


class News:
    """What a supervisor announced."""

    def __init__(self) -> None:
        self.states: list[WorkerState] = []

    def __call__(self, state: WorkerState) -> None:
        self.states.append(state)

    @property
    def names(self) -> list[str]:
        return [type(state).__name__ for state in self.states]

    @property
    def failures(self) -> list[Failed]:
        return [state for state in self.states if isinstance(state, Failed)]


@asynccontextmanager
async def supervised(
    behaviour: str, extra: str = "", *, patience: Patience | None = None, private: bool = True, n_ctx: int = 4096
) -> AsyncIterator[tuple[Supervisor, News]]:
    news = News()
    supervisor = Supervisor(
        replace(SPEC, plan=replace(SPEC.plan, n_ctx=n_ctx)),
        news,
        private=private,
        patience=patience or Patience(ask_s=5, terminate_s=5),
        policy=QUICK,
        command=(sys.executable, "-I", "-S", str(DOUBLE), behaviour, extra),
    )
    supervisor.start()
    try:
        yield supervisor, news
    finally:
        await supervisor.stop()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what announces itself to nobody."""
    async with asyncio.timeout(LONG_S):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


async def given_up(supervisor: Supervisor) -> WorkerError:
    with pytest.raises(WorkerError) as raised:
        await supervisor.ready(LONG_S)
    return raised.value


async def test_a_good_life_from_start_to_stop() -> None:
    async with supervised("good") as (supervisor, news):
        ready = await supervisor.ready(LONG_S)
        assert supervisor.address == ready.address == "http://127.0.0.1:9"
        assert supervisor.pid == ready.pid
        assert supervisor.token is not None
        assert len(supervisor.token) >= 32
        supervisor.start()  # nothing happens
    assert news.names == ["Starting", "Loading", "Loading", "Ready", "Stopped"]
    assert "keys: 2" in supervisor.log_lines()
    assert supervisor.address is None
    assert gone(ready.pid)


async def test_a_public_worker_gets_no_token_of_ours() -> None:
    async with supervised("good", private=False) as (supervisor, _):
        await supervisor.ready(LONG_S)
        assert supervisor.token is None
    assert "keys: 1" in supervisor.log_lines()


@posix
async def test_a_killed_worker_is_replaced_with_a_new_token() -> None:
    async with supervised("good") as (supervisor, news):
        first = await supervisor.ready(LONG_S)
        token = supervisor.token
        os.kill(first.pid, signal.SIGKILL)
        second = await supervisor.ready(LONG_S, other_than=first)
        assert second.pid != first.pid
        assert supervisor.token != token
    assert [failed.code for failed in news.failures] == ["killed"]


@posix
async def test_a_worker_that_dies_once_comes_back(tmp_path: Path) -> None:
    async with supervised("die_once", str(tmp_path / "marker")) as (supervisor, news):
        await until(lambda: supervisor.will_restart)
        assert [failed.code for failed in news.failures] == ["killed"]
        await supervisor.ready(LONG_S, other_than=next(s for s in news.states if isinstance(s, Ready)))
        assert not supervisor.will_restart


@posix
@pytest.mark.parametrize(
    ("name", "code", "lives"),
    [("SIGSEGV", "segfault", 2), ("SIGILL", "illegal_instruction", 1), ("SIGBUS", "bad_model_file", 1)],
)
async def test_a_crash_while_loading_is_named_and_ends(name: str, code: str, lives: int) -> None:
    async with supervised("signalled", name) as (supervisor, news):
        error = await given_up(supervisor)
        assert error.code == code
        assert name in news.failures[-1].evidence
        assert len([state for state in news.states if isinstance(state, Starting)]) == lives


@posix
async def test_an_assertion_is_quoted() -> None:
    async with supervised("assertion") as (supervisor, news):
        error = await given_up(supervisor)
        assert error.code == "assert"
        assert "GGML_ASSERT(n > 0) failed" in error.sentence
        assert "2 times in a row" in error.sentence
        assert "SIGABRT" in news.failures[-1].evidence


async def test_want_of_memory_in_use_comes_back_on_a_smaller_plan_that_is_named() -> None:
    async with supervised("outgrows_memory", "2048", n_ctx=8192) as (supervisor, news):
        await until(lambda: supervisor.plan.n_ctx == 2048 and isinstance(supervisor.state, Ready))
        assert {failed.code for failed in news.failures} == {"out_of_memory"}
        hints = [failed.hint for failed in news.failures]
        assert all(hint.startswith("It is loaded again with less.") for hint in hints)
        assert "Take a context of 2,048 instead of 4,096 tokens" in hints[-1]


async def test_want_of_memory_while_loading_offers_three_ways_and_tries_none() -> None:
    async with supervised("needs_small_context", "2048", n_ctx=8192) as (supervisor, news):
        assert (await given_up(supervisor)).code == "out_of_memory"
        assert news.names.count("Starting") == 1
        assert supervisor.plan.n_ctx == 8192
        (failed,) = news.failures
        assert [way.kind for way in failed.concessions] == ["batch", "context", "kv_type"]
        assert "Main memory ran out while the model was loaded" in failed.sentence
        assert not supervisor.running


async def test_a_refusal_in_good_order_is_not_tried_again() -> None:
    async with supervised("polite_failure") as (supervisor, news):
        error = await given_up(supervisor)
        assert (error.code, error.sentence, error.hint) == (
            "bad_model_file",
            "The file is not a model.",
            "Choose another.",
        )
        assert news.names == ["Starting", "Failed"]


async def test_a_second_start_after_giving_up_tries_again() -> None:
    async with supervised("needs_small_context", "2048", n_ctx=1024) as (supervisor, _):
        await supervisor.ready(LONG_S)
        await supervisor.stop()
        with pytest.raises(WorkerError, match="not loaded"):
            await supervisor.ready(LONG_S)
        supervisor.start(replace(supervisor.plan, n_ctx=2048))
        await supervisor.ready(LONG_S)
        assert supervisor.plan.n_ctx == 2048


@pytest.mark.parametrize(
    ("behaviour", "patience", "words"),
    [
        ("hang", Patience(silence_s=0.3, tick_s=0.05, terminate_s=0.05), "silent"),
        ("stuck", Patience(step_s=0.3, tick_s=0.05, terminate_s=5), "no step"),
    ],
)
async def test_a_hung_worker_is_killed_and_named(behaviour: str, patience: Patience, words: str) -> None:
    async with supervised(behaviour, patience=patience) as (supervisor, _):
        await until(lambda: not supervisor.running)
        error = await given_up(supervisor)
        assert error.code == "hung"
        assert words in error.sentence


async def test_an_idle_worker_is_not_hung() -> None:
    patience = Patience(silence_s=3, step_s=0.2, tick_s=0.05, ask_s=5)
    async with supervised("idle_heart", patience=patience) as (supervisor, news):
        await supervisor.ready(LONG_S)
        await asyncio.sleep(0.5)
        assert news.failures == []


async def test_a_deaf_worker_is_killed_in_the_end() -> None:
    async with supervised("deaf", patience=Patience(ask_s=0.05, terminate_s=0.05)) as (supervisor, news):
        ready = await supervisor.ready(LONG_S)
    assert news.names[-1] == "Stopped"
    assert gone(ready.pid)


@pytest.mark.parametrize("behaviour", ["garbage", "flood", "endless_line"])
async def test_nonsense_on_the_wire_ends_the_worker(behaviour: str) -> None:
    async with supervised(behaviour) as (supervisor, news):
        assert (await given_up(supervisor)).code == "protocol"
        assert sum(map(len, supervisor.log_lines())) <= 64 << 10
        assert len(news.states) < 10


async def test_a_long_log_is_drained_and_bounded() -> None:
    async with supervised("chatty_log") as (supervisor, _):
        await supervisor.ready(LONG_S)
        await until(lambda: "the last line" in supervisor.log_lines())
        assert len(supervisor.log_lines()) <= 400
        assert sum(map(len, supervisor.log_lines())) <= 64 << 10


async def test_an_event_out_of_order_changes_nothing() -> None:
    async with supervised("backwards") as (supervisor, news):
        await supervisor.ready(LONG_S)
        await until(lambda: any("loading after ready" in line for line in supervisor.log_lines()))
        assert isinstance(supervisor.state, Ready)
    assert news.names == ["Starting", "Loading", "Loading", "Ready", "Stopped"]


async def test_a_grandchild_on_the_pipes_does_not_hold_us(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    async with supervised("left_a_child", str(pid_file)) as (supervisor, _):
        assert (await given_up(supervisor)).code == "unknown"
    psutil.Process(int(pid_file.read_text())).kill()


async def test_stop_during_the_pause_before_a_restart_is_immediate() -> None:
    news = News()
    command = (sys.executable, "-I", "-S", str(DOUBLE), "assertion")
    supervisor = Supervisor(SPEC, news, policy=RestartPolicy(delays_s=(3600.0,)), command=command)
    supervisor.start()
    await until(lambda: supervisor.will_restart)
    await supervisor.stop()
    assert isinstance(supervisor.state, Stopped)


async def test_a_program_that_is_not_there_is_told() -> None:
    supervisor = Supervisor(SPEC, command=(str(DOUBLE.with_name("no-such-program")),), policy=QUICK)
    supervisor.start()
    assert (await given_up(supervisor)).code == "unstartable"


async def test_waiting_too_long_is_told() -> None:
    async with supervised("hang", patience=Patience(ask_s=0, terminate_s=0)) as (supervisor, _):
        with pytest.raises(WorkerError, match="not ready within 0 s"):
            await supervisor.ready(0.0)


_KEEPER = """
import asyncio, sys
from engine.worker.supervisor import Supervisor
from tests.engine.worker.test_wire import SPEC

async def main():
    supervisor = Supervisor(SPEC, command=sys.argv[1:])
    supervisor.start()
    ready = await supervisor.ready(20)
    print(ready.pid, flush=True)
    await asyncio.sleep(3600)

asyncio.run(main())
"""


@posix
def test_a_killed_app_leaves_no_worker(wait_for: Callable[[Callable[[], bool], float], None]) -> None:
    root = Path(__file__).parents[3]
    command = [sys.executable, "-c", _KEEPER, sys.executable, "-I", "-S", str(DOUBLE), "good"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root) as app:
        assert app.stdout is not None
        worker = int(app.stdout.readline())
        assert not gone(worker)
        app.kill()
        wait_for(lambda: gone(worker), 10.0)
