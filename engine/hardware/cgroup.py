"""Limits that a control group puts on this process (Linux): CPU time and memory, versions 1 and 2.

A limit may sit at any level above us, so every level up to the mount's root is read. Files of the kernel only.
Source: kernel documentation, admin-guide/cgroup-v1 and admin-guide/cgroup-v2.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

_UNLIMITED_BYTES: Final = 1 << 60
"""Version 1 says "no limit" with a number near 2**63."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The tightest limits of all levels; ``None`` where there is none."""

    cores: float | None = None
    memory_bytes: int | None = None
    memory_headroom_bytes: int | None = None
    """The least that any level still allows, its reclaimable file cache counted as free."""


@dataclass(frozen=True, slots=True)
class _Mount:
    root: PurePosixPath
    point: str
    version: int
    controllers: frozenset[str]


def read_limits(root: Path = Path("/")) -> Limits:
    """The limits on the calling process. No files, no limits: never raises for what is absent."""
    memberships = dict(_memberships(root))
    cores: list[float] = []
    limits: list[int] = []
    headrooms: list[int] = []
    for mount in _mounts(root):
        wanted = ("",) if mount.version == 2 else tuple(mount.controllers & {"cpu", "memory"})
        for controller in wanted:
            for level in _levels(root, mount, memberships.get(controller)):
                quota = _cpu_v2(level) if mount.version == 2 else _cpu_v1(level) if controller == "cpu" else None
                if quota is not None:
                    cores.append(quota)
                memory = _memory_v2(level) if mount.version == 2 else _memory_v1(level, controller)
                if memory is not None:
                    limits.append(memory[0])
                    headrooms.append(max(0, memory[0] - memory[1]))
    return Limits(min(cores, default=None), min(limits, default=None), min(headrooms, default=None))


def _memberships(root: Path) -> Iterator[tuple[str, PurePosixPath]]:
    """Controller (empty for version 2) and our path in its hierarchy."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        for controller in controllers.split(","):
            yield controller, PurePosixPath(path or "/")


def _mounts(root: Path) -> Iterator[_Mount]:
    for line in _text(root / "proc/self/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        fields, tail = before.split(), after.split()
        if len(fields) < 5 or len(tail) < 3 or tail[0] not in ("cgroup", "cgroup2"):
            continue
        version = 2 if tail[0] == "cgroup2" else 1
        yield _Mount(PurePosixPath(fields[3]), fields[4], version, frozenset(tail[2].split(",")))


def _levels(root: Path, mount: _Mount, ours: PurePosixPath | None) -> Iterator[Path]:
    """From our own group up to the root of the mount. In a container the mount may begin below our path's root."""
    if ours is None:
        return
    relative = ours.relative_to(mount.root) if ours.is_relative_to(mount.root) else PurePosixPath()
    top = root / mount.point.lstrip("/")
    level = top / str(relative).lstrip("/")
    if ".." in relative.parts or not level.is_dir():
        level = top
    yield level
    while level != top:
        level = level.parent
        yield level


def _cpu_v2(level: Path) -> float | None:
    parts = _text(level / "cpu.max").split()
    if len(parts) != 2 or not parts[0].isdigit() or not parts[1].isdigit():
        return None
    return int(parts[0]) / int(parts[1]) if int(parts[1]) else None


def _cpu_v1(level: Path) -> float | None:
    quota, period = _number(level / "cpu.cfs_quota_us"), _number(level / "cpu.cfs_period_us")
    return quota / period if quota and period and quota > 0 else None


def _memory_v2(level: Path) -> tuple[int, int] | None:
    """Limit and what counts against it. ``memory.high`` throttles so hard that it is a limit, too."""
    stated = [_number(level / name) for name in ("memory.max", "memory.high")]
    limit = min((number for number in stated if number is not None), default=None)
    if limit is None or limit >= _UNLIMITED_BYTES:
        return None
    return limit, _used(level / "memory.current", level / "memory.stat", "inactive_file")


def _memory_v1(level: Path, controller: str) -> tuple[int, int] | None:
    if controller != "memory":
        return None
    limit = _number(level / "memory.limit_in_bytes")
    if limit is None or limit >= _UNLIMITED_BYTES:
        return None
    return limit, _used(level / "memory.usage_in_bytes", level / "memory.stat", "total_inactive_file")


def _used(usage: Path, statistics: Path, cache_name: str) -> int:
    cache = 0
    for line in _text(statistics).splitlines():
        name, _, count = line.partition(" ")
        if name == cache_name and count.strip().isdigit():
            cache = int(count)
    return max(0, (_number(usage) or 0) - cache)


def _number(path: Path) -> int | None:
    try:
        return int(_text(path).strip())
    except ValueError:
        return None


def _text(path: Path) -> str:
    """A small file of the kernel, or nothing when it is absent or closed to us."""
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""
