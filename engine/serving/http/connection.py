"""A connection whose client has to say within bounds what it wants: uvicorn's, with a limit to time and size of heads.

uvicorn itself waits for ever for a request's head, and keeps as much of it as comes. Bodies are ``intake.py``'s.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_TIMEOUT_S: Final = 30.0
"""From the connection, or from the first byte of a further request on it, to the end of the request's head."""
MAX_HEAD_BYTES: Final = 64 << 10
"""Of a request line and headers; ours are under 1 kB, and a browser's cookies for this host may come along."""


class Connection(HttpToolsProtocol):
    """One client. The event loop's thread only."""

    head_timeout_s = HEAD_TIMEOUT_S

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._head_due: asyncio.TimerHandle | None = None
        """Set while a head is awaited."""
        self._head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client is there; the first request is awaited."""
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came; give up on a head that does not end."""
        super().data_received(data)
        if self._head_due is not None:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._give_up(b"431 Request Header Fields Too Large")

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        if self._head_due is None:
            self._await_head()

    def on_headers_complete(self) -> None:
        """Its head is there; from here on the application is in charge."""
        self._stop_waiting()
        super().on_headers_complete()

    def _await_head(self) -> None:
        self._head_bytes = 0
        self._head_due = self.loop.call_later(self.head_timeout_s, self._give_up, b"408 Request Timeout")

    def _stop_waiting(self) -> None:
        if self._head_due is not None:
            self._head_due.cancel()
            self._head_due = None

    def _give_up(self, status: bytes) -> None:
        self._stop_waiting()
        if self.transport.is_closing():
            return
        cycle: Any = self.cycle  # of the request before, if there was one
        if cycle is None or cycle.response_complete:  # not into the middle of an answer
            self.transport.write(b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        self.transport.close()
