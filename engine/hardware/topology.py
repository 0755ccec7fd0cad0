"""Physical cores, their hardware threads and their rank: which are worth computing on. Parsing only.

A matrix product waits for its slowest thread, so efficiency cores hurt; telling them apart is done by the first of
four tells that the system gives: its own list of core kinds, capacities, efficiency classes, highest clock rates.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_CAPACITY_SHARE: Final = 0.6
"""Big cores of one design differ by less, little ones by more (RK3588: 1024 against 530)."""
_CLOCK_SHARE: Final = 0.75
"""Favoured cores of one kind differ by a tenth or so, dense ones (Zen 4c, Zen 5c) by a third."""


@dataclass(frozen=True, slots=True)
class Core:
    """One physical core."""

    cpus: frozenset[int]
    """Numbers of its hardware threads."""
    rank: float
    """Comparable within one machine; higher is stronger."""
    rank_share: float
    """A core counts as a performance core with at least this share of the highest rank."""


def performance_cores(cores: Sequence[Core]) -> tuple[Core, ...]:
    """All cores of a uniform processor, the strong ones of a mixed one."""
    strongest = max((core.rank for core in cores), default=0.0)
    return tuple(core for core in cores if core.rank >= strongest * core.rank_share)


def read_cores(sys_folder: Path) -> tuple[Core, ...]:
    """The cores that are online, from Linux' ``/sys``; empty when it does not show them."""
    cpu_folder = sys_folder / "devices/system/cpu"
    online = parse_cpu_list(_text(cpu_folder / "online")) or _numbered(cpu_folder)
    groups: dict[frozenset[int], None] = {}
    for cpu in sorted(online):
        topology = cpu_folder / f"cpu{cpu}/topology"
        siblings = _text(topology / "core_cpus_list") or _text(topology / "thread_siblings_list")
        if siblings:
            groups.setdefault(frozenset(parse_cpu_list(siblings) & online) | {cpu})
    strong = parse_cpu_list(_text(sys_folder / "devices/cpu_core/cpus"))  # Intel's hybrids have two of these
    if strong and strong & online != online:
        return tuple(Core(cpus, 1.0 if cpus & strong else 0.0, 1.0) for cpus in groups)
    for file, share in (("cpu_capacity", _CAPACITY_SHARE), ("cpufreq/cpuinfo_max_freq", _CLOCK_SHARE)):
        ranks = {cpus: _number(cpu_folder / f"cpu{min(cpus)}" / file) for cpus in groups}
        if ranks and all(ranks.values()):
            return tuple(Core(cpus, float(rank or 0), share) for cpus, rank in ranks.items())
    return tuple(Core(cpus, 1.0, 1.0) for cpus in groups)


def parse_cpu_list(text: str) -> frozenset[int]:
    """The kernel's ``0-3,8,10-11``. Nonsense is an empty set."""
    found: set[int] = set()
    for part in text.strip().split(","):
        match = re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?", part.strip())
        if match is None:
            return frozenset()
        found.update(range(int(match[1]), int(match[2] or match[1]) + 1))
    return frozenset(found)


def parse_windows_cores(data: bytes) -> tuple[Core, ...]:
    """The buffer of ``GetLogicalProcessorInformationEx(RelationProcessorCore)``. Raises ``ValueError``.

    Source: winnt.h. Each entry: DWORD relationship, DWORD size, BYTE flags, BYTE efficiency class, 20 reserved bytes,
    WORD group count, then for each group a pointer-sized mask, WORD group number, 6 reserved bytes.
    """
    cores: list[Core] = []
    position = 0
    while position + 8 <= len(data):
        relationship, size = struct.unpack_from("<II", data, position)
        if size < 32 or position + size > len(data):
            raise ValueError("Windows describes its processor in a way that is not understood")
        if relationship == 0:
            efficiency_class, group_count = data[position + 9], struct.unpack_from("<H", data, position + 30)[0]
            cpus: set[int] = set()
            for index in range(min(group_count, (size - 32) // 16)):
                mask, group = struct.unpack_from("<QH", data, position + 32 + 16 * index)
                cpus |= {group * 64 + bit for bit in range(64) if mask >> bit & 1}
            cores.append(Core(frozenset(cpus), float(efficiency_class), 1.0))
        position += size
    if not cores:
        raise ValueError("Windows names no processor cores")
    return tuple(cores)


def _numbered(cpu_folder: Path) -> frozenset[int]:
    return frozenset(int(path.name[3:]) for path in cpu_folder.glob("cpu[0-9]*") if path.name[3:].isdigit())


def _number(path: Path) -> int | None:
    text = _text(path)
    return int(text) if text.isdigit() else None


def _text(path: Path) -> str:
    try:
        return path.read_text("ascii", "replace").strip()
    except OSError:
        return ""
