"""Clients that do not come to the point are hung up on; those that do are not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from starlette.types import Receive, Scope, Send

from engine.serving.http.connection import MAX_HEAD_BYTES, Connection
from engine.serving.http.server import Server, listen

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
_REQUEST = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
_PATIENCE_S = 20.0


async def _answer(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@asynccontextmanager
async def _client() -> AsyncIterator[Streams]:
    listening = listen("127.0.0.1", 0)
    server = Server(_answer)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    await server.listening.wait()
    reader, writer = await asyncio.open_connection(*listening.getsockname())
    try:
        async with asyncio.timeout(_PATIENCE_S):
            yield reader, writer
    finally:
        writer.close()
        server.should_exit = True
        await serving
        listening.close()


def _run(talk: Callable[[Streams], Awaitable[bytes]]) -> bytes:
    async def run() -> bytes:
        async with _client() as streams:
            return await talk(streams)

    return asyncio.run(run())


@pytest.mark.parametrize("said", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "])
def test_a_head_that_stops_in_the_middle_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, said: bytes) -> None:
    monkeypatch.setattr(Connection, "head_timeout_s", 0.05)

    async def talk(streams: Streams) -> bytes:
        reader, writer = streams
        writer.write(said)
        return await reader.read()  # to the end of the connection

    assert _run(talk).startswith(b"HTTP/1.1 408 ")


def test_the_second_head_on_a_connection_is_not_waited_for_either(monkeypatch: pytest.MonkeyPatch) -> None:
    async def talk(streams: Streams) -> bytes:
        reader, writer = streams
        writer.write(_REQUEST)
        answer = await reader.readuntil(b"ok")
        monkeypatch.setattr(Connection, "head_timeout_s", 0.05)
        writer.write(_REQUEST[:10])
        return answer + await reader.read()

    answers = _run(talk)
    assert answers.startswith(b"HTTP/1.1 200 ")
    assert b"HTTP/1.1 408 " in answers


def test_a_head_without_end_is_refused() -> None:
    async def talk(streams: Streams) -> bytes:
        reader, writer = streams
        said = _REQUEST[:-2] + b"X-Long: "
        writer.write(said + b"a" * (MAX_HEAD_BYTES + 1 - len(said)))
        return await reader.read()

    assert _run(talk).startswith(b"HTTP/1.1 431 ")


def test_a_connection_at_rest_between_requests_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Connection, "head_timeout_s", 0.05)

    async def talk(streams: Streams) -> bytes:
        reader, writer = streams
        writer.write(_REQUEST)
        answer = await reader.readuntil(b"ok")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(4 * Connection.head_timeout_s):
                await reader.read(1)
        writer.write(_REQUEST)
        return answer + await reader.readuntil(b"ok")

    assert _run(talk).count(b"200") == 2
