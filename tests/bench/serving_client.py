"""A streaming client of the OpenAI API that costs next to nothing while it times: plain sockets in one asyncio loop.

While an answer comes in, only the moment and the bytes of each read are kept; HTTP and JSON are taken apart when it is
over. Both sides of the bench are asked by it in the same way. What is asked, and when, is ``serving_load``'s.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

TIMEOUT_S = 900.0
_READ_BYTES = 1 << 16

Body = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Target:
    """Where a server answers, and to which token."""

    address: str
    token: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer as its client saw it; times are seconds of ``time.perf_counter``."""

    asked_at: float
    times: tuple[float, ...]
    """When each event with text in it arrived; a server may put several tokens into one."""
    ended_at: float
    text: str
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int

    @property
    def ttft_s(self) -> float:
        """From sending the request to its first text."""
        return (self.times[0] if self.times else self.ended_at) - self.asked_at

    @property
    def tpot_s(self) -> float:
        """Seconds a token from the first to the last; 0 with fewer than two."""
        if self.completion_tokens < 2 or not self.times:
            return 0.0
        return (self.times[-1] - self.times[0]) / (self.completion_tokens - 1)


@dataclass(slots=True)
class Arrivals:
    """The bytes of an answer, and when the read that brought them returned."""

    pieces: list[bytes] = field(default_factory=list)
    times: list[float] = field(default_factory=list)

    def add(self, piece: bytes) -> None:
        self.times.append(time.perf_counter())
        self.pieces.append(piece)

    def events(self) -> list[tuple[float, bytes]]:
        """Each server-sent event of a chunked answer with the moment at which its last byte was there.

        Raises:
            RuntimeError: the answer is no stream of events, such as an error.
        """
        raw = b"".join(self.pieces)
        head, _, rest = raw.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200") or b"chunked" not in head.lower():
            raise RuntimeError(f"no stream: {raw[:1500].decode(errors='replace')}")
        clock = _Clock(self)
        at, text, found = len(head) + 4, b"", []
        while rest:
            size, end, after = rest.partition(b"\r\n")
            length = int(size, 16) if end else 0
            if length == 0:
                break  # the last chunk, or an answer that was hung up on
            at += len(size) + 2 + length
            text += after[:length]
            moment = clock.of(at)
            *whole, text = text.split(b"\n\n")
            found += [(moment, event) for event in whole]
            rest = after[length + 2 :]
            at += 2
        return found


class _Clock:
    """Turns a count of bytes into the moment of the read that completed them; asked in rising order."""

    def __init__(self, arrivals: Arrivals) -> None:
        self._arrivals = arrivals
        self._index = 0
        self._end = len(arrivals.pieces[0]) if arrivals.pieces else 0

    def of(self, n_bytes: int) -> float:
        while self._end < n_bytes and self._index + 1 < len(self._arrivals.pieces):
            self._index += 1
            self._end += len(self._arrivals.pieces[self._index])
        return self._arrivals.times[self._index]


async def ask(target: Target, path: str, body: Body, on_bytes: Callable[[int], None] | None = None) -> Reply:
    """Stream one answer to its end. ``on_bytes`` hears how many reads there have been.

    Raises:
        RuntimeError: the server refused.
    """
    arrivals = Arrivals()
    asked_at = time.perf_counter()
    asked = {**body, "stream": True, "stream_options": {"include_usage": True}}
    try:
        await _exchange(target, path, asked, arrivals, on_bytes)
    except asyncio.CancelledError:
        if on_bytes is None:
            raise  # only who listens while it streams can use half an answer
    return _reply(asked_at, arrivals)


async def ask_plainly(target: Target, path: str, body: Body | None = None) -> bytes:
    """One answer in one piece: the body of a 200, else an error. ``None`` asks by GET."""
    arrivals = Arrivals()
    await _exchange(target, path, body, arrivals, None)
    raw = b"".join(arrivals.pieces)
    head, _, content = raw.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(raw[:1500].decode(errors="replace"))
    return content


async def _exchange(
    target: Target, path: str, body: Body | None, arrivals: Arrivals, on_bytes: Callable[[int], None] | None
) -> None:
    parts = urlsplit(target.address)
    content = b"" if body is None else json.dumps(body).encode()
    lines = [
        f"{'GET' if body is None else 'POST'} {path} HTTP/1.1",
        f"Host: {parts.netloc}",
        "Connection: close",
        "Content-Type: application/json",
        f"Content-Length: {len(content)}",
        *([f"Authorization: Bearer {target.token}"] if target.token else []),
    ]
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + content)
        async with asyncio.timeout(TIMEOUT_S):
            while piece := await reader.read(_READ_BYTES):
                arrivals.add(piece)
                if on_bytes is not None:
                    on_bytes(len(arrivals.pieces))
    finally:
        writer.close()


def _reply(asked_at: float, arrivals: Arrivals) -> Reply:
    times: list[float] = []
    texts: list[str] = []
    usage: Mapping[str, object] = {}
    for moment, event in arrivals.events():
        if not event.startswith(b"data: {"):
            continue
        said = json.loads(event[6:])
        if "error" in said:
            raise RuntimeError(str(said["error"]))
        text = "".join(_text_of(choice) for choice in said.get("choices", ()))
        if text:
            times.append(moment)
            texts.append(text)
        usage = said.get("usage") or usage
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens", 0) if isinstance(details, dict) else 0
    return Reply(
        asked_at=asked_at,
        times=tuple(times),
        ended_at=arrivals.times[-1],
        text="".join(texts),
        prompt_tokens=_count(usage, "prompt_tokens"),
        cached_tokens=int(cached),
        completion_tokens=_count(usage, "completion_tokens"),
    )


def _text_of(choice: Mapping[str, object]) -> str:
    delta = choice.get("delta")
    text = delta.get("content") if isinstance(delta, dict) else choice.get("text")
    return text if isinstance(text, str) else ""


def _count(usage: Mapping[str, object], name: str) -> int:
    value = usage.get(name, 0)
    return value if isinstance(value, int) else 0
