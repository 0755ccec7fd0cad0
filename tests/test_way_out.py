"""One way out: who may open connections is a short list, and whoever else tries is found, in the source and at work."""

from __future__ import annotations

import ast
import ipaddress
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.bench import gate_zero

ROOT = Path(__file__).parent.parent
LAYERS = ("app", "engine", "ui")

# fmt: off
WAYS = frozenset({
    "socket", "ssl", "http", "urllib.request", "urllib3", "ftplib", "smtplib", "poplib", "imaplib", "nntplib",
    "telnetlib", "xmlrpc", "socketserver", "httpx", "httpx2", "httpcore", "httpcore2", "requests", "aiohttp",
    "websockets", "websocket", "anyio", "trio", "h11", "h2", "pycurl", "paramiko", "grpc", "huggingface_hub",
    "hf_xet", "hf_transfer", "openai", "sentry_sdk", "posthog", "dns", "tldextract", "webbrowser",
    "PySide6.QtNetwork", "PySide6.QtNetworkAuth", "PySide6.QtWebSockets", "PySide6.QtWebEngineCore",
    "PySide6.QtWebEngineWidgets", "PySide6.QtWebView", "PySide6.QtHttpServer", "PySide6.QtBluetooth",
})
# fmt: on
"""Modules through which bytes could leave, or which ask somebody by themselves."""

MAY_IMPORT: Mapping[str, frozenset[str]] = {
    # The way out and its parts.
    "app/gate/transport.py": frozenset({"socket", "ssl", "urllib.request", "httpx2"}),
    "app/gate/hub_transport.py": frozenset({"httpx2"}),
    "app/gate/egress.py": frozenset({"ssl", "httpx2"}),
    "app/gate/passage.py": frozenset({"httpx2"}),  # for types
    # Workers on this machine.
    "app/providers/loopback.py": frozenset({"httpx2"}),
    "app/providers/local.py": frozenset({"httpx2"}),
    "app/providers/local_vectors.py": frozenset({"httpx2"}),
    "app/models/expert_counts.py": frozenset({"httpx2"}),
    "app/extraction/ask.py": frozenset({"httpx2"}),
    "app/gate/names.py": frozenset({"httpx2"}),
    "app/gate/service.py": frozenset({"httpx2"}),  # for types
    # Whose download of a list is switched off there; in a child without a network.
    "app/gate/scanner_child.py": frozenset({"tldextract"}),
    # Speak through a client that they are given.
    "app/providers/remote.py": frozenset({"httpx2", "openai"}),
    "app/providers/remote_faults.py": frozenset({"socket", "ssl"}),  # for exceptions
    "engine/hub/client.py": frozenset({"socket", "httpx2", "huggingface_hub"}),  # the socket only to end it
    "engine/hub/faults.py": frozenset({"ssl", "httpx2"}),  # for exceptions
    "engine/hub/search.py": frozenset({"huggingface_hub"}),  # for types
    # Listen.
    "app/cli/serving.py": frozenset({"socket"}),
    "engine/worker/main.py": frozenset({"socket"}),
    "engine/serving/http/server.py": frozenset({"socket"}),
    # Within this process, and between two of this person's.
    "ui/signals.py": frozenset({"socket"}),
    "ui/instance.py": frozenset({"PySide6.QtNetwork"}),
}

