"""The child process that renders templates, from outside: asked, watched, ended when it is late, started again.

Only the child's own computing time counts as lateness, so that a loaded machine makes no template guilty. Blocks; any
thread, one question at a time.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
import time
from typing import Any, Final

import psutil

START_DEADLINE_S: Final = 30.0
"""For the child to be there at all."""
WALL_FACTOR: Final = 15.0
"""So many times its computing time may pass on the clock: then it does not compute, it hangs."""
_NOTHING: Final = b'{"template":"","variables":{"messages":[]}}\n'


class Late(Exception):
    """The child took too long, or died of what it was asked, and was ended."""


class RendererChild:
    """Starts when it is needed."""

    def __init__(self, deadline_s: float) -> None:
        """``deadline_s``: of computing, for one question."""
        self._deadline_s = deadline_s
        self._child: subprocess.Popen[bytes] | None = None
        self._greeted = False
        """It has answered once, so that from now on its time is spent on questions."""

    def start(self) -> None:
        """Start it ahead of the first question, without waiting until it is there."""
        if self._child is None:
            self._child, self._greeted = _start(), False

    def ask(self, line: bytes) -> dict[str, Any]:
        """The answer to one line. Raises: :class:`Late`."""
        for attempt in (1, 2):
            child = self._at_work()
            answer, late = _exchange(child, line, self._deadline_s)
            if answer is not None:
                return answer
            self.close()
            if late or attempt == 2:
                break
            # Somebody else ended it, or the system did: that says nothing about the template yet.
        raise Late

    def close(self) -> None:
        """End it."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            for pipe in (child.stdin, child.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()
            child.wait()

    def _at_work(self) -> subprocess.Popen[bytes]:
        if self._child is None or self._child.poll() is not None:
            self.close()
            self.start()
        assert self._child is not None
        if not self._greeted:
            _exchange(self._child, _NOTHING, START_DEADLINE_S)
            self._greeted = True
        return self._child


def _start() -> subprocess.Popen[bytes]:
    """The child inherits nothing but its two pipes: an open standard input of ours would outlive us there."""
    return subprocess.Popen(
        [sys.executable, "-m", "engine.llama.renderer"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
    )


def _exchange(child: subprocess.Popen[bytes], line: bytes, deadline_s: float) -> tuple[dict[str, Any] | None, bool]:
    """Send a line and read the answering one; ``None`` when the child died, and whether it was ended for lateness."""
    assert child.stdin is not None
    assert child.stdout is not None
    watch = _Watch(child, deadline_s)
    try:
        _write_all(child.stdin, line)
        chunks: list[bytes] = []
        while not chunks or not chunks[-1].endswith(b"\n"):
            chunk = child.stdout.read(1 << 20)
            if not chunk:
                return None, watch.stop()
            chunks.append(chunk)
    except OSError:
        return None, watch.stop()
    finally:
        watch.stop()
    answer: dict[str, Any] = json.loads(b"".join(chunks))
    return answer, False


class _Watch:
    """Ends the child when it has computed for too long. A thread for one question."""

    def __init__(self, child: subprocess.Popen[bytes], deadline_s: float) -> None:
        self._child = child
        self._deadline_s = deadline_s
        self._over = threading.Event()
        self._late = False
        self._thread = threading.Thread(target=self._watch, name="template-watch", daemon=True)
        self._thread.start()

    def stop(self) -> bool:
        """Stop watching; whether it has ended the child."""
        self._over.set()
        self._thread.join()
        return self._late

    def _watch(self) -> None:
        began, computed = time.monotonic(), self._computed_s()
        wait_s = self._deadline_s
        while not self._over.wait(wait_s):
            left_s = self._deadline_s - (self._computed_s() - computed)
            hanging = time.monotonic() - began >= self._deadline_s * WALL_FACTOR
            if left_s <= 0 or hanging:
                self._late = True
                self._child.kill()
                return
            wait_s = max(left_s, 0.05)

    def _computed_s(self) -> float:
        try:
            times = psutil.Process(self._child.pid).cpu_times()
        except psutil.Error:  # it has just died
            return 0.0
        return float(times.user + times.system)


def _write_all(pipe: Any, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[pipe.write(view) :]
