"""A process that speaks the worker's HTTP and then misbehaves as asked; run it with ``python -m``.

Prints its address. The model's name in a request says what happens: ``good``, ``cut`` (hangs up in mid-stream),
``die`` (ends its own process), ``late-error`` (an error inside the stream), ``refuse`` (400 with code and hint),
``tell-headers`` (the names of those it was sent).
"""

from __future__ import annotations

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

WORDS = ("Good ", "day ", "to you 🌍")


class Handler(BaseHTTPRequestHandler):
    """HTTP/1.1 with chunks, so that a cut stream can be told from a whole one."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/tokenize":
            self._tokenize(body)
        else:
            self._chat(body)

    def _tokenize(self, body: dict[str, object]) -> None:
        if self.headers["Authorization"] != "Bearer secret":
            self._json(401, {"error": {"message": "The key is wrong.", "code": "bad_key", "hint": "Use another."}})
        else:
            self._json(200, {"count": len(str(body["messages"]).split())})

    def _chat(self, body: dict[str, object]) -> None:
        if body["model"] == "refuse":
            error = {"message": "Too long: 9 of 8 tokens.", "code": "context_length_exceeded", "hint": "Shorten it."}
            self._json(400, {"error": error})
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self._event({"choices": [{"index": 0, "delta": {"role": "assistant", "reasoning_content": "hm"}}]})
        for word in WORDS:
            self._event({"choices": [{"index": 0, "delta": {"content": word}}]})
        if body["model"] == "die":
            os._exit(9)
        if body["model"] == "cut":
            self.close_connection = True
            return
        if body["model"] == "late-error":
            self._event({"error": {"message": "The cache is full.", "code": "cache_full", "hint": ""}})
        elif body["model"] != "endless":
            self._end(body)
        self._write(b"0\r\n\r\n")

    def _end(self, body: dict[str, object]) -> None:
        seen = sorted(name.lower() for name in self.headers)
        if body["model"] == "tell-headers":
            self._event({"choices": [{"index": 0, "delta": {"content": " " + ",".join(seen)}}]})
        timings = {"predicted_per_second": 12.5, "prompt_n": 3, "predicted_n": True, "cache_n": "many"}
        self._event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        details = {"cached_tokens": 5}
        usage = {"prompt_tokens": 8, "completion_tokens": 3, "total_tokens": 11, "prompt_tokens_details": details}
        self._event({"choices": [], "usage": usage, "timings": timings})
        self._data(b"[DONE]")

    def _event(self, fields: dict[str, object]) -> None:
        head = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        self._data(json.dumps({**head, **fields} if "error" not in fields else fields).encode())

    def _data(self, data: bytes) -> None:
        event = b"data: " + data + b"\n\n"
        self._write(f"{len(event):x}\r\n".encode() + event + b"\r\n")

    def _write(self, data: bytes) -> None:
        self.wfile.write(data)
        self.wfile.flush()

    def _json(self, status: int, fields: dict[str, object]) -> None:
        data = json.dumps(fields).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        return


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    sys.stdout.write(f"http://127.0.0.1:{server.server_address[1]}\n")
    sys.stdout.flush()
    server.serve_forever()
