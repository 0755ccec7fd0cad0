"""A hub on loopback: speaks the parts of the hub's HTTP API that the product uses, and misbehaves on request.

Two servers, as with the real one: the hub describes repositories and redirects to a second origin that gives out bytes.
"""

from __future__ import annotations

import hashlib
import json
import re
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from urllib.parse import parse_qs, unquote, urlsplit

from tests.hub_misdeeds import Cut, Fault, Flip, Gate, Length, Loop, Page, Stall, Status, Total, Where, Whole

__all__ = [
    "COMMIT",
    "GOOD_TOKEN",
    "Cut",
    "Fault",
    "Flip",
    "Gate",
    "HubDouble",
    "HubFile",
    "HubRepo",
    "Length",
    "Loop",
    "Page",
    "Stall",
    "Status",
    "Total",
    "Where",
    "Whole",
]

GOOD_TOKEN = "hf_good"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
_BLOCK = 16_384


@dataclass(frozen=True)
class Seen:
    """A request as it came in."""

    where: Where
    path: str
    query: Mapping[str, list[str]]
    range: str | None
    token: str | None


@dataclass
class HubFile:
    """A file; large ones lie on the disk."""

    content: bytes | Path
    lfs: bool = True
    sha256: str = ""

    def __post_init__(self) -> None:
        if not self.sha256 and isinstance(self.content, bytes):
            self.sha256 = hashlib.sha256(self.content).hexdigest()

    @property
    def size(self) -> int:
        return len(self.content) if isinstance(self.content, bytes) else self.content.stat().st_size

    def blocks(self, start: int, end: int) -> Iterator[bytes]:
        if isinstance(self.content, bytes):
            for at in range(start, end, _BLOCK):
                yield self.content[at : min(at + _BLOCK, end)]
            return
        with self.content.open("rb") as file:
            file.seek(start)
            while start < end and (block := file.read(min(_BLOCK, end - start))):
                start += len(block)
                yield block


@dataclass
class HubRepo:
    id: str
    files: dict[str, HubFile]
    commit: str = COMMIT
    gated: bool = False
    private: bool = False
    licence: str = "apache-2.0"
    tags: tuple[str, ...] = ("gguf",)
    downloads: int = 0
    pipeline_tag: str = "text-generation"
    gguf: Mapping[str, object] | None = None
    """What the hub itself read from a file's header."""
    names_hashes: bool = True
    """Whether the description gives hashes."""
    links_hashes: bool = True
    """Whether the redirect gives hashes."""
    also_commits: tuple[str, ...] = ()
    """Older commits that still answer (with the files of now: a mirror that lies)."""


@dataclass
class _Misdeed:
    pattern: re.Pattern[str]
    where: Where
    faults: list[Fault]
    forever: bool


class HubDouble:
    """Start with ``with``; ``address`` is what to give as the hub's endpoint."""

    def __init__(self) -> None:
        self.repos: dict[str, HubRepo] = {}
        self.seen: list[Seen] = []
        self.closing = threading.Event()
        self._misdeeds: list[_Misdeed] = []
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._servers = [self._server("hub"), self._server("bytes")]
        self._threads = [
            threading.Thread(target=server.serve_forever, args=(0.02,), name="hub double") for server in self._servers
        ]
        self.address, self.bytes_address = (f"http://127.0.0.1:{server.server_address[1]}" for server in self._servers)

    def __enter__(self) -> HubDouble:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closing.set()
        with self._lock:
            for found in self._sockets:
                _shut(found)
        for server, thread in zip(self._servers, self._threads, strict=True):
            server.shutdown()
            thread.join()
            server.server_close()

    def add(self, repo: str, files: Mapping[str, bytes | Path | HubFile], **facts: object) -> HubRepo:
        made = {n: c if isinstance(c, HubFile) else HubFile(c, lfs=n.endswith(".gguf")) for n, c in files.items()}
        self.repos[repo] = HubRepo(repo, made, **facts)  # type: ignore[arg-type]
        return self.repos[repo]

    def misbehave(self, *faults: Fault, path: str = "", where: Where = "bytes", forever: bool = False) -> None:
        """Do these to the next requests whose path matches, one each in turn; ``forever`` repeats the last."""
        with self._lock:
            self._misdeeds.append(_Misdeed(re.compile(path), where, list(faults), forever))

    def behave(self) -> None:
        with self._lock:
            self._misdeeds.clear()

    def ranges(self, name: str = "") -> list[str | None]:
        """The ranges asked for, of files whose path holds ``name``."""
        with self._lock:
            return [seen.range for seen in self.seen if seen.where == "bytes" and name in seen.path]

    def note(self, seen: Seen) -> Fault | None:
        with self._lock:
            self.seen.append(seen)
            for misdeed in self._misdeeds:
                if misdeed.where == seen.where and misdeed.faults and misdeed.pattern.search(seen.path):
                    last = misdeed.forever and len(misdeed.faults) == 1
                    return misdeed.faults[0] if last else misdeed.faults.pop(0)
        return None

    def _server(self, where: Where) -> ThreadingHTTPServer:
        hub = self

        class Handler(_Handler):
            double = hub
            place = where

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = False
        return server

    def track(self, found: socket.socket, *, here: bool) -> None:
        with self._lock:
            (self._sockets.add if here else self._sockets.discard)(found)
            if here and self.closing.is_set():
                _shut(found)


