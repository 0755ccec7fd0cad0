"""The worker's ties to its parent: it dies with it, obeys it, and tells it how things are.

The other end is ``supervisor.py``; what the lines mean is in ``wire.py``.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from engine.worker.spec import WorkerEvent
from engine.worker.wire import MAX_SPEC_BYTES, STOP_LINE, WireFault, encode_state

_PR_SET_PDEATHSIG: Final = 1
_PATIENCE_S: Final = 5.0
"""After the parent's end, for an orderly stop; then the process ends itself."""
_OOM_SCORE: Final = "500"
_MAX_UNSENT: Final = 64


class ParentGone(Exception):
    """There is nobody to work for."""


def bind_to_parent(parent_pid: int) -> None:
    """Linux: be killed with the parent, and before the parent when memory runs out. Elsewhere standard input's end
    and the supervisor's job object do it.

    Raises: ``ParentGone`` when the parent died before this took effect.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent_pid:
        raise ParentGone
    with contextlib.suppress(OSError):  # not allowed everywhere, and only a courtesy
        Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE)


def read_spec_line() -> bytes:
    """The first line of standard input. Raises: ``ParentGone``, ``WireFault``.

    Reads the bare descriptor: a thread that blocks in Python's buffered reader would abort the process at its end.
    """
    line = bytearray()
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            raise ParentGone
        line += byte
        if len(line) > MAX_SPEC_BYTES:
            raise WireFault(f"The configuration is longer than {MAX_SPEC_BYTES} bytes.")
    return bytes(line)


class Reporter:
    """Writes events to what was standard output, from a thread of its own: a parent that does not read delays nobody.

    Standard output itself goes to standard error from now on, so that no library can write between the lines.
    """

    def __init__(self) -> None:
        self._descriptor = os.dup(1)
        os.dup2(2, 1)
        self._unsent: queue.Queue[WorkerEvent | None] = queue.Queue(_MAX_UNSENT)
        self._thread = threading.Thread(target=self._write, name="reporter", daemon=True)
        self._thread.start()

    def tell(self, event: WorkerEvent) -> None:
        """Queue an event that must arrive."""
        self._unsent.put(event)

    def mention(self, event: WorkerEvent) -> None:
        """Queue an event that may be lost."""
        with contextlib.suppress(queue.Full):
            self._unsent.put_nowait(event)

    def close(self) -> None:
        """Wait a little for what is queued."""
        with contextlib.suppress(queue.Full):
            self._unsent.put_nowait(None)
        self._thread.join(1.0)

    def _write(self) -> None:
        while (event := self._unsent.get()) is not None:
            try:
                os.write(self._descriptor, encode_state(event).encode() + b"\n")
            except OSError:
                return  # the parent is gone; standard input says so too


def listen_to_parent(on_stop: Callable[[], None]) -> None:
    """Call ``on_stop`` when the parent says stop or is gone; end the process if that takes too long afterwards."""

    def listen() -> None:
        pending = b""
        while True:
            try:
                data = os.read(0, 4096)
            except OSError:
                data = b""
            *lines, pending = (pending + data).split(b"\n")
            if not data or STOP_LINE.encode() in (line.strip() for line in lines):
                break
            pending = pending[-64:]
        on_stop()
        timer = threading.Timer(_PATIENCE_S, os._exit, (1,))
        timer.daemon = True
        timer.start()

    threading.Thread(target=listen, name="parent", daemon=True).start()
