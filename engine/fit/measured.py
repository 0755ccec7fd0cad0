"""What really happened after a plan: bytes on each device and speeds, kept between runs, for the next plan.

Comparing is pure. The store is a file of JSON lines, appended to and now and then cut to its newest lines; a line that
cannot be read is passed over. Making use of it is ``calibration.py``'s and ``placement.py``'s.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine.fit.experience import Experience, Place, SpeedSample
from engine.fit.plan import DeviceBytes, Plan
from engine.hardware.profile import DeviceKind
from engine.records import RecordFault, from_plain, read_object, to_plain

ROUNDING_BYTES: Final = (1 << 20) // 200 + 1
"""llama.cpp's log, the only place where it says what it allocated, rounds each buffer to 0.01 MiB."""

_LINES_KEPT: Final = 512
_FILE_LIMIT_BYTES: Final = 1 << 20
_LINE_LIMIT_BYTES: Final = 32 << 10
_RECENT_LOADS: Final = 8
"""The allowance of a device is the most of its last so many loads: drivers change."""
_SAMPLES_KEPT: Final = 256


@dataclass(frozen=True, slots=True)
class Compared:
    """One kind of memory on one device: what was planned, and what llama.cpp says it took."""

    device: str
    what: str
    """``weights``, ``kv``, ``recurrent`` or ``compute`` (with the output buffer)."""
    planned_bytes: int
    real_bytes: int
    rounding_bytes: int
    """By how much ``real_bytes`` may be off, because it was read from rounded figures."""

    @property
    def difference_bytes(self) -> int:
        """Real less planned; 0 when they agree as far as the figures go."""
        difference = self.real_bytes - self.planned_bytes
        return 0 if abs(difference) <= self.rounding_bytes else difference


@dataclass(frozen=True, slots=True)
class LoadMeasured:
    """One load, held against its plan."""

    at_s: float
    """Since the epoch."""
    model: str
    """The name of its file."""
    n_ctx: int
    rows: tuple[Compared, ...]
    allowances: tuple[tuple[str, int], ...] = ()
    """(device, bytes) that went beyond what llama.cpp reports: driver context, pools, the process itself."""

    @property
    def differences(self) -> tuple[Compared, ...]:
        """The rows that are not as planned."""
        return tuple(row for row in self.rows if row.difference_bytes)


@dataclass(frozen=True, slots=True)
class SpeedMeasured:
    """One answer's speeds, beside what the plan promised."""

    at_s: float
    sample: SpeedSample
    prefill_tok_s: float | None
    decode_tok_s: float | None
    planned_prefill_tok_s: float
    """Likely, before any correction."""
    planned_decode_tok_s: float


def compare(plan: Plan, buffers: Iterable[tuple[str, str, int]]) -> tuple[Compared, ...]:
    """Hold a ready worker's ``buffers`` (name, what, bytes) against the plan, device by device.

    Weights in main memory are left out where a file is mapped beside a card: llama.cpp then names the span of the file
    that holds them, with what went to the card in between.
    """
    names = [device.name for device in plan.devices]
    found: dict[tuple[str, str], list[int]] = {}
    for buffer, what, size in buffers:
        kind = "compute" if what == "output" else what
        found.setdefault((device_of(buffer, names), kind), []).append(size)
    spans = plan.load_mode == "mmap" and len(plan.devices) > 1
    rows = []
    for device in plan.devices:
        for what, planned in _planned(device):
            if spans and device.kind is DeviceKind.CPU and what == "weights":
                continue
            sizes = found.get((device.name, what), [])
            if planned or sizes:
                rounding = ROUNDING_BYTES * max(1, len(sizes))
                rows.append(Compared(device.name, what, planned, sum(sizes), rounding))
    return tuple(rows)


def device_of(buffer: str, devices: Iterable[str]) -> str:
    """Which device holds a buffer: it is named after it (``CUDA0``, ``RPC0[host:port]``, ``MTL0_Mapped``).

    All others are main memory, also a card's pinned one (``CUDA_Host``).
    """
    for device in devices:
        if re.match(rf"{re.escape(device)}(?![0-9])(?!_Host)", buffer):
            return device
    return "CPU"


