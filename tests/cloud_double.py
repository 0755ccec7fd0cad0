"""An OpenAI-compatible provider as a real process, which records what reaches it and misbehaves on request.

Run it with ``python -m tests.cloud_double [--upstream ADDRESS] [--tls FOLDER]``; it prints its address. With
``--upstream`` it is a proxy before a real server, such as llama-server. What it should do wrong is told to it by
``misbehave``, or by the model's name in a request; without either it answers well. :class:`CloudDouble` starts and
asks it.
"""

from __future__ import annotations

import argparse
import datetime
import gzip
import ipaddress
import itertools
import json
import os
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar

WORDS = ("Good ", "day ", "to you 🌍")
KEY = "sk-good-0123456789abcdef"
_STATUSES = {
    400: "invalid_request_error",
    401: "invalid_api_key",
    403: "forbidden",
    404: "not_found",
    408: "timeout",
    409: "conflict",
    413: "too_large",
    429: "rate_limit_exceeded",
    500: "server_error",
    502: "bad_gateway",
    503: "overloaded",
    504: "gateway_timeout",
}


@dataclass(frozen=True)
class Seen:
    """A request as it reached the provider."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: str


class Handler(BaseHTTPRequestHandler):
    """HTTP/1.1 with chunks, so that a cut stream can be told from a whole one."""

    protocol_version = "HTTP/1.1"
    upstream: ClassVar[str] = ""
    fault: ClassVar[str] = ""
    reply: ClassVar[str] = ""
    seen: ClassVar[list[dict[str, Any]]] = []
    guard: ClassVar[threading.Lock] = threading.Lock()

    def do_GET(self) -> None:
        if self.path == "/_seen":
            with self.guard:
                self._json(200, self.seen)
            return
        self._note("")
        fault = Handler.fault
        if fault.startswith("status:"):
            self._status(int(fault.split(":")[1]))
        elif fault == "redirect":
            self._redirect()
        else:
            self._json(200, {"object": "list", "data": [{"id": "good"}, {"id": "better"}, {"id": 7}]})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/_misbehave":
            told = json.loads(body)
            Handler.fault, Handler.reply = told["fault"], told["reply"]
            self._json(200, {})
            return
        self._note(body.decode("utf-8", "replace"))
        try:
            asked = json.loads(body)
        except ValueError:
            self._json(400, {"error": {"message": "no JSON"}})
            return
        fault = Handler.fault or str(asked.get("model", ""))
        misdeed = _MISDEEDS.get(fault)
        if fault.startswith("status:"):
            self._status(int(fault.split(":")[1]))
        elif misdeed is not None:
            misdeed(self, asked)
        elif self.upstream:
            self._pass_on(body)
        else:
            self._answer(asked)

    def _note(self, body: str) -> None:
        with self.guard:
            headers = {name.lower(): value for name, value in self.headers.items()}
            self.seen.append({"method": self.command, "path": self.path, "headers": headers, "body": body})

    def _status(self, status: int) -> None:
        error: dict[str, object] = {"message": f"No: key {KEY} and\nmore.", "code": _STATUSES.get(status, "other")}
        extra = {"Retry-After": "7"} if status in (429, 503) else {}
        self._json(status, {"error": error}, extra)

    def _pass_on(self, body: bytes) -> None:
        request = urllib.request.Request(
            self.upstream + self.path, data=body, headers={"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=120) as answer:
            self._begin()
            while piece := answer.read1(4096):
                self._chunk(piece)
        self._write(b"0\r\n\r\n")

    def _answer(self, asked: Mapping[str, Any]) -> None:
        self._begin()
        self._words(Handler.reply.split(" ") if Handler.reply else WORDS, " " if Handler.reply else "")
        self._finish(asked)

    def _words(self, words: Any, between: str = "") -> None:
        for word in words:
            self._event({"choices": [{"index": 0, "delta": {"content": word + between}}]})

    def _finish(self, asked: Mapping[str, Any], *, usage: bool = True) -> None:
        self._event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        if usage and asked.get("stream_options"):
            self._event(
                {"choices": [], "usage": {"prompt_tokens": 1000, "completion_tokens": 500, "total_tokens": 1500}}
            )
        self._data(b"[DONE]")
        self._write(b"0\r\n\r\n")

    def _begin(self, kind: str = "text/event-stream", status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def _event(self, fields: Mapping[str, object]) -> None:
        head = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        self._data(json.dumps({**head, **fields} if "error" not in fields else fields).encode())

    def _data(self, data: bytes) -> None:
        self._chunk(b"data: " + data + b"\n\n")

    def _chunk(self, data: bytes) -> None:
        self._write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def _write(self, data: bytes) -> None:
        try:
            self.wfile.write(data)
            self.wfile.flush()
        except OSError as gone:
            raise ConnectionAbortedError from gone

    def _json(self, status: int, fields: object, extra: Mapping[str, str] | None = None) -> None:
        data = json.dumps(fields).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, value in (extra or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self._write(data)

    def _redirect(self, _: object = None) -> None:
        self.send_response(307)
        self.send_header("Location", f"http://elsewhere.invalid:{self.server.server_address[1]}{self.path}")
        self.send_header("Content-Length", "0")
        self.end_headers()

    # What it does wrong, by name.

    def stall(self, _: object) -> None:
        self._begin()
        self._words(WORDS[:2])
        _hang()

    def silent(self, _: object) -> None:
        _hang()

    def cut(self, _: object) -> None:
        self._begin()
        self._words(WORDS[:2])
        self.close_connection = True

    def dies(self, _: object) -> None:
        self._begin()
        self._words(WORDS[:2])
        os._exit(9)

    def no_end(self, _: object) -> None:
        """Every byte is right, but the answer never says that it is over."""
        self._begin()
        self._words(WORDS[:2])
        self._write(b"0\r\n\r\n")

    def garbage(self, _: object) -> None:
        self._begin()
        self._words(WORDS[:2])
        self._chunk(b"data: {\xff\xfe not json\n\n")
        self._write(b"0\r\n\r\n")

    def wrong_types(self, _: object) -> None:
        self._begin()
        self._event({"choices": [{"delta": {"content": {"a": [1]}}}], "usage": {"prompt_tokens": -1}})
        self._write(b"0\r\n\r\n")

    def not_http(self, _: object) -> None:
        self._write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
        self.close_connection = True

    def html(self, _: object) -> None:
        self._begin("text/html")
        self._chunk(b"<html>Log in to the network</html>")
        self._write(b"0\r\n\r\n")

    def packed(self, _: object) -> None:
        """A kilobyte that unfolds into a megabyte."""
        data = gzip.compress(b"data: " + b"x" * 1_000_000 + b"\n\n")
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self._write(data)

    def endless(self, _: object) -> None:
        self._begin()
        for _number in itertools.count():
            self._words(("on and on ",))

    def endless_line(self, _: object) -> None:
        self._begin()
        while True:
            self._chunk(b"data: " + b"x" * 65536)

    def late_error(self, _: object) -> None:
        self._begin()
        self._words(WORDS[:2])
        self._event({"error": {"message": f"The engine overheated near {KEY}.", "code": "engine"}})
        self._write(b"0\r\n\r\n")

    def no_usage(self, asked: Mapping[str, Any]) -> None:
        self._begin()
        self._words(WORDS)
        self._finish(asked, usage=False)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        return


_MISDEEDS: dict[str, Callable[[Handler, Mapping[str, Any]], None]] = {
    "stall": Handler.stall,
    "silent": Handler.silent,
    "cut": Handler.cut,
    "dies": Handler.dies,
    "no-end": Handler.no_end,
    "garbage": Handler.garbage,
    "wrong-types": Handler.wrong_types,
    "not-http": Handler.not_http,
    "html": Handler.html,
    "packed": Handler.packed,
    "endless": Handler.endless,
    "endless-line": Handler.endless_line,
    "late-error": Handler.late_error,
    "no-usage": Handler.no_usage,
    "redirect": Handler._redirect,
}


def _hang() -> None:
    """Until the process is ended; clients are expected to give up."""
    threading.Event().wait(600)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        return  # clients hang up here all the time


class CloudDouble:
    """Start with ``with``; ``base_url`` is what to enter as the provider's."""

    def __init__(self, upstream: str = "", *, tls: Path | None = None) -> None:
        """``tls``: a folder for ``certificate.pem``, its own, for ``localhost`` and ``cloud.example``."""
        self._options = [*(["--upstream", upstream] if upstream else []), *(["--tls", str(tls)] if tls else [])]
        self._process: subprocess.Popen[str] | None = None
        self.address = ""

    def __enter__(self) -> CloudDouble:
        command = [sys.executable, "-m", "tests.cloud_double", *self._options]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent.parent)
        assert self._process.stdout is not None
        self.address = self._process.stdout.readline().strip()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        self._process.kill()
        self._process.wait(10)
        self._process.stdout.close()

    @property
    def base_url(self) -> str:
        return f"{self.address}/v1"

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    def misbehave(self, fault: str = "", reply: str = "") -> None:
        """From now on do ``fault``, or nothing wrong; ``reply`` is what it says, instead of its own words."""
        self._ask("/_misbehave", {"fault": fault, "reply": reply})

    def seen(self) -> list[Seen]:
        """Everything that reached it, in order, but for these questions."""
        return [Seen(**entry) for entry in self._ask("/_seen", None)]

    def answers_asked(self) -> list[Mapping[str, Any]]:
        """The bodies of requests for answers."""
        return [json.loads(one.body) for one in self.seen() if one.path.endswith("/chat/completions")]

    def _ask(self, path: str, fields: object) -> Any:
        data = None if fields is None else json.dumps(fields).encode()
        unverified = ssl._create_unverified_context()
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=unverified)
        )
        with opener.open(urllib.request.Request(self.address + path, data=data), timeout=10) as answer:
            return json.loads(answer.read())


def _certificate(folder: Path) -> tuple[Path, Path]:
    """One that nobody trusts, for this machine."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    names = [
        x509.DNSName("localhost"),
        x509.DNSName("cloud.example"),
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
    ]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    paths[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    return paths


def _parents_end() -> Iterator[None]:
    """Ends with whoever started it, also when that was killed."""
    parent = os.getppid()
    while os.getppid() == parent:
        time.sleep(1)
        yield


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--upstream", default="")
    parser.add_argument("--tls", type=Path)
    asked = parser.parse_args()
    Handler.upstream = asked.upstream.rstrip("/")
    server = _Server(("127.0.0.1", 0), Handler)
    scheme = "http"
    if asked.tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*_certificate(asked.tls))
        server.socket = context.wrap_socket(server.socket, server_side=True)
        scheme = "https"
    sys.stdout.write(f"{scheme}://127.0.0.1:{server.server_address[1]}\n")
    sys.stdout.flush()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for _ in _parents_end():
        pass


if __name__ == "__main__":
    main()
