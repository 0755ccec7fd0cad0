"""A proxy as a real process: CONNECT only, every tunnel to one place on this machine, whatever was asked for.

Run it with ``python -m tests.proxy_double PORT [--refuse]``; it prints its address, then each request's head as JSON.
:class:`ProxyDouble` starts it.
"""

from __future__ import annotations

import argparse
import json
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType

_HEAD_BYTES = 65_536


class ProxyDouble:
    """Use with ``with``; ``heads`` is what clients said to the proxy itself, known once it ended."""

    def __init__(self, port: int, *, refuse: bool = False) -> None:
        self._options = [str(port), *(["--refuse"] if refuse else [])]
        self.address = ""
        self.heads: list[str] = []

    def __enter__(self) -> ProxyDouble:
        command = [sys.executable, "-m", "tests.proxy_double", *self._options]
        here = Path(__file__).parents[1]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=here)
        assert self._process.stdout is not None
        self.address = self._process.stdout.readline().strip()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        told, _ = self._process.communicate(timeout=20)  # closing its standard input ends it
        self.heads = [json.loads(line) for line in told.splitlines()]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--refuse", action="store_true")
    asked = parser.parse_args()
    server = socket.create_server(("127.0.0.1", 0))
    _say(f"http://127.0.0.1:{server.getsockname()[1]}")
    threading.Thread(target=_serve, args=(server, asked.port, asked.refuse), daemon=True).start()
    sys.stdin.read()


def _serve(server: socket.socket, port: int, refuse: bool) -> None:
    while True:
        client, _ = server.accept()
        threading.Thread(target=_tunnel, args=(client, port, refuse), daemon=True).start()


def _tunnel(client: socket.socket, port: int, refuse: bool) -> None:
    with client, suppress(OSError):
        head = b""
        while b"\r\n\r\n" not in head and len(head) < _HEAD_BYTES:
            head += client.recv(4096)
        _say(json.dumps(head.decode("latin-1")))
        if refuse or not head.startswith(b"CONNECT "):
            client.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            return
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with socket.create_connection(("127.0.0.1", port)) as server:
            back = threading.Thread(target=_pump, args=(server, client), daemon=True)
            back.start()
            _pump(client, server)
            back.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
