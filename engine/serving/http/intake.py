"""Requests on their way in: bodies read within bounds, and prepared in a few threads of their own.

What a body means is the parsers' business; what is refused is answered by :data:`REFUSALS`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final, TypeVar

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from engine.errors import RequestError
from engine.serving.http.respond import refusal

MAX_BODY_BYTES: Final = 8 << 20
MAX_BODIES_BYTES: Final = 64 << 20
"""Of all requests being read and prepared at a time."""
BODY_TIMEOUT_S: Final = 120.0
"""For a whole body; the slowest honest network is faster, and a client that stops in the middle must not stay."""
_LONG_BYTES: Final = 1 << 16
"""Bodies from here on are parsed in a thread: a megabyte of JSON would hold up everybody's tokens."""

T = TypeVar("T")


class Intake:
    """The bodies at hand and the threads that work on them. The event loop's thread only."""

    def __init__(self) -> None:
        self.body_timeout_s = BODY_TIMEOUT_S
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="prepare")
        self._bodies_bytes = 0

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    @asynccontextmanager
    async def read(self, request: Request, parse: Callable[[bytes], T]) -> AsyncIterator[T]:
        """The body, bounded, parsed. Counts among the bodies at hand to the end of the block, in which it is prepared.

        Raises: ``RequestError``.
        """
        chunks: list[bytes] = []
        size = 0
        try:
            async with _in_time(self.body_timeout_s):
                async for chunk in request.stream():
                    size += len(chunk)
                    self._bodies_bytes += len(chunk)
                    self._refuse_large(size)
                    chunks.append(chunk)
            body = b"".join(chunks)
            chunks.clear()
            yield parse(body) if size < _LONG_BYTES else await self.prepare(parse, body)
        finally:
            self._bodies_bytes -= size

    def _refuse_large(self, size: int) -> None:
        if size > MAX_BODY_BYTES:
            raise RequestError("too_large", f"The body is larger than {MAX_BODY_BYTES:,} bytes.", status=413)
        if self._bodies_bytes > MAX_BODIES_BYTES:
            raise RequestError("queue_full", "Too many large requests at a time.", status=429)

    async def prepare(self, work: Callable[..., T], *arguments: Any) -> T:
        """Run ``work`` on a thread of the pool: for what grows with the prompt."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, partial(work, *arguments))


@asynccontextmanager
async def _in_time(timeout_s: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(timeout_s):
            yield
    except TimeoutError as error:
        raise RequestError(
            "body_timeout", f"The request's body did not arrive within {timeout_s:g} s.", status=408
        ) from error


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    return refusal(error, request.url.path)


async def _not_found(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "http_error")
    answer = refusal(RequestError(code, str(error.detail), status=error.status_code), request.url.path)
    answer.headers.update(error.headers or {})  # which methods are allowed
    return answer


async def _gone(request: Request, error: Exception) -> Response:
    return Response(status_code=499)  # nobody reads it


REFUSALS: Final[Mapping[Any, Callable[[Request, Exception], Awaitable[Response]]]] = {
    RequestError: _refused,
    HTTPException: _not_found,
    ClientDisconnect: _gone,
}
"""What an application answers to each exception."""
