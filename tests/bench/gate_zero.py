"""Zero bytes: a day of work in *Local only* in a network namespace, with every packet of it recorded.

The namespace has an interface with a default route and a neighbour that never answers, so whatever anybody in it wants
to send beyond this machine (names, connections, datagrams) becomes a packet and is seen. That the recorder sees such
packets is shown first, with a process that does ask. Linux only; the rights of the namespace are enough.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.bench.table import Row

_ROOT = Path(__file__).resolve().parents[2]
_PREFIX = ("unshare", "--net", "--map-root-user") if os.geteuid() else ("unshare", "--net")
_SETTING_UP = (
    "ip link set lo up",
    "ip link add out0 type veth peer name out1",
    "ip link set out0 addrgenmode none",
    "ip link set out1 addrgenmode none",
    "ip addr add 10.255.0.2/24 dev out0",
    "ip link set out0 up",
    "ip link set out1 up",
    "ip neigh add 10.255.0.1 lladdr 02:00:00:00:00:01 dev out0",
    "ip route add default via 10.255.0.1",
)
_SETTING_UP_V6 = (
    "ip -6 addr add fd00:255::2/64 dev out0 nodad",
    "ip -6 neigh add fd00:255::1 lladdr 02:00:00:00:00:01 dev out0",
    "ip -6 route add default via fd00:255::1",
)
_CONTROL = (
    "import socket\n"
    "try:\n    socket.getaddrinfo('gatehouse-control.example', 443)\n"
    "except OSError:\n    pass\n"
    "s = socket.socket()\n"
    "s.setblocking(False)\n"
    "s.connect_ex(('192.0.2.7', 443))\n"
)
_OWN_OF_THE_KERNEL = frozenset({130, 131, 132, 133, 134, 135, 136, 143})
"""Types of ICMPv6 by which a new interface announces itself."""
_ETH_P_ALL = 3
_DNS = frozenset({53, 853, 5353})


@dataclass(frozen=True, slots=True)
class Packet:
    """What can be said of one."""

    interface: str
    text: str
    beyond: bool
    """It would leave this machine, or asks a name server on it."""


@dataclass(slots=True)
class Seen:
    """What a recorder saw since it was last emptied."""

    loopback: int = 0
    beyond: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Day:
    """What the namespace reports."""

    control: list[str]
    """Packets of the process that did ask."""
    loopback: int
    beyond: list[str]
    steps: list[str]
    fault: str = ""


class Recorder:
    """Every packet of every interface of this namespace."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 20)
        self._socket.settimeout(0.2)
        self._guard = threading.Lock()
        self._seen = Seen()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    def take(self) -> Seen:
        """What was seen so far; forgets it."""
        with self._guard:
            seen, self._seen = self._seen, Seen()
        return seen

    def close(self) -> Seen:
        self._over.set()
        self._thread.join()
        self._socket.close()
        return self._seen

    def _run(self) -> None:
        while True:
            try:
                data, (interface, _, kind, *_rest) = self._socket.recvfrom(65_536)
            except TimeoutError:
                if self._over.is_set():
                    return
                continue
            packet = describe(interface, data)
            if packet is None or (interface == "lo" and kind == 4):  # on loopback each is seen twice
                continue
            with self._guard:
                if packet.beyond:
                    self._seen.beyond.append(packet.text)
                else:
                    self._seen.loopback += 1


def describe(interface: str, frame: bytes) -> Packet | None:
    """A packet in words; ``None`` for what the kernel itself says at a new interface, and for the far end's copy."""
    if interface == "out1" or len(frame) < 14:
        return None
    kind, body = struct.unpack("!H", frame[12:14])[0], frame[14:]
    if kind == 0x0800 and len(body) >= 20:
        protocol, rest = body[9], body[(body[0] & 15) * 4 :]
        address, local = socket.inet_ntop(socket.AF_INET, body[16:20]), body[16] == 127
    elif kind == 0x86DD and len(body) >= 40:
        protocol, rest = body[6], body[40:]
        address = socket.inet_ntop(socket.AF_INET6, body[24:40])
        local = address == "::1"
        if protocol in (0, 58) and (protocol == 0 or (rest and rest[0] in _OWN_OF_THE_KERNEL)):
            return None
    else:
        return Packet(interface, f"{interface}: ether type {kind:#06x}", interface != "lo")
    port = struct.unpack("!H", rest[2:4])[0] if protocol in (6, 17) and len(rest) >= 4 else 0
    name = {6: "TCP", 17: "UDP"}.get(protocol, f"protocol {protocol}")
    beyond = interface != "lo" or not local or port in _DNS
    return Packet(interface, f"{interface}: {name} to {address} port {port}", beyond)


def available() -> str:
    """Why this cannot be measured here; empty when it can."""
    if sys.platform != "linux":
        return "network namespaces are Linux's"
    command = [*_PREFIX, "sh", "-c", " && ".join(_SETTING_UP)]
    try:
        tried = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except OSError as error:
        return f"unshare cannot be run: {error}"
    return tried.stderr.strip()[-200:] if tried.returncode else ""


