"""The parent's side: one confined child, asked one question at a time, looked after while it answers.

An answer that takes too long, grows too large, or never comes ends the child and raises ``ChildEnded`` with the cause;
starting another is for the caller to decide (``app.documents.pool``, ``app.gate.scan``).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final

import psutil

from engine.errors import GatehouseError
from engine.records import RecordFault, from_plain, read_object
from engine.sandbox.frames import HEADER, FrameFault, FrameKind, pack, unpack_header
from engine.sandbox.limits import Confinement, Limits
from engine.sandbox.serve import OUT_OF_MEMORY, settings_of
from engine.worker.process import ChildProcess, LogRing, memory_kills, worker_environment

_LOOK_S: Final = 0.1
_NEARLY_FULL: Final = 0.4
"""A child that aborts when it was last seen with this share of its memory was refused more: buffers double."""
_HELLO_S: Final = 30.0
_FAULT_BYTES: Final = 64 << 10
_STOP_S: Final = 2.0


class Ending(StrEnum):
    """Why a child is gone."""

    MEMORY = "memory"
    CPU_TIME = "cpu_time"
    TIME = "time"
    OUTPUT = "output"
    CRASHED = "crashed"
    KILLED = "killed"
    """By a signal from outside: not by what it was asked."""
    NONSENSE = "nonsense"
    NOT_STARTED = "not_started"


class ChildEnded(GatehouseError):
    """A sandboxed child ended before it had answered."""

    def __init__(self, ending: Ending, sentence: str, last_words: str = "") -> None:
        super().__init__(f"child_{ending}", sentence)
        self.ending = ending
        self.last_words = last_words


class SandboxedChild:
    """One child. Not for two questions at once."""

    def __init__(self, process: ChildProcess, limits: Limits) -> None:
        self._process = process
        self._limits = limits
        self._log = LogRing(max_lines=40)
        self._drain = asyncio.create_task(self._drain_log())
        self._ending: Ending | None = None
        self._peak_bytes = 0
        self._kills = memory_kills()
        """How often the kernel had killed for want of memory when this child started."""
        self.confinement = Confinement()

    @classmethod
    async def start(
        cls, module: str, limits: Limits | None = None, environment: Mapping[str, str] | None = None
    ) -> SandboxedChild:
        """Run ``python -m module``, which calls ``serve.serve`` with its first argument, and wait for its greeting.

        ``environment`` is added to a worker's, which holds no secrets. Raises ``ChildEnded``.
        """
        limits = limits or Limits()
        command = (sys.executable, "-P", "-m", module, settings_of(limits))
        added = {"PYTHONDONTWRITEBYTECODE": "1", "ORT_DISABLE_TELEMETRY": "1", "OMP_WAIT_POLICY": "PASSIVE"}
        try:
            process = await ChildProcess.start(command, worker_environment() | added | dict(environment or {}))
        except OSError as error:
            raise ChildEnded(Ending.NOT_STARTED, f"The child process did not start: {error}.") from error
        child = cls(process, limits)
        try:
            async with asyncio.timeout(_HELLO_S):
                kind, body = await child._receive()
                if kind is not FrameKind.HELLO:
                    raise FrameFault("The child did not greet.")
                child.confinement = from_plain(Confinement, read_object(body, _FAULT_BYTES), "confinement")
        except BaseException as error:
            raise await child._explained(error, _HELLO_S) from error
        return child

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.exit_code is None and self._ending is None

    async def ask(
        self, question: bytes, on_part: Callable[[bytes], None] | None = None, *, wall_s: float | None = None
    ) -> bytes:
        """The answer's last piece; earlier ones go to ``on_part``, which may raise to break it off.

        ``wall_s``: instead of the limit's, the time for each piece.
        Raises: ``ChildEnded``; ``GatehouseError`` as the child told it. A cancelled question ends the child, whatever
        it is doing.
        """
        patience_s = wall_s or self._limits.wall_s
        self._peak_bytes = 0
        watch = asyncio.create_task(self._watch_memory())
        try:
            async with asyncio.timeout(patience_s) as deadline:
                await self._send(question)
                kind, body = await self._answer(on_part, deadline, patience_s)
        except BaseException as error:
            raise await self._explained(error, patience_s) from error
        finally:
            watch.cancel()
        if kind is FrameKind.FAULT:
            raise await self._fault(body)
        return body

    async def stop(self) -> None:
        """End it: it gets a moment if it is idle, none otherwise."""
        await self._process.end(ask_s=_STOP_S if self._ending is None else 0, terminate_s=0)
        self._ending = self._ending or Ending.CRASHED
        self._process.close()
        self._drain.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._drain

    async def _send(self, question: bytes) -> None:
        self._process.stdin.write(pack(FrameKind.QUESTION, question))
        await self._process.stdin.drain()

    async def _answer(
        self, on_part: Callable[[bytes], None] | None, deadline: asyncio.Timeout, patience_s: float
    ) -> tuple[FrameKind, bytes]:
        """Parts to ``on_part``, each with the whole time anew; then the end, or a fault."""
        total = 0
        while True:
            kind, body = await self._receive()
            total += len(body)
            if total > self._limits.answer_bytes:
                self._ending = Ending.OUTPUT
                raise FrameFault(f"It answered with more than {self._limits.answer_bytes} bytes.")
            if kind is not FrameKind.PART:
                return kind, body
            deadline.reschedule(asyncio.get_running_loop().time() + patience_s)
            if on_part is not None:
                on_part(body)

    async def _receive(self) -> tuple[FrameKind, bytes]:
        stdout = self._process.stdout
        kind, length = unpack_header(await stdout.readexactly(HEADER.size))
        return kind, await stdout.readexactly(length)

    async def _watch_memory(self) -> None:
        """Kill the child when it holds more than it may: on Linux the kernel is first, elsewhere nobody else is."""
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(self.pid)
            while True:
                resident = process.memory_info().rss
                self._peak_bytes = max(self._peak_bytes, resident)
                if resident > self._limits.memory_bytes * 5 // 4:
                    self._ending = Ending.MEMORY
                    process.kill()
                    return
                await asyncio.sleep(_LOOK_S)

    async def _fault(self, body: bytes) -> BaseException:
        try:
            fields = read_object(body, _FAULT_BYTES)
        except RecordFault as error:
            return await self._explained(error, 0)
        code, sentence, hint = (str(fields.get(name, ""))[:1000] for name in ("code", "sentence", "hint"))
        if code == OUT_OF_MEMORY:
            self._ending = Ending.MEMORY
            await self.stop()
            return ChildEnded(Ending.MEMORY, self._sentence(Ending.MEMORY, 0), sentence)
        return GatehouseError(code or "child_failed", sentence, hint)

    async def _explained(self, error: BaseException, patience_s: float) -> BaseException:
        """Put an end to the child; what is to be raised, with the cause named."""
        known = self._ending
        if isinstance(error, TimeoutError):
            known = known or Ending.TIME
        elif isinstance(error, FrameFault | RecordFault):
            known = known or Ending.NONSENSE
        died = isinstance(error, asyncio.IncompleteReadError | ConnectionError)
        if died and known is None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_STOP_S):
                    await self._process.wait()
            known = self._cause_of_death()
        self._ending = known or Ending.CRASHED
        code = self._process.exit_code
        self._process.abandon()
        await self.stop()
        if known is None:
            return error  # cancelled, or the caller broke it off
        last = next((line for line in reversed(self._log.lines()) if line.strip()), "")
        return ChildEnded(known, self._sentence(known, patience_s, code), last)

    def _cause_of_death(self) -> Ending:
        code = self._process.exit_code
        if code is not None and code == -getattr(signal, "SIGXCPU", 0):
            return Ending.CPU_TIME
        kills = memory_kills()
        if code == -9 and kills is not None and self._kills is not None and kills > self._kills:
            return Ending.MEMORY
        if code is not None and code in (-9, -15):
            return Ending.KILLED
        if code == -signal.SIGABRT and self._peak_bytes > _NEARLY_FULL * self._limits.memory_bytes:
            return Ending.MEMORY
        if any("MemoryError" in line or "bad_alloc" in line for line in self._log.lines()[-8:]):
            return Ending.MEMORY
        return Ending.CRASHED

    def _sentence(self, ending: Ending, patience_s: float, code: int | None = None) -> str:
        limits = self._limits
        match ending:
            case Ending.MEMORY:
                return f"It needed more than the {limits.memory_bytes >> 20} MiB of memory that it may have."
            case Ending.CPU_TIME:
                return f"It took more than {limits.cpu_s} s of processor time."
            case Ending.TIME:
                return f"It gave no sign within {patience_s:g} s."
            case Ending.OUTPUT:
                return f"Its answer grew beyond {limits.answer_bytes >> 20} MiB."
            case Ending.NONSENSE:
                return "It answered with something else than asked."
            case _:
                return f"Its process ended unexpectedly ({_ending_in_words(code)})."

    async def _drain_log(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            while data := await self._process.stderr.read(4096):
                self._log.feed(data)


def as_body(fields: dict[str, object]) -> bytes:
    """A JSON object as a frame's body."""
    return json.dumps(fields, separators=(",", ":")).encode()


def _ending_in_words(code: int | None) -> str:
    if code is None:
        return "no exit code"
    if code < 0:
        with contextlib.suppress(ValueError):
            return signal.Signals(-code).name
    return f"exit code {code}"
