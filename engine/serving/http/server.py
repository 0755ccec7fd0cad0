"""The HTTP server under the API: its socket, and uvicorn without its own ideas about signals and logs."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp
from uvicorn.config import Config
from uvicorn.server import Server as Uvicorn

from engine.errors import WorkerError
from engine.serving.http.connection import Connection

_BACKLOG = 256
_KEEP_ALIVE_S = 120
"""Longer than clients keep idle connections, so that it is they who close them, and none is cut as it is used."""


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 lets the system choose. Raises: ``WorkerError`` when the address cannot be had."""
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        if sys.platform != "win32":  # there it would let two programs share a port
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        made.listen(_BACKLOG)
    except OSError as error:
        made.close()
        sentence = f"The address {host}:{port} cannot be used: {error.strerror or error}."
        raise WorkerError("address_in_use", sentence, "Choose another port.") from error
    return made


def address_of(listening: socket.socket) -> str:
    """``http://HOST:PORT``."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Server(Uvicorn):
    """Serves one application until told to stop; leaves signals to the process that owns it."""

    def __init__(self, application: ASGIApp) -> None:
        vars(uvicorn).setdefault("Config", Config)  # for its own modules, where ``lean.py`` has left the package out
        super().__init__(
            Config(
                application,
                loop="asyncio",
                http=Connection,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=1,
                timeout_keep_alive=_KEEP_ALIVE_S,
            )
        )
        self.listening = asyncio.Event()
        """Set as well when :meth:`serve` fails before it."""

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until ``should_exit``."""
        try:
            await super().serve(sockets)
        finally:
            self.listening.set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept, and say so."""
        await super().startup(sockets)
        self.listening.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave them alone."""
        yield
