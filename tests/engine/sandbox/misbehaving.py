"""A sandboxed child that does as it is told, however foolish: ``{"do": what}``."""

from __future__ import annotations

import ctypes
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from engine.errors import GatehouseError
from engine.sandbox.serve import Part, serve

_held: list[object] = []


def _try(work: Callable[[], object]) -> str:
    try:
        work()
    except OSError as error:
        return f"{type(error).__name__}"
    return "done"


def _in_thread(work: Callable[[], object]) -> str:
    answers: list[str] = []
    thread = threading.Thread(target=lambda: answers.append(_try(work)))
    thread.start()
    thread.join()
    return answers[0]


def _handle(question: bytes, part: Part) -> bytes:
    fields = json.loads(question)
    target = Path(fields.get("path", "."))
    what = fields["do"]
    answers: dict[str, Callable[[], object]] = {
        "inet": lambda: _try(lambda: socket.socket(socket.AF_INET)),
        "inet6": lambda: _in_thread(lambda: socket.socket(socket.AF_INET6)),
        "unix": lambda: _try(lambda: socket.socket(socket.AF_UNIX)),
        "pair": lambda: _try(lambda: [end.close() for end in socket.socketpair()]),
        "program": lambda: _try(lambda: subprocess.run(["true"], check=False)),
        "signal": lambda: _try(lambda: os.kill(os.getppid(), 0)),
        "read": lambda: _try(target.read_bytes),
        "write": lambda: _try(lambda: target.write_text("x" * 100)),
        "remove": lambda: _try(target.unlink),
        "secrets": lambda: sorted(name for name in os.environ if "API_KEY" in name),
        "spin": _spin,
        "hold": lambda: _held.append(bytearray(1 << 33)),
        "crash": lambda: ctypes.string_at(0),
        "exit": lambda: os._exit(7),
        "hang": lambda: threading.Event().wait(),
        "chatter": lambda: [part(b"x" * (1 << 20)) for _ in range(64)],
        "nonsense": lambda: [os.write(n, b"nonsense!!") for n in range(3, 12) if _open(n)],
        "refuse": _refuse,
        "bug": lambda: [][0],
        "nest": lambda: _nest(0),
    }
    return json.dumps(answers[what]()).encode()


def _open(descriptor: int) -> bool:
    return Path(f"/proc/self/fd/{descriptor}").exists()


def _spin() -> None:
    while True:
        pass


def _nest(depth: int) -> int:
    return _nest(depth + 1) + 1


def _refuse() -> None:
    raise GatehouseError("no_thanks", "It does not want to.", "Ask something else.")


if __name__ == "__main__":
    serve(_handle, sys.argv[1])
