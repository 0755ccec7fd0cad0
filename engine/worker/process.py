"""Starts a worker's process so that it cannot outlive us, and keeps the end of its log within bounds.

On Linux the worker asks the kernel itself to die with its parent; everywhere it ends when its standard input does; on
Windows a job object, closed with our last handle, ends it. What it says is read by ``engine.worker.supervisor``.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import sysconfig
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import engine

_LIBRARY_OVERRIDES: Final = ("LLAMA_CPP_LIB_PATH",)
"""Variables that would replace the llama.cpp that the set-up built."""
_SECRET_NAME: Final = re.compile(r"(?:^|_)(?:API_?KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?|ACCESS_KEY)(?:_ID)?$")
_KILL_S: Final = 10.0
_READ_LIMIT_BYTES: Final = 64 << 10


class LogRing:
    """The last lines of a log: bounded in lines and in characters. Takes bytes as they come."""

    def __init__(self, max_lines: int = 400, max_characters: int = 64 << 10, max_line: int = 2000) -> None:
        self._lines: deque[str] = deque()
        self._max_lines = max_lines
        self._max_characters = max_characters
        self._max_line = max_line
        self._characters = 0
        self._open = b""

    def feed(self, data: bytes) -> None:
        """Add bytes; a line without an end is cut at the longest length allowed."""
        *whole, rest = (self._open + data).split(b"\n")
        for line in whole[-self._max_lines :]:
            self.add(line.decode("utf-8", "replace"))
        if len(rest) > self._max_line * 4:
            self.add(rest.decode("utf-8", "replace"))
            rest = b""
        self._open = rest

    def add(self, line: str) -> None:
        """Add one line."""
        line = line.rstrip("\r\n")[: self._max_line]
        if not line:
            return
        self._lines.append(line)
        self._characters += len(line)
        while len(self._lines) > self._max_lines or self._characters > self._max_characters:
            self._characters -= len(self._lines.popleft())

    def lines(self) -> tuple[str, ...]:
        """The lines kept, oldest first, with the last one even if it has no end yet."""
        if not self._open:
            return tuple(self._lines)
        return (*self._lines, self._open.decode("utf-8", "replace")[: self._max_line])


class _Protocol(asyncio.subprocess.SubprocessStreamProtocol):
    """Tells of the exit at once. asyncio's own ``wait`` may wait for the pipes, which a grandchild can hold open."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(limit=_READ_LIMIT_BYTES, loop=loop)
        self.exited = asyncio.Event()

    def process_exited(self) -> None:
        super().process_exited()
        self.exited.set()


class ChildProcess:
    """One child with pipes on all three streams, in its own session (POSIX) or process group and job (Windows)."""

    def __init__(self, transport: asyncio.SubprocessTransport, protocol: _Protocol) -> None:
        self._transport = transport
        self._protocol = protocol
        self._process = asyncio.subprocess.Process(transport, protocol, asyncio.get_running_loop())
        self._job = _join_job(self._process.pid)  # kept: closing its last handle kills what is in it

    @classmethod
    async def start(cls, command: Sequence[str], environment: Mapping[str, str] | None = None) -> ChildProcess:
        """Start ``command``. Raises ``OSError`` when the system refuses."""
        options: dict[str, Any] = {}
        if sys.platform == "win32":
            options["creationflags"] = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
        else:
            options["start_new_session"] = True  # Ctrl-C in our terminal is ours to pass on
        transport, protocol = await asyncio.get_running_loop().subprocess_exec(
            _Protocol,
            *command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(environment if environment is not None else worker_environment()),
            **options,
        )
        return cls(transport, protocol)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """Negative for a POSIX signal; ``None`` while it lives."""
        return self._process.returncode

    @property
    def stdin(self) -> asyncio.StreamWriter:
        assert self._process.stdin is not None
        return self._process.stdin

    @property
    def stdout(self) -> asyncio.StreamReader:
        assert self._process.stdout is not None
        return self._process.stdout

    @property
    def stderr(self) -> asyncio.StreamReader:
        assert self._process.stderr is not None
        return self._process.stderr

    async def say(self, line: str) -> bool:
        """Write a line to its standard input; ``False`` when nobody reads it any more."""
        stdin = self._process.stdin
        assert stdin is not None
        try:
            stdin.write(line.encode("utf-8") + b"\n")
            await stdin.drain()
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    async def wait(self) -> int:
        """Its exit code, once it is gone."""
        await self._protocol.exited.wait()
        code = self.exit_code
        assert code is not None
        return code

    async def end(self, *, ask_s: float, terminate_s: float, ask_line: str = "") -> int | None:
        """Ask, terminate, kill: each step gets its time. ``None``: it hangs in the kernel, beyond even the kill."""
        if self._process.stdin is not None:
            if ask_line and ask_s > 0 and self.exit_code is None:
                await self.say(ask_line)
            self._process.stdin.close()
        for step, patience_s in ((None, ask_s), (self._process.terminate, terminate_s), (self._process.kill, _KILL_S)):
            if self.exit_code is None and step is not None:
                _send(step)
            try:
                async with asyncio.timeout(patience_s):
                    return await self.wait()
            except TimeoutError:
                continue
        return self.exit_code

    def abandon(self) -> None:
        """Kill it if it lives, without waiting, and let go of the pipes."""
        if self.exit_code is None:
            _send(self._process.kill)
        self.close()

    def close(self) -> None:
        """Let go of the pipes. A grandchild that still holds their other ends no longer concerns us."""
        self._transport.close()


def _send(step: Callable[[], None]) -> None:
    try:
        step()
    except ProcessLookupError:
        return  # it ended between our look and our signal


def worker_environment() -> dict[str, str]:
    """Our environment for a process that reads untrusted files: no other code, no secrets, a legible death."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in _LIBRARY_OVERRIDES and not _SECRET_NAME.search(name.upper())
    }
    environment["GGML_NO_BACKTRACE"] = "1"  # a crashing llama.cpp would otherwise start a debugger
    # llama.cpp's threads wait for each other hundreds of times a token. Left to itself GNU's OpenMP spins for
    # milliseconds before it sleeps, and two busy programs on the same processors then bring each other to a halt.
    environment.setdefault("GOMP_SPINCOUNT", "3000")
    environment["PYTHONUTF8"] = "1"
    environment["PYTHONFAULTHANDLER"] = "1"
    root = Path(engine.__file__).resolve().parent.parent
    if root not in {Path(sysconfig.get_path(name)).resolve() for name in ("purelib", "platlib")}:
        known = environment.get("PYTHONPATH")
        environment["PYTHONPATH"] = os.pathsep.join([str(root), known] if known else [str(root)])
    return environment


def worker_command() -> tuple[str, ...]:
    """The command that runs a worker. ``-P``: a folder called ``engine`` in the current one must not be imported."""
    return (sys.executable, "-P", "-m", "engine.worker")


if sys.platform == "win32":

    def _join_job(pid: int) -> object:
        """Put a process into a new job that dies with our handle."""
        from engine.worker.job import KillOnClose

        return KillOnClose(pid)

else:

    def _join_job(pid: int) -> object:
        """There are no jobs here."""
        return None


def memory_kills(vmstat: Path = Path("/proc/vmstat")) -> int | None:
    """How many processes the kernel has killed for want of memory since it booted; ``None`` where it does not say."""
    try:
        for line in vmstat.read_text("ascii").splitlines():
            name, _, count = line.partition(" ")
            if name == "oom_kill":
                return int(count)
    except (OSError, ValueError):
        return None
    return None