def _planned(device: DeviceBytes) -> tuple[tuple[str, int], ...]:
    return (
        ("weights", device.weights_bytes),
        ("kv", device.kv_bytes),
        ("recurrent", device.recurrent_bytes),
        ("compute", device.compute_bytes),
    )


def speed_measured(
    plan: Plan, model: str, at_s: float, *, prefill_tok_s: float | None, decode_tok_s: float | None
) -> SpeedMeasured | None:
    """One answer's speeds against the plan's raw prediction; ``None`` when the plan predicted nothing.

    ``model`` is the name of its file.
    """
    speed = plan.speed
    if speed is None:
        return None
    raw_prefill = speed.prefill_tok_s.likely / speed.prefill_factor
    raw_decode = speed.decode_tok_s.likely / speed.decode_factor
    if raw_prefill <= 0 or raw_decode <= 0:
        return None
    sample = SpeedSample(
        model=model,
        place=place_of(plan),
        decode_ratio=decode_tok_s / raw_decode if decode_tok_s else None,
        prefill_ratio=prefill_tok_s / raw_prefill if prefill_tok_s else None,
        basis=speed.basis,
    )
    return SpeedMeasured(at_s, sample, prefill_tok_s, decode_tok_s, raw_prefill, raw_decode)


def place_of(plan: Plan) -> Place:
    """Where a plan computes."""
    if plan.n_gpu_layers == 0:
        return "host"
    host = plan.devices[-1]
    whole = not plan.experts_in_ram and not host.kv_bytes and not host.recurrent_bytes
    return "card" if whole else "split"


@dataclass(frozen=True, slots=True)
class _Line:
    """One line of the file: exactly one of both."""

    load: LoadMeasured | None = None
    speed: SpeedMeasured | None = None


class Measurements:
    """The measurements of this machine. Blocking; not for several threads at once."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def note(self, measured: LoadMeasured | SpeedMeasured) -> None:
        """Keep one. A full disk or a file that cannot be written costs the measurement, nothing more."""
        line = _Line(load=measured) if isinstance(measured, LoadMeasured) else _Line(speed=measured)
        text = json.dumps(to_plain(line), separators=(",", ":")) + "\n"
        with contextlib.suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._append(text.encode())
            if self._file.stat().st_size > _FILE_LIMIT_BYTES // 2:
                self._cut()

    def loads(self) -> tuple[LoadMeasured, ...]:
        """Every load that is kept, the oldest first."""
        return tuple(line.load for line in self._read() if line.load is not None)

    def speeds(self) -> tuple[SpeedMeasured, ...]:
        """Every speed that is kept, the oldest first."""
        return tuple(line.speed for line in self._read() if line.speed is not None)

    def experience(self) -> Experience:
        """All that corrects the next plan."""
        lines = list(self._read())
        samples = [line.speed.sample for line in lines if line.speed is not None]
        recent: dict[str, list[int]] = {}
        for line in lines:
            for device, size in line.load.allowances if line.load is not None else ():
                recent.setdefault(device, []).append(size)
        allowances = tuple((device, max(sizes[-_RECENT_LOADS:])) for device, sizes in recent.items())
        return Experience(tuple(samples[-_SAMPLES_KEPT:]), allowances)

    def _append(self, line: bytes) -> None:
        descriptor = os.open(self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, line)  # one write: two processes do not mix their lines
        finally:
            os.close(descriptor)

    def _cut(self) -> None:
        lines = self._file.read_bytes().splitlines(keepends=True)[-_LINES_KEPT:]
        temporary = self._file.with_name(f".{self._file.name}-{os.getpid()}")
        try:
            temporary.write_bytes(b"".join(lines))
            temporary.replace(self._file)
        finally:
            temporary.unlink(missing_ok=True)

    def _read(self) -> Iterator[_Line]:
        """A damaged line is as good as none: what is kept here only makes plans better."""
        try:
            with self._file.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - _FILE_LIMIT_BYTES))
                lines = file.read(_FILE_LIMIT_BYTES).splitlines()
        except OSError:
            return
        for line in lines[-_LINES_KEPT:]:
            with contextlib.suppress(RecordFault):
                yield from_plain(_Line, read_object(line, _LINE_LIMIT_BYTES), "line")
