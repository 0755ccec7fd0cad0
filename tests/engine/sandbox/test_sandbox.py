"""A child that is fed anything can reach nothing, and what it breaks is only itself: real processes, real kernel."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from engine.errors import GatehouseError
from engine.sandbox.child import ChildEnded, Ending, SandboxedChild, as_body
from engine.sandbox.frames import MAX_FRAME_BYTES, FrameFault, FrameKind, pack, unpack_header
from engine.sandbox.limits import Limits
from engine.sandbox.seccomp import MACHINES, build_filter

MODULE = "tests.engine.sandbox.misbehaving"
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's part is Linux's")


@asynccontextmanager
async def started(limits: Limits | None = None) -> AsyncIterator[SandboxedChild]:
    child = await SandboxedChild.start(MODULE, limits)
    try:
        yield child
    finally:
        await child.stop()


async def told(child: SandboxedChild, what: str, **more: str) -> object:
    return json.loads(await child.ask(as_body({"do": what, **more})))


@linux_only
async def test_nothing_can_be_reached_from_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    kept = tmp_path / "kept.txt"
    kept.write_text("mine")
    async with started() as child:
        assert child.confinement.network
        refused = {what: await told(child, what) for what in ("inet", "inet6", "unix", "program", "signal")}
        assert refused == dict.fromkeys(refused, "PermissionError")
        assert await told(child, "pair") == "done"
        assert await told(child, "secrets") == []
        assert await told(child, "read", path=str(kept)) == "done"
        assert await told(child, "write", path=str(kept)) != "done"
        assert await told(child, "write", path=str(tmp_path / "new.txt")) != "done"
        if child.confinement.read_only:
            assert await told(child, "remove", path=str(kept)) == "PermissionError"
            assert kept.read_text() == "mine"
    new = tmp_path / "new.txt"
    assert not new.exists() or new.stat().st_size == 0


@pytest.mark.parametrize(
    ("what", "ending", "limits"),
    [
        ("hold", Ending.MEMORY, Limits()),
        ("nest", Ending.MEMORY, Limits()),
        ("crash", Ending.CRASHED, Limits()),
        ("exit", Ending.CRASHED, Limits()),
        ("hang", Ending.TIME, Limits(wall_s=0.3)),
        ("chatter", Ending.OUTPUT, Limits(answer_bytes=4 << 20)),
        pytest.param("spin", Ending.CPU_TIME, Limits(cpu_s=0), marks=linux_only),
        pytest.param("nonsense", Ending.NONSENSE, Limits(), marks=linux_only),
    ],
)
async def test_each_misdeed_ends_the_child_and_is_named(what: str, ending: Ending, limits: Limits) -> None:
    async with started(limits) as child:
        with pytest.raises(ChildEnded) as caught:
            await told(child, what)
        assert caught.value.ending is ending
        assert caught.value.sentence.endswith(".")
        assert not child.alive
        assert not psutil.pid_exists(child.pid)


async def test_refusals_and_bugs_are_told_and_the_child_goes_on() -> None:
    async with started() as child:
        with pytest.raises(GatehouseError) as refused:
            await told(child, "refuse")
        assert (refused.value.code, refused.value.hint) == ("no_thanks", "Ask something else.")
        with pytest.raises(GatehouseError, match="IndexError"):
            await told(child, "bug")
        assert child.alive
        assert await told(child, "pair") == "done"


async def test_a_cancelled_question_ends_the_child() -> None:
    async with started() as child:
        asking = asyncio.create_task(told(child, "hang"))
        await asyncio.wait({asking}, timeout=0.2)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert not psutil.pid_exists(child.pid)


@linux_only
async def test_the_parents_look_out_ends_what_the_kernel_lets_pass() -> None:
    async with started(Limits(memory_bytes=512 << 20)) as child:
        child._limits = Limits(memory_bytes=1 << 20)  # what the kernel was told stays as it was
        with pytest.raises(ChildEnded) as caught:
            await told(child, "hang")
        assert caught.value.ending is Ending.MEMORY


@pytest.mark.parametrize("machine", sorted(MACHINES))
def test_every_jump_of_the_filter_lands_inside_it(machine: str) -> None:
    program = build_filter(MACHINES[machine], 4711)
    count = len(program) // 8
    for index in range(count):
        code, jump_true, jump_false = program[index * 8], program[index * 8 + 2], program[index * 8 + 3]
        if code in (0x15, 0x35):
            assert index + 1 + max(jump_true, jump_false) < count
    assert program[-8] == 0x06


def test_a_frame_that_announces_too_much_is_refused_before_it_is_read() -> None:
    header = pack(FrameKind.END, b"")[:1] + (MAX_FRAME_BYTES + 1).to_bytes(4, "big")
    with pytest.raises(FrameFault):
        unpack_header(header)
    with pytest.raises(FrameFault):
        unpack_header(b"?\0\0\0\1")
