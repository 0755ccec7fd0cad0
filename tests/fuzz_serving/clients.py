"""Clients that misbehave on the wire: each is one request, and says what went wrong, if anything did."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random
from typing import Final

from tests.engine.served import KEY, MODEL_ID
from tests.fuzz_serving.bodies import Body, bombs, broken_json, huge, sound, wrong_types

ANSWER_DEADLINE_S: Final = 90.0
"""For a whole answer while dozens of others are asked for."""
_NONSENSE_DEADLINE_S: Final = 2.0
_FINE: Final = frozenset({200, 400, 401, 403, 404, 405, 408, 411, 413, 414, 429, 431})
_ENDLESS: Final = json.dumps(
    {"model": MODEL_ID, "prompt": "on and on", "stream": True, "ignore_eos": True, "max_tokens": 400}
).encode()


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    body: bytes


@asynccontextmanager
async def _connected(address: tuple[str, int]) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(*address)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def _head(path: str, length: int, *, method: str = "POST", key: str = KEY) -> bytes:
    return (
        f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    ).encode()


async def send(address: tuple[str, int], content: bytes, *, deadline_s: float = ANSWER_DEADLINE_S) -> Answer | None:
    """Bytes as they are; ``None`` when the worker closed the connection without a word."""
    async with _connected(address) as (reader, writer):
        with contextlib.suppress(OSError):  # it may answer, and close, before it has read everything
            writer.write(content)
            await writer.drain()
        said = b""
        with contextlib.suppress(OSError):
            said = await asyncio.wait_for(reader.read(-1), deadline_s)
    head, _, body = said.partition(b"\r\n\r\n")
    return Answer(int(head.split(b" ", 2)[1]), body) if head.startswith(b"HTTP/1.1 ") else None


def _judge(answer: Answer | None, path: str, *, silent_is_fine: bool = False) -> str | None:
    if answer is None:
        return None if silent_is_fine else "no answer"
    if answer.status not in _FINE:
        return f"status {answer.status}: {answer.body[:300]!r}"
    if answer.status >= 400 and path.startswith("/v1/"):
        try:
            said = json.loads(answer.body)["error"]["message"]
        except (ValueError, KeyError, TypeError):
            return f"a refusal without a sentence: {answer.body[:300]!r}"
        return None if isinstance(said, str) and " " in said else f"no sentence: {said!r}"
    return None


async def _post(address: tuple[str, int], body: Body) -> str | None:
    answer = await send(address, _head(body.path, len(body.content)) + body.content)
    # A body that is far too large is refused while it is sent; its sender may not get to hear the reason.
    return _judge(answer, body.path, silent_is_fine=len(body.content) > 1 << 20)


async def _vanish_in_the_body(address: tuple[str, int], random: Random) -> str | None:
    body = sound(random)
    async with _connected(address) as (_, writer):
        writer.write(_head(body.path, len(body.content) + 1000) + body.content[: random.randrange(len(body.content))])
        await writer.drain()
    return None


async def _vanish_in_the_answer(address: tuple[str, int], random: Random) -> str | None:
    async with _connected(address) as (reader, writer):
        writer.write(_head("/v1/completions", len(_ENDLESS)) + _ENDLESS)
        await writer.drain()
        if random.random() < 0.7:
            await asyncio.wait_for(reader.read(random.randrange(1, 3000)), ANSWER_DEADLINE_S)
    return None


async def _never_read(address: tuple[str, int], random: Random) -> str | None:
    """Asks for much and takes nothing, for a while."""
    async with _connected(address) as (_, writer):
        writer.write(_head("/v1/completions", len(_ENDLESS)) + _ENDLESS)
        await writer.drain()
        await asyncio.sleep(random.uniform(0.2, 2.0))
    return None


async def _nonsense_on_the_wire(address: tuple[str, int], random: Random) -> str | None:
    chunks = b"Transfer-Encoding: chunked\r\n\r\n"
    start = (
        b"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nAuthorization: Bearer "
        + KEY.encode()
        + b"\r\n"
    )
    content = random.choice(
        [
            b"GET / HTTP/9.9\r\n\r\n",
            random.randbytes(200) + b"\r\n\r\n",
            start + chunks + b"zz\r\n{}\r\n0\r\n\r\n",
            start + chunks + b"2\r\n{}\r\n0\r\n\r\n",
            start + b"Content-Length: -5\r\n\r\n",
            start + b"X: " + b"y" * 200_000 + b"\r\n\r\n",
            _head("/v1/" + "a" * 5000, 0),
            _head("/v1/models/%00%ff%2e%2e%2f", 0, method="GET"),
        ]
    )
    try:
        return _judge(await send(address, content, deadline_s=_NONSENSE_DEADLINE_S), "", silent_is_fine=True)
    except TimeoutError:
        return None  # it may wait for what would make a request of it


async def _stranger(address: tuple[str, int], random: Random) -> str | None:
    body = sound(random)
    answer = await send(
        address, _head(body.path, len(body.content), key=random.choice(["", "wrong", KEY * 2])) + body.content
    )
    return None if answer is not None and answer.status == 401 else f"a stranger was answered with {answer}"


Client = Callable[[tuple[str, int], Random], Awaitable[str | None]]


def _with(make: Callable[[Random], Body]) -> Client:
    async def client(address: tuple[str, int], random: Random) -> str | None:
        body = make(random)
        fault = await _post(address, body)
        return fault and f"{body.kind} to {body.path}: {fault}: {body.content[:300]!r}"

    return client


CLIENTS: Final[tuple[tuple[str, Client, int], ...]] = (
    ("sound", _with(sound), 20),
    ("broken JSON", _with(broken_json), 20),
    ("wrong types", _with(wrong_types), 40),
    ("bombs", _with(bombs), 10),
    ("huge", _with(huge), 1),
    ("vanish in the body", _vanish_in_the_body, 4),
    ("vanish in the answer", _vanish_in_the_answer, 4),
    ("never read", _never_read, 3),
    ("nonsense on the wire", _nonsense_on_the_wire, 4),
    ("strangers", _stranger, 3),
)
"""Name, client, and how often of a hundred or so."""