MAY_CALL: Mapping[str, frozenset[str]] = {
    "Client": frozenset({"app/gate/hub_transport.py"}),
    "AsyncClient": frozenset({"app/gate/egress.py", "app/providers/loopback.py"}),
    "HTTPTransport": frozenset({"app/gate/hub_transport.py"}),
    "AsyncHTTPTransport": frozenset({"app/gate/transport.py", "app/providers/loopback.py"}),
    "OpenAI": frozenset(),
    "AsyncOpenAI": frozenset({"app/providers/remote.py"}),
    "getaddrinfo": frozenset({"app/gate/transport.py"}),
    "gethostbyname": frozenset(),
    "create_connection": frozenset(),
    "open_connection": frozenset(),
    "open_unix_connection": frozenset(),
    "create_datagram_endpoint": frozenset(),
    "urlopen": frozenset(),
    "HfApi": frozenset(),
    "hf_hub_download": frozenset(),
    "snapshot_download": frozenset(),
    "InferenceClient": frozenset(),
    "QTcpSocket": frozenset(),
    "QUdpSocket": frozenset(),
    "QSslSocket": frozenset(),
    "QNetworkAccessManager": frozenset(),
    "QHostInfo": frozenset(),
    # A link that a person clicks, in their browser; a folder of theirs.
    "openUrl": frozenset({"ui/widgets/message.py", "ui/pages/documents/page.py"}),
}
"""Makers of connections, by name; in files that may not import their modules, their names do no harm."""


def breaches(name: str, source: str) -> Iterator[str]:
    """What a file does that only the way out may do."""
    tree = ast.parse(source)
    allowed = MAY_IMPORT.get(name, frozenset())
    for node in ast.walk(tree):
        for module in _imported(node):
            way = next((way for way in _beginnings(module) if way in WAYS), None)
            if way is not None and way not in allowed:
                yield f"{name}:{node.lineno} imports {module}"  # type: ignore[attr-defined]
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in MAY_CALL and name not in MAY_CALL[called] and _means_it(node, called):
                yield f"{name}:{node.lineno} calls {called}"


def _imported(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        module = node.module or ""
        yield module
        yield from (f"{module}.{alias.name}" for alias in node.names)
    elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if called in ("import_module", "__import__") and isinstance(node.args[0].value, str):
            yield node.args[0].value


def _beginnings(module: str) -> Iterator[str]:
    parts = module.split(".")
    for end in range(1, len(parts) + 1):
        yield ".".join(parts[:end])


def _means_it(node: ast.Call, called: str) -> bool:
    """``Client`` alone is a name that others may use for something else; folders may be opened by anybody."""
    if called == "openUrl":
        address = node.args[0] if node.args else None
        local = isinstance(address, ast.Call) and isinstance(address.func, ast.Attribute)
        return not (local and address.func.attr == "fromLocalFile")  # type: ignore[union-attr]
    if called != "Client":
        return True
    return isinstance(node.func, ast.Attribute) and getattr(node.func.value, "id", "") in ("httpx2", "httpx")


def test_only_the_way_out_opens_connections() -> None:
    found: list[str] = []
    for layer in LAYERS:
        for path in sorted((ROOT / layer).rglob("*.py")):
            found += breaches(path.relative_to(ROOT).as_posix(), path.read_text("utf-8"))
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "source",
    [
        "import socket",
        "import httpx2",
        "import urllib.request",
        "from urllib import request",
        "import importlib\nimportlib.import_module('requests')",
        "def late():\n    from huggingface_hub import hf_hub_download",
        "from PySide6 import QtNetwork",
        "import asyncio\nasync def f():\n    await asyncio.open_connection('a', 1)",
        "def f(address):\n    QDesktopServices.openUrl(QUrl(address))",
        "import asyncio\nasync def f(loop):\n    await loop.getaddrinfo('a', 1)",
        "async def f(loop):\n    await loop.create_connection(None, 'a', 1)",
    ],
)
def test_a_way_around_is_found(source: str) -> None:
    assert list(breaches("app/chat/service.py", source))


def test_the_lists_name_files_that_are_there_and_need_it() -> None:
    """A permission that nobody uses any more is a hole."""
    for name, ways in MAY_IMPORT.items():
        tree = ast.parse((ROOT / name).read_text("utf-8"))
        used = {way for node in ast.walk(tree) for module in _imported(node) for way in _beginnings(module)}
        assert ways <= used, f"{name} does not use {sorted(ways - used)}"


