"""Responses: JSON in one piece, and event streams that end when the client hangs up."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Awaitable, Mapping
from typing import Any, Final, TypeVar

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from engine.errors import RequestError
from engine.serving.http.answers import anthropic_error_object, error_object

T = TypeVar("T")

SEND_TIMEOUT_S: Final = 60.0
"""A reader that takes nothing for so long is given up."""


def refusal(error: RequestError, path: str) -> Response:
    """An error with its own status, in the shape that the path's clients read."""
    headers = {}
    if error.status == 429:
        headers["Retry-After"] = str(error.retry_after_s)
    if error.status == 408:
        headers["Connection"] = "close"  # the rest of the body would be read as the next request
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    shape = anthropic_error_object if path.startswith("/v1/messages") else error_object
    return json_response(shape(error), error.status, headers)


def json_response(content: dict[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer."""
    body = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    return Response(body, status, headers, "application/json")


class EventStream(Response):
    """Server-sent events from an async generator.

    The generator is closed when the client hangs up or stops reading, at whatever point it waits.
    """

    def __init__(self, events: AsyncGenerator[bytes, None], first: bytes) -> None:
        self._events = events
        self._first = first
        self._sending_since = 0.0
        """When the event began to be sent that is still being sent; 0 between events."""
        self.status_code = 200
        self.background = None
        self.init_headers({"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-store"})

    def init_headers(self, headers: Any = None) -> None:
        """Without a length, which nobody knows."""
        self.raw_headers = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sender = asyncio.create_task(self._send_all(send))
        listener = asyncio.create_task(hung_up(receive))
        try:
            await self._until_over(sender, listener)
        finally:
            sender.cancel()
            listener.cancel()
            results = await asyncio.gather(sender, listener, return_exceptions=True)
            await self._events.aclose()
        if isinstance(results[0], Exception) and not isinstance(results[0], OSError):
            raise results[0]

    async def _until_over(self, sender: asyncio.Task[None], listener: asyncio.Task[None]) -> None:
        """Return when all is sent, the client has gone, or it has read nothing for too long.

        Looked at now and then, because a timer for each event would cost as much as the event.
        """
        done: set[asyncio.Task[None]] = set()
        while not done:
            done, _ = await asyncio.wait(
                {sender, listener}, timeout=SEND_TIMEOUT_S / 4, return_when=asyncio.FIRST_COMPLETED
            )
            if self._sending_since and time.monotonic() - self._sending_since > SEND_TIMEOUT_S:
                return

    async def _send_all(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await self._send_body(send, self._first, more=True)
        async for event in self._events:
            await self._send_body(send, event, more=True)
        await self._send_body(send, b"", more=False)

    async def _send_body(self, send: Send, body: bytes, *, more: bool) -> None:
        self._sending_since = time.monotonic()
        await send({"type": "http.response.body", "body": body, "more_body": more})
        self._sending_since = 0.0


async def hung_up(receive: Receive) -> None:
    """Return when the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def unless_gone(work: Awaitable[T], receive: Receive) -> T:
    """The result of ``work``. Raises: ``ClientDisconnect`` when the client hangs up first; the work is cancelled."""
    task = asyncio.ensure_future(work)
    listener = asyncio.create_task(hung_up(receive))
    try:
        await asyncio.wait({task, listener}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise ClientDisconnect
    finally:
        task.cancel()
        listener.cancel()
        await asyncio.gather(task, listener, return_exceptions=True)