def run_day(folder: Path, *, short: bool, extra: dict[str, str] | None = None, timeout_s: float = 900.0) -> Day:
    """The day in a namespace of its own. ``extra``: environment of the product's processes."""
    command = [*_PREFIX, sys.executable, "-m", "tests.bench.gate_zero", "--inside", str(folder)]
    if short:
        command.append("--short")
    environment = {**os.environ, "GATEHOUSE_NO_KEYRING": "1", **(extra or {})}
    # Telemetry would be ours to switch off, not the person's.
    for name in ("DO_NOT_TRACK", "HF_HUB_OFFLINE", "HF_HUB_DISABLE_TELEMETRY", "HTTP_PROXY", "HTTPS_PROXY"):
        environment.pop(name, None)
        environment.pop(name.lower(), None)
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=timeout_s, check=False, cwd=_ROOT, env=environment
    )
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        raise RuntimeError(f"the day ended with {done.returncode}: {done.stderr[-3000:]}")
    return Day(**json.loads(lines[-1]))


def _inside(folder: Path, *, short: bool) -> Day:
    for line in _SETTING_UP:
        subprocess.run(line.split(), check=True)
    for line in _SETTING_UP_V6:  # a kernel without IPv6 sends none
        subprocess.run(line.split(), check=False, stderr=subprocess.DEVNULL)
    recorder = Recorder()
    subprocess.run([sys.executable, "-c", _CONTROL], check=True, timeout=60)
    threading.Event().wait(0.5)
    control = recorder.take().beyond
    steps: list[str] = []
    fault = ""
    for part, code in (("morning", 9), ("afternoon", 0)):
        command = [sys.executable, "-m", "tests.bench.gate_day", part, str(folder), *(["--short"] if short else [])]
        done = subprocess.run(command, capture_output=True, text=True, timeout=800, check=False, cwd=_ROOT)
        steps += done.stdout.splitlines()
        if done.returncode != code:
            fault = f"{part} ended with {done.returncode}: {done.stderr[-3000:]}"
            break
    if not short and not fault:
        fault = _window_and_commands(folder, steps)
    threading.Event().wait(0.5)
    seen = recorder.close()
    return Day(sorted(set(control)), seen.loopback, seen.beyond, steps, fault)


def _window_and_commands(folder: Path, steps: list[str]) -> str:
    """The window as a person drives it, and commands; returns what went wrong."""
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    pilot = subprocess.Popen(
        [sys.executable, "-m", "tests.e2e.pilot", str(folder / "window")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=_ROOT, env=environment,
    )  # fmt: skip
    assert pilot.stdin is not None
    assert pilot.stdout is not None
    orders = {"window": "start", "ready": "say What is the capital of France?", "finished": "quit"}
    for line in pilot.stdout:
        event = json.loads(line)["event"]
        order = orders.pop(event, None)
        if order is not None:
            steps.append(f"window: {order.partition(' ')[0]}")
            pilot.stdin.write(order + "\n")
            pilot.stdin.flush()
    if pilot.wait(120) or orders:
        return f"the window ended with {pilot.returncode} before {', '.join(orders)}"
    gatehouse = [sys.executable, "-m", "app", "--data-dir", str(folder / "data")]
    for arguments in (["doctor"], ["models"], ["fit"], ["chat", "Good day"], ["ledger", "verify"], ["ledger"]):
        done = subprocess.run(
            [*gatehouse, *arguments], capture_output=True, text=True, timeout=300, check=False, cwd=_ROOT
        )
        steps.append(f"gatehouse {arguments[0]}")
        if done.returncode:
            return f"gatehouse {' '.join(arguments)}: {done.stderr[-500:]}"
    return "" if "0 bytes left this machine." in done.stdout else "the ledger does not say that nothing left"


def measure() -> list[Row]:
    """One row. Raises ``RuntimeError`` where it cannot be measured, or when the day could not be worked through."""
    fault = available()
    if fault:
        raise RuntimeError(fault)
    with tempfile.TemporaryDirectory(prefix="gatehouse-zero-") as name:
        day = run_day(Path(name), short=False)
    if day.fault or not day.control:
        raise RuntimeError(day.fault or "the recorder does not see what it should")
    for line in day.beyond:
        sys.stderr.write(f"left: {line}\n")
    note = (
        f"{len(day.steps)} steps (chat, documents, models, search, crashes, restart, window, commands) in a network"
        f" namespace with a route out, all packets recorded, DNS included; {day.loopback:,} over loopback; a process"
        f" that does ask shows as {len(day.control)} kinds of packet"
    )
    goal = "0"
    return [Row("Packets beyond this machine", float(len(day.beyond)), "", None, goal, not day.beyond, note)]


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--inside", type=Path)
    parser.add_argument("--short", action="store_true")
    asked = parser.parse_args(arguments)
    if asked.inside is not None:
        sys.stdout.write(json.dumps(asdict(_inside(asked.inside, short=asked.short))) + "\n")
        return 0
    for row in measure():
        sys.stdout.write(f"{row}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
