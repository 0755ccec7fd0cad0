"""What careless clients do to a worker, one act at a time. Each ends in a 200, a 4xx or the client's leaving."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from tests.bench.serving_client import Target

CHAT: Final = "/v1/chat/completions"
_PATIENCE_S: Final = 300.0
_SCHEMA: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 12},
        "kind": {"enum": ["bird", "fish", "tree"]},
        "count": {"type": "integer", "minimum": 0, "maximum": 99},
    },
    "required": ["name", "kind", "count"],
    "additionalProperties": False,
}
_TOOL: Final[Mapping[str, Any]] = {
    "type": "function",
    "function": {
        "name": "find",
        "description": "Find a word.",
        "parameters": {"type": "object", "properties": {"word": {"type": "string"}}, "required": ["word"]},
    },
}
_CONSTRAINTS: Final[tuple[Mapping[str, Any], ...]] = (
    {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": _SCHEMA}}},
    {"response_format": {"type": "json_object"}},
    {"regex": "[a-z]{3,9} [0-9]{1,4}"},
    {"choice": ["yes", "no", "perhaps not"]},
    {"grammar": 'root ::= "a" ("b" | "c")+ "."'},
)
_WRONG: Final[tuple[bytes, ...]] = (
    b"",
    b"{",
    b"[]",
    b"null",
    b'{"messages": 7}',
    b'{"messages": []}',
    b'{"messages": [{"role": "user", "content": "x"}], "max_tokens": -1}',
    b'{"messages": [{"role": "user", "content": "x"}], "temperature": 1e999}',
    b'{"messages": [{"role": "user", "content": "x"}], "no_such_thing": 1}',
    b'{"messages": [{"role": "user", "content": "x"}], "regex": "(("}',
    b'{"messages": [{"role": "user", "content": "x"}], "stop": ' + json.dumps(["x"] * 1000).encode() + b"}",
    b'{"messages": [{"role": "user", "content": "' + b"x " * 200_000 + b'"}]}',
    b'{"a":' * 5000,
)


class Fault(Exception):
    """The worker did what it must never do."""


@dataclass(frozen=True, slots=True)
class Leaving:
    """How a client goes before it has its answer."""

    after_s: float
    rudely: bool
    """With a reset instead of a close."""
    reads: bool


async def act(target: Target, chance: random.Random, who: str) -> str:
    """Do one thing; returns what it was and how it ended. Raises: ``Fault``, ``OSError``."""
    name, (path, body) = _choose(chance, who)
    leaving = None
    if chance.random() < 0.3:
        leaving = Leaving(chance.choice((0.0, 0.01, 0.2, 1.0, 3.0)), chance.random() < 0.5, chance.random() < 0.7)
    raw = await _exchange(target, path, body, leaving)
    if leaving is not None:
        return f"{name}, left"
    head, _, content = raw.partition(b"\r\n\r\n")
    status = int(head[9:12]) if head.startswith(b"HTTP/1.1 ") else 0
    if not (status == 200 or 400 <= status < 500):
        raise Fault(f"{name}: {raw[:300]!r} to {body[:300]!r}")
    if status == 200 and b"text/event-stream" in head and b"data: [DONE]" not in content:
        raise Fault(f"{name}: the stream broke off with {content[-300:]!r} to {body[:300]!r}")
    return f"{name}, {status}"


def _choose(chance: random.Random, who: str) -> tuple[str, tuple[str, bytes]]:
    kind = chance.choices(
        ("chat", "conversation", "constraint", "tools", "choices", "plain", "wrong", "other"),
        (30, 15, 15, 8, 8, 8, 10, 6),
    )[0]
    if kind == "wrong":
        return kind, (CHAT, chance.choice(_WRONG))
    if kind == "other":
        return kind, _small_call(chance, who)
    asked = _options(chance, who)
    path = CHAT
    if kind == "plain":
        path = "/v1/completions"
        asked["prompt"] = _text(chance)
    else:
        asked["messages"] = [{"role": "user", "content": _text(chance)}]
    if kind == "conversation":
        system = {"role": "system", "content": f"You speak of these words only. {_text(random.Random(who), 300)}"}
        asked["messages"] = [system, *_turns(chance, who)]
        asked["prompt_cache_key"] = who
    elif kind == "constraint":
        asked |= chance.choice(_CONSTRAINTS)
        asked["max_tokens"] = chance.choice((3, 40, 120))
    elif kind == "tools":
        asked |= {"tools": [_TOOL], "tool_choice": chance.choice(("auto", "required", "none"))}
    elif kind == "choices":
        asked |= {"n": chance.randint(2, 4), "logprobs": True, "top_logprobs": chance.randint(0, 5)}
    return kind, (path, json.dumps(asked).encode())


def _options(chance: random.Random, who: str) -> dict[str, Any]:
    return {
        "max_tokens": chance.choice((1, 2, 8, 24, 64)),
        "temperature": chance.choice((0.0, 0.7, 1.5)),
        "seed": chance.randrange(1 << 40),
        "stream": chance.random() < 0.6,
        "ignore_eos": chance.random() < 0.3,
        "cache_prompt": chance.random() < 0.9,
        "user": who,
        "priority": chance.choice(("interactive", "batch")),
        "stop": chance.choice(([], ["e"], ["river", "\n"])),
        "repeat_penalty": chance.choice((1.0, 1.2)),
    }


def _small_call(chance: random.Random, who: str) -> tuple[str, bytes]:
    return chance.choice(
        (
            ("/tokenize", json.dumps({"content": _text(chance)}).encode()),
            ("/detokenize", json.dumps({"tokens": [chance.randrange(200) for _ in range(50)]}).encode()),
            ("/cache/drop", json.dumps({"prompt_cache_key": who}).encode()),
            ("/v1/embeddings", json.dumps({"input": "x", "model": "soak"}).encode()),
            ("/nowhere", b"{}"),
        )
    )


def _turns(chance: random.Random, who: str) -> list[dict[str, str]]:
    """The same conversation, a random number of turns long, so that prefixes are shared, cut and gone on with."""
    own = random.Random(f"{who}/{chance.randrange(3)}")
    turns = []
    for _ in range(chance.randrange(3)):
        turns.append({"role": "user", "content": _text(own, 20)})
        turns.append({"role": "assistant", "content": _text(own, 20)})
    return [*turns, {"role": "user", "content": _text(own, 20)}]


def _text(chance: random.Random, words: int = 0) -> str:
    """So many words, or a number of which most are few and some are very many."""
    count = words or int(2 ** chance.uniform(1, 10.5))
    letters = "bcdfghjklmnprstvw"
    return " ".join(f"{chance.choice(letters)}{chance.choice('aeiou')}{chance.choice(letters)}" for _ in range(count))


async def _exchange(target: Target, path: str, body: bytes, leaving: Leaving | None) -> bytes:
    """The whole answer; or whatever came before the client left."""
    parts = urlsplit(target.address)
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {target.token}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    pieces: list[bytes] = []
    try:
        async with asyncio.timeout(leaving.after_s if leaving else _PATIENCE_S):
            writer.write(head.encode() + body)
            await writer.drain()
            if leaving is not None and not leaving.reads:
                await asyncio.sleep(leaving.after_s)
            while piece := await reader.read(1 << 16):
                pieces.append(piece)
    except TimeoutError:
        if leaving is None:
            raise Fault(f"no answer within {_PATIENCE_S:.0f} s to {body[:300]!r}") from None
        if leaving.rudely:
            handle = writer.get_extra_info("socket")
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
    except (ConnectionResetError, BrokenPipeError):
        pass  # refused before the whole body was sent; what was said of it has come, or is judged as no answer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    return b"".join(pieces)
