"""Runs a probe child with a time limit and bounded output. Blocking: call it from a thread that may wait.

The app's process uses only this side; it never imports llama.cpp.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import IO, TypeVar

from engine.errors import ProbeFailed
from engine.hardware.profile import Kernels
from engine.probe.records import (
    ComputeAnswer,
    ComputeQuestion,
    DevicesAnswer,
    DevicesQuestion,
    GgmlDevice,
    KernelsAnswer,
    KernelsQuestion,
)
from engine.records import RecordFault, from_plain, to_plain
from engine.worker.process import worker_environment

R = TypeVar("R")

_ANSWER_LIMIT_BYTES = 1024 * 1024
_LOG_TAIL_BYTES = 32 * 1024
_PIPE_GRACE_S = 2.0
if sys.platform == "win32":
    _NO_WINDOW = subprocess.CREATE_NO_WINDOW
else:
    _NO_WINDOW = 0


def list_devices(timeout_s: float = 20.0, *, rpc_endpoints: Sequence[str] = ()) -> tuple[GgmlDevice, ...]:
    """What the installed llama.cpp can compute on. Raises: ``ProbeFailed``."""
    question = DevicesQuestion(tuple(rpc_endpoints))
    answer = _read("devices", DevicesAnswer, ask("devices", to_plain(question), timeout_s))
    if any(min(device.total_bytes, device.free_bytes) < 0 for device in answer.devices):
        raise _nonsense("devices", "less memory than none")
    return answer.devices


def measure_compute(question: ComputeQuestion, timeout_s: float = 60.0) -> ComputeAnswer:
    """What llama.cpp would reserve for that context. Raises: ``ProbeFailed``."""
    answer = _read("compute", ComputeAnswer, ask("compute", to_plain(question), timeout_s))
    sizes = (answer.output_bytes, answer.kv_bytes, answer.recurrent_bytes, *(size for _, size in answer.compute))
    if min(sizes) < 0:
        raise _nonsense("compute", "buffers smaller than nothing")
    return answer


def measure_kernels(types: Sequence[str], timeout_s: float = 60.0) -> Kernels:
    """How fast the processor multiplies with weights of those types; about two seconds. Raises: ``ProbeFailed``."""
    question = KernelsQuestion(tuple(types))
    answer = _read("kernels", KernelsAnswer, ask("kernels", to_plain(question), timeout_s))
    rates = [rate for one in answer.types for rate in (one.read_bytes_s, one.flop_s)]
    if min((*rates, answer.attention_flop_s)) <= 0:
        raise _nonsense("kernels", "no time at all")
    return Kernels(answer.types, answer.attention_flop_s)


def _read(probe: str, kind: type[R], reply: dict[str, object]) -> R:
    try:
        return from_plain(kind, reply, probe)
    except RecordFault as error:
        raise _nonsense(probe, f"something else than asked: {error}".rstrip(".")) from error


def ask(probe: str, question: dict[str, object], timeout_s: float) -> dict[str, object]:
    """Start the child, wait for its one answer, and make sure that it is gone. Raises: ``ProbeFailed``."""
    return run_child([sys.executable, "-P", "-m", "engine.probe", probe], probe, question, timeout_s)


def run_child(command: Sequence[str], probe: str, question: dict[str, object], timeout_s: float) -> dict[str, object]:
    """As :func:`ask`, for any command that speaks the same one line in, one line out. Raises: ``ProbeFailed``.

    The child gets a worker's environment: no secrets, and no other llama.cpp than the one that was set up.
    """
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=worker_environment(),
            creationflags=_NO_WINDOW,
        )
    except OSError as error:
        raise ProbeFailed("probe_not_started", f"The {probe} probe did not start: {error}.") from error
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    answer = _Collector(process.stdout, _ANSWER_LIMIT_BYTES, process)
    log = _Collector(process.stderr, None, process)
    try:
        _write_line(process.stdin, json.dumps(question))
        code = process.wait(timeout_s)
    except subprocess.TimeoutExpired as error:
        raise ProbeFailed("probe_timeout", f"The {probe} probe gave no answer within {timeout_s:g} s.") from error
    finally:
        process.kill()
        process.wait()
        answer.join()
        log.join()
        _close(process.stdin)
    return _decode(probe, code, answer, log)


class _Collector:
    """Drains one pipe on a thread: everything up to a limit (and the child dies beyond it), or only the tail."""

    def __init__(self, pipe: IO[bytes], limit_bytes: int | None, process: subprocess.Popen[bytes]) -> None:
        self.overflowed = False
        self._data = bytearray()
        self._pipe = pipe
        self._limit_bytes = limit_bytes
        self._process = process
        self._thread = threading.Thread(target=self._drain, name="probe-pipe", daemon=True)
        self._thread.start()

    @property
    def text(self) -> str:
        return self._data.decode("utf-8", "replace")

    def join(self) -> None:
        """Wait for the end of the pipe, but not long: a grandchild may hold it open after the child is gone."""
        self._thread.join(_PIPE_GRACE_S)

    def _drain(self) -> None:
        with self._pipe:
            while chunk := self._pipe.read1(65536):  # type: ignore[attr-defined]
                self._data += chunk
                if self._limit_bytes is None:
                    del self._data[:-_LOG_TAIL_BYTES]
                elif len(self._data) > self._limit_bytes:
                    self.overflowed = True
                    self._data.clear()
                    self._process.kill()


def _write_line(pipe: IO[bytes], line: str) -> None:
    try:
        pipe.write(line.encode() + b"\n")
        pipe.flush()
    except OSError:
        # The child died before it read; its exit code and log say why, and are reported by the caller.
        return


def _close(pipe: IO[bytes]) -> None:
    try:
        pipe.close()
    except OSError:
        # Closing flushes what a dead child never read.
        return


def _decode(probe: str, code: int, answer: _Collector, log: _Collector) -> dict[str, object]:
    if answer.overflowed:
        raise _nonsense(probe, "more than 1 MiB")
    if code != 0:
        last = _last_words(log.text)
        raise ProbeFailed("probe_died", f"The {probe} probe {_ending(code)}{': ' + last if last else '.'}")
    try:
        reply = json.loads(answer.text)
    except ValueError as error:
        raise _nonsense(probe, "something that is not JSON") from error
    if not isinstance(reply, dict):
        raise _nonsense(probe, "something that is not an object")
    fault = reply.get("error")
    if isinstance(fault, dict):
        raise ProbeFailed(*(str(fault.get(key, ""))[:500] for key in ("code", "sentence", "hint")))
    return reply


def _last_words(log: str) -> str:
    """The last line the child wrote itself, not the stack that Python adds when it dies of a signal."""
    words, _, _ = log.partition("Fatal Python error:")
    return next((line.strip()[:300] for line in reversed(words.splitlines()) if line.strip()), "")


def _ending(code: int) -> str:
    if code < 0:
        try:
            return f"was ended by {signal.Signals(-code).name}"
        except ValueError:
            return f"was ended by signal {-code}"
    return f"ended with exit code {code}"


def _nonsense(probe: str, what: str) -> ProbeFailed:
    return ProbeFailed("probe_nonsense", f"The {probe} probe answered with {what}.")