def _shut(found: socket.socket) -> None:
    try:
        found.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


class _Over(Exception):
    """The connection is to be dropped."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 65_536
    double: HubDouble
    place: Where

    def setup(self) -> None:
        super().setup()
        self.double.track(self.request, here=True)

    def finish(self) -> None:
        self.double.track(self.request, here=False)
        try:
            super().finish()
        except OSError:
            return

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        return

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except (_Over, OSError):
            self.close_connection = True

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        path, query = unquote(parts.path), parse_qs(parts.query)
        where: Where = "api" if path.startswith("/api/") else self.place
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ") or None
        fault = self.double.note(Seen(where, path, query, self.headers.get("Range"), token))
        if isinstance(fault, Status):
            self._send_status(fault)
        elif isinstance(fault, Loop):
            self._send(302, {"Location": self.path}, b"")
        elif isinstance(fault, Page):
            self._send(200, {"Content-Type": "text/html"}, b"<html><body>Welcome to our hotel</body></html>")
        elif where == "api":
            self._describe(path, query, token, fault)
        elif where == "hub":
            self._redirect(path, token)
        else:
            self._give(path, fault)

    def _describe(self, path: str, query: Mapping[str, list[str]], token: str | None, fault: Fault | None) -> None:
        if path == "/api/models":
            body = json.dumps(self._search(query)).encode()
        else:
            match = re.match(r"^/api/models/([^/]+/[^/]+)(?:/(revision|tree)/([^/]+))?$", path)
            repo = self._allowed(match[1] if match else "", token)
            if repo is None or match is None:
                return
            if match[3] not in (None, "main", repo.commit, *repo.also_commits):
                self._send_status(Status(404, error_code="RevisionNotFound"))
                return
            described = _tree(repo) if match[2] == "tree" else _description(repo)
            body = json.dumps(described).encode()
        self._send(200, {"Content-Type": "application/json"}, body, fault)

    def _search(self, query: Mapping[str, list[str]]) -> list[dict[str, object]]:
        word = query.get("search", [""])[0].lower()
        wanted = set(query.get("filter", []))
        author = query.get("author", [""])[0]
        found = [
            repo
            for repo in self.double.repos.values()
            if word in repo.id.lower() and wanted <= set(repo.tags) and repo.id.startswith(author)
        ]
        if query.get("sort") == ["downloads"]:
            found.sort(key=lambda repo: -repo.downloads)
        limit = int(query.get("limit", ["1000"])[0])
        return [_description(repo) for repo in found[:limit]]

    def _allowed(self, repo_id: str, token: str | None) -> HubRepo | None:
        """The repository, or ``None`` after a refusal was sent."""
        repo = self.double.repos.get(repo_id)
        if token not in (None, GOOD_TOKEN):
            self._send_status(Status(401))
        elif repo is None or (repo.private and token is None):
            # Whether it does not exist is not told to strangers.
            self._send_status(Status(401 if token is None else 404, error_code="RepoNotFound"))
        else:
            return repo
        return None

    def _redirect(self, path: str, token: str | None) -> None:
        match = re.match(r"^/([^/]+/[^/]+)/resolve/([^/]+)/(.+)$", path)
        repo = self._allowed(match[1] if match else "", token)
        if repo is None or match is None:
            return
        if repo.gated and token is None:
            self._send_status(Status(401, error_code="GatedRepo"))
            return
        file = repo.files.get(match[3])
        if file is None:
            self._send_status(Status(404, error_code="EntryNotFound"))
            return
        headers = {"X-Repo-Commit": repo.commit, "Location": f"{self.double.bytes_address}/{repo.id}/{match[3]}"}
        if repo.links_hashes:
            headers |= {"X-Linked-ETag": f'"{file.sha256}"', "X-Linked-Size": str(file.size)}
        self._send(302, headers, b"")

    def _give(self, path: str, fault: Fault | None) -> None:
        owner, name, inner = path.lstrip("/").split("/", 2)
        file = self.double.repos[f"{owner}/{name}"].files[inner]
        wish = re.match(r"^bytes=(\d+)-(\d*)$", self.headers.get("Range") or "")
        if wish is None or isinstance(fault, Whole):
            self._send_file(200, file, 0, file.size, {}, fault)
            return
        start, end = int(wish[1]), min(int(wish[2] or file.size - 1) + 1, file.size)
        if start >= end:
            self._send(416, {"Content-Range": f"bytes */{file.size}"}, b"")
            return
        total = fault.bytes if isinstance(fault, Total) else file.size
        self._send_file(206, file, start, end, {"Content-Range": f"bytes {start}-{end - 1}/{total}"}, fault)

    def _send_file(
        self, status: int, file: HubFile, start: int, end: int, headers: dict[str, str], fault: Fault | None
    ) -> None:
        self.send_response(status)
        for key, value in (headers | {"ETag": '"made-up"', "Accept-Ranges": "bytes"}).items():
            self.send_header(key, value)
        claimed = end - start + (fault.off_by if isinstance(fault, Length) else 0)
        self.send_header("Content-Length", str(claimed))
        self.end_headers()
        if self.command == "GET":
            self._send_body(file.blocks(start, end), start, fault)
        if isinstance(fault, Length):
            raise _Over

    def _send_body(self, blocks: Iterator[bytes], start: int, fault: Fault | None) -> None:
        sent = 0
        for whole in blocks:
            block = whole
            if isinstance(fault, Flip) and 0 <= fault.at - start - sent < len(block):
                at = fault.at - start - sent
                block = block[:at] + bytes([block[at] ^ 0xFF]) + block[at + 1 :]
            if isinstance(fault, Cut | Stall | Gate) and sent + len(block) >= fault.after_bytes:
                self.wfile.write(block[: fault.after_bytes - sent])
                self.wfile.flush()
                self._hold(fault)
                block = block[fault.after_bytes - sent :]
                sent += len(whole) - len(block)
                fault = None
            self.wfile.write(block)
            sent += len(block)

    def _hold(self, fault: Cut | Stall | Gate) -> None:
        if isinstance(fault, Cut):
            raise _Over
        self.connection.settimeout(0.05)
        if isinstance(fault, Stall):
            _wait(lambda: self.double.closing.is_set() or self._is_gone())
            raise _Over
        fault.reached.set()
        _wait(lambda: fault.opened.is_set() or self.double.closing.is_set() or self._is_gone())
        self.connection.settimeout(None)

    def _is_gone(self) -> bool:
        try:
            return self.connection.recv(1, socket.MSG_PEEK) == b""
        except TimeoutError:
            return False
        except OSError:
            return True

    def _send_status(self, fault: Status) -> None:
        headers = {"X-Error-Code": fault.error_code} if fault.error_code else {}
        if fault.retry_after is not None:
            headers["Retry-After"] = fault.retry_after
        self._send(fault.code, headers, b"{}")

    def _send(self, status: int, headers: Mapping[str, str], body: bytes, fault: Fault | None = None) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self._send_body(iter((body,)), 0, fault)


def _wait(condition: Callable[[], bool]) -> None:
    while not condition():
        pass  # the condition itself waits in a read with a time limit


def _description(repo: HubRepo) -> dict[str, object]:
    return {
        "id": repo.id,
        "modelId": repo.id,
        "author": repo.id.split("/")[0],
        "sha": repo.commit,
        "private": repo.private,
        "gated": "auto" if repo.gated else False,
        "downloads": repo.downloads,
        "likes": repo.downloads // 100,
        "lastModified": "2026-05-01T12:00:00.000Z",
        "pipeline_tag": repo.pipeline_tag,
        "tags": [*repo.tags, f"license:{repo.licence}"],
        **({"gguf": dict(repo.gguf)} if repo.gguf else {}),
        "siblings": [_sibling(name, file, repo.names_hashes) for name, file in repo.files.items()],
    }


def _sibling(name: str, file: HubFile, names_hash: bool) -> dict[str, object]:
    sibling: dict[str, object] = {"rfilename": name, "blobId": file.sha256[:40], "size": file.size}
    if file.lfs and names_hash:
        sibling["lfs"] = {"sha256": file.sha256, "size": file.size, "pointerSize": 135}
    return sibling


def _tree(repo: HubRepo) -> list[dict[str, object]]:
    return [
        {
            "type": "file",
            "path": name,
            "oid": file.sha256[:40],
            "size": file.size,
            **({"lfs": {"oid": file.sha256, "size": file.size, "pointerSize": 135}} if file.lfs else {}),
        }
        for name, file in repo.files.items()
    ]
