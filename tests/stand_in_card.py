"""A stand-in for a card: this machine's processor behind a ggml RPC server on loopback, with as much memory as asked.

The server is a process of its own (`python -m tests.stand_in_card PORT TOLD GIVEN`), ended with the test. What it tells
as its memory and what it really gives are both bounded, so unequal cards and one too small can be played. It says
nothing about the speed of a card.
"""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

_ROOT = Path(__file__).parents[1]
_OWN_BYTES = 32 << 20
"""For the server itself, beyond the memory of the card."""
_LISTENS = b"transport"
"""The server announces its transport last, right before it listens."""


@contextmanager
def stand_in_card(told_bytes: int = 0, given_bytes: int = 0) -> Iterator[str]:
    """The endpoint (``HOST:PORT``) of a card that tells so much memory and gives so much; 0: all that there is."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    server = subprocess.Popen(
        # Unbuffered, or C keeps the line that we wait for in its buffer.
        [sys.executable, "-u", "-m", "tests.stand_in_card", str(port), str(told_bytes), str(given_bytes)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=_ROOT,
    )
    assert server.stdin is not None
    assert server.stdout is not None
    endpoint = f"127.0.0.1:{port}"
    try:
        said = []
        for line in server.stdout:
            said.append(line)
            if _LISTENS in line:
                break
        draining = threading.Thread(target=server.stdout.read, name="card-log", daemon=True)
        draining.start()
        assert server.poll() is None, b"".join(said)
        _wait_until_it_answers(port)
        yield endpoint
    finally:
        server.stdin.close()
        server.kill()
        server.wait()
        draining.join(5)
        server.stdout.close()


def _wait_until_it_answers(port: int) -> None:
    pause = threading.Event()
    for _ in range(1000):
        with closing(socket.socket()) as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        pause.wait(0.01)
    raise AssertionError("the stand-in card does not answer")


def _serve(endpoint: str, told_bytes: int, given_bytes: int) -> None:
    from engine.llama import bindings

    device = bindings.device_pointers()[0]
    if told_bytes:
        _tell_memory(device, told_bytes)
    if given_bytes:
        _limit_memory(given_bytes)
    devices = (ctypes.c_void_p * 1)(device)
    text, size = ctypes.c_char_p, ctypes.c_size_t
    start = bindings.bind("ggml_backend_rpc_start_server", None, text, text, size, size, ctypes.c_void_p)
    start(endpoint.encode(), None, 1, 1, devices)


_GetMemory = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.POINTER(ctypes.c_size_t), ctypes.POINTER(ctypes.c_size_t))
_GET_MEMORY_INDEX = 2
"""Of the device's functions. Source: ``struct ggml_backend_device_i`` in ggml-backend-impl.h."""
_kept_alive: list[object] = []


def _tell_memory(device: int, told_bytes: int) -> None:
    def tell(_device: int, free: ctypes._Pointer[ctypes.c_size_t], total: ctypes._Pointer[ctypes.c_size_t]) -> None:
        free[0] = total[0] = ctypes.c_size_t(told_bytes)

    callback = _GetMemory(tell)
    _kept_alive.append(callback)
    functions = (ctypes.c_void_p * (_GET_MEMORY_INDEX + 1)).from_address(device)
    functions[_GET_MEMORY_INDEX] = ctypes.cast(callback, ctypes.c_void_p).value


def _limit_memory(given_bytes: int) -> None:
    """POSIX only; what is used already does not count."""
    import resource

    import psutil

    used = psutil.Process().memory_info().data if sys.platform == "linux" else 0
    limit = used + _OWN_BYTES + given_bytes
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _serve(f"127.0.0.1:{sys.argv[1]}", int(sys.argv[2]), int(sys.argv[3]))