_HOOK = """
import json, os, sys, threading
_file = os.open(os.environ["GATEHOUSE_SOCKETS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
_WATCHED = {"socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo", "socket.gethostbyname",
            "socket.gethostbyaddr", "socket.getnameinfo", "socket.bind", "http.client.connect", "urllib.Request"}
_busy = threading.local()

def _hook(event, arguments):
    if event not in _WATCHED or getattr(_busy, "now", False):
        return
    _busy.now = True
    try:
        told = [repr(a) if not isinstance(a, (str, int, bytes, tuple, type(None))) else a for a in arguments]
        line = json.dumps({"pid": os.getpid(), "event": event, "arguments": told}, default=repr)
        os.write(_file, line.encode() + b"\\n")
    finally:
        _busy.now = False

sys.addaudithook(_hook)
os.write(_file, json.dumps({"pid": os.getpid(), "event": "hooked", "arguments": sys.orig_argv[1:5]}).encode() + b"\\n")
"""


def _hosts(event: str, arguments: list[object]) -> Iterator[str]:
    """The hosts in what a hook heard. A datagram that has no address goes where its socket is connected to."""
    if event in ("socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg"):
        address = arguments[-1]
        if isinstance(address, list) and address:
            yield str(address[0])
    elif arguments[0] is not None:
        yield str(arguments[0])


def _is_here(host: str) -> bool:
    if host in ("", "localhost"):
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


@pytest.fixture(scope="module")
def sockets(tmp_path_factory: pytest.TempPathFactory) -> tuple[gate_zero.Day, list[dict[str, object]]]:
    """A short day in *Local only*: its packets, and what hooks in every Python process of it heard."""
    fault = gate_zero.available()
    if fault:
        pytest.skip(fault)
    folder = tmp_path_factory.mktemp("day")
    (folder / "sitecustomize.py").write_text(_HOOK, "utf-8")
    heard = folder / "heard.jsonl"
    path = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    day = gate_zero.run_day(folder, short=True, extra={"PYTHONPATH": path, "GATEHOUSE_SOCKETS": str(heard)})
    return day, [json.loads(line) for line in heard.read_text("utf-8").splitlines()]


@pytest.mark.native
@pytest.mark.slow
def test_a_day_in_local_only_sends_no_packet_beyond_this_machine(
    sockets: tuple[gate_zero.Day, list[dict[str, object]]],
) -> None:
    day, _ = sockets
    assert not day.fault, day.fault
    assert any("port 53" in line for line in day.control), "the recorder does not see name servers being asked"
    assert any("TCP to 192.0.2.7" in line for line in day.control), "the recorder does not see connections"
    assert day.loopback > 0
    assert "be refused the cloud" in day.steps
    assert day.beyond == []


@pytest.mark.native
@pytest.mark.slow
def test_no_process_of_that_day_asks_for_a_socket_beyond_it(
    sockets: tuple[gate_zero.Day, list[dict[str, object]]],
) -> None:
    day, heard = sockets
    assert not day.fault, day.fault
    by_event: dict[str, set[object]] = {}
    for entry in heard:
        by_event.setdefault(str(entry["event"]), set()).add(entry["pid"])
    hooked = [" ".join(map(str, entry["arguments"])) for entry in heard if entry["event"] == "hooked"]  # type: ignore[call-overload]
    for child in (
        "engine.worker",
        "engine.probe",
        "engine.llama.renderer",
        "app.gate.scanner_child",
        "app.documents.child",
    ):
        assert any(child in line for line in hooked), f"{child} was not watched"
    assert by_event["socket.connect"], "nobody was heard, though the worker is asked over loopback"
    control = {"gatehouse-control.example", "192.0.2.7"}
    beyond = [
        (entry["pid"], entry["event"], host)
        for entry in heard
        if entry["event"] != "hooked"
        for host in _hosts(str(entry["event"]), entry["arguments"])  # type: ignore[arg-type]
        if not _is_here(host) and host not in control and not host.startswith("/")
    ]
    assert not beyond, beyond
    assert control <= {
        host for e in heard if e["event"] != "hooked" for host in _hosts(str(e["event"]), e["arguments"])
    }  # type: ignore[arg-type]
