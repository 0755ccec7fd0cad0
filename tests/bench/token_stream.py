"""A child that answers like a worker, at an even pace: the model of the window's bench.

``python -m tests.bench.token_stream TOK_S SECONDS BURST_CHARS`` prints its port, answers every chat completion with
Markdown, first ``BURST_CHARS`` at once and then ``TOK_S`` tokens a second, and ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator

TOKEN_CHARS = 4
_SECTION = """## Section {number}

Sorting in pieces means that *each piece* fits in memory, and that **merging** reads them side by side; `heapq.merge`
does that lazily. The cost is one pass more, and as many open files as there are pieces, which is seldom a problem.

1. Read a piece and sort it.
2. Write it to a temporary file.
   - one file for each piece
   - removed when it is closed

| Step | Time | Memory |
|---|--:|:-:|
| Sorting | n log k | one piece |
| Merging | n log m | m lines |

```python
def merge_files(paths: list[str], target: str) -> int:
    \"\"\"Merge sorted files; returns how many lines were written.\"\"\"
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(open(path)) for path in paths]
        out = stack.enter_context(open(target, "w"))
        count = 0
        for line in heapq.merge(*files):
            out.write(line)  # a comment to be coloured
            count += 1
    return count
```

> A quotation, with maths as text: \\\\(n \\\\log n\\\\).

"""


def answer(chars: int) -> str:
    """Markdown of at least that length, with everything in it that Markdown has."""
    pieces = []
    while sum(map(len, pieces)) < chars:
        pieces.append(_SECTION.format(number=len(pieces) + 1))
    return "".join(pieces)


def tokens(text: str) -> Iterator[str]:
    for start in range(0, len(text), TOKEN_CHARS):
        yield text[start : start + TOKEN_CHARS]


class Server:
    """Just enough HTTP for the client of a worker."""

    def __init__(self, tok_s: float, seconds: float, burst_chars: int) -> None:
        self._pause = 1.0 / tok_s
        self._burst = burst_chars
        self._text = answer(burst_chars + int(tok_s * seconds * TOKEN_CHARS))

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next((int(x[15:]) for x in head.lower().split(b"\r\n") if x.startswith(b"content-length:")), 0)
                await reader.readexactly(length)
                if b"/tokenize" in head.split(b"\r\n", 1)[0]:
                    _reply(writer, {"tokens": [], "count": 321})
                else:
                    await self._stream(writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            writer.close()  # the client hung up, or the bench is over

    async def _stream(self, writer: asyncio.StreamWriter) -> None:
        kind = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        writer.write(kind)
        _event(writer, {"content": self._text[: self._burst]})
        loop = asyncio.get_running_loop()
        due = loop.time() + 1.0
        for token in tokens(self._text[self._burst :]):
            due += self._pause
            await asyncio.sleep(max(due - loop.time(), 0))
            _event(writer, {"content": token})
            await writer.drain()
        _event(writer, {}, "stop")
        _chunk(writer, b"data: [DONE]\n\n")
        writer.write(b"0\r\n\r\n")


def _reply(writer: asyncio.StreamWriter, content: object) -> None:
    body = json.dumps(content).encode()
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)


def _event(writer: asyncio.StreamWriter, delta: dict[str, str], reason: str | None = None) -> None:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    part = {"id": "x", "object": "chat.completion.chunk", "created": 0, "model": "bench", "choices": [choice]}
    _chunk(writer, f"data: {json.dumps(part)}\n\n".encode())


def _chunk(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")


async def serve(tok_s: float, seconds: float, burst_chars: int) -> None:
    server = await asyncio.start_server(Server(tok_s, seconds, burst_chars).handle, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    async with server:
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])))
