"""What a loaded model takes beyond the buffers that llama.cpp reports: a driver's context and pools, and the process.

The next plan leaves room for it; keeping it is ``engine.fit.measured``'s.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine.fit.measured import device_of
from engine.fit.plan import Plan
from engine.hardware.profile import DeviceKind

_KIB: Final = 1024
_TOUCHED: Final = frozenset({"weights", "kv", "recurrent"})
"""Kinds of buffers that are written whole while a model is loaded; the others fill when they are used."""


@dataclass(frozen=True, slots=True)
class Resident:
    """This process's pages in main memory."""

    anonymous_bytes: int
    file_bytes: int
    """Of mapped files but the model's: libraries, mostly."""


def beyond_reported(
    plan: Plan,
    buffers: Iterable[tuple[str, str, int]],
    before: Mapping[str, int],
    after: Mapping[str, int],
    resident: Resident | None,
) -> tuple[tuple[str, int], ...]:
    """(device, bytes) for each device that could be measured; ``before`` and ``after`` are its free bytes.

    Other programs also take and give back memory in the meantime, so a single measurement is only roughly right.
    """
    names = [device.name for device in plan.devices]
    reported = dict.fromkeys(names, 0)
    on_heap = 0
    for buffer, what, size in buffers:
        owner = device_of(buffer, names)
        reported[owner] = reported.get(owner, 0) + size
        if owner == "CPU" and what in _TOUCHED and not buffer.endswith("_Mapped"):
            on_heap += size
    found = []
    for device in plan.devices:
        taken = before.get(device.name, 0) - after.get(device.name, 0)
        if device.kind is not DeviceKind.CPU and taken > 0:
            found.append((device.name, max(0, taken - reported[device.name])))
    if resident is not None:
        found.append(("CPU", max(0, resident.anonymous_bytes - on_heap) + resident.file_bytes))
    return tuple(found)


def read_resident(model: Path, process: Path = Path("/proc/self")) -> Resident | None:
    """Pages of this process but those of the mapped model file; ``None`` where the system does not tell them apart."""
    if sys.platform != "linux":
        return None
    try:
        status = _fields((process / "status").read_text("ascii", "replace"))
        anonymous, files = status["RssAnon"], status["RssFile"]
        mapped = _resident_of(str(model), (process / "smaps").read_text("utf-8", "replace"))
    except (OSError, KeyError, ValueError):
        return None
    return Resident(anonymous, max(0, files - mapped))


def _fields(text: str) -> dict[str, int]:
    rows = (line.split() for line in text.splitlines() if line.startswith("Rss"))
    return {row[0].rstrip(":"): int(row[1]) * _KIB for row in rows if len(row) > 1}


def _resident_of(path: str, smaps: str) -> int:
    """Of one file, in ``/proc/PID/smaps``: a line that ends with its path begins each of its mappings."""
    total = 0
    inside = False
    for line in smaps.splitlines():
        if not line[:1].isupper():
            inside = line.endswith(path)
        elif inside and line.startswith("Rss:"):
            total += int(line.split()[1]) * _KIB
    return total
