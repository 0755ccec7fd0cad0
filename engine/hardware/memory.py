"""Main memory: how much there is, and how much a model could take now. Control groups are ``cgroup``'s."""

from __future__ import annotations

import sys
from pathlib import Path

import psutil

from engine.hardware.cgroup import read_limits
from engine.hardware.profile import Memory


def read_memory(root: Path = Path("/")) -> Memory:
    """Memory as it is now. On Linux from the kernel's files below ``root``; elsewhere as the system tells it.

    Raises ``ValueError`` when the kernel's answer cannot be understood.
    """
    if sys.platform != "linux" and root == Path("/"):
        system = psutil.virtual_memory()
        return Memory(int(system.total), int(system.available), None)
    total, available = read_meminfo((root / "proc/meminfo").read_text("ascii"))
    limits = read_limits(root)
    if limits.memory_bytes is not None and limits.memory_bytes < total:
        headroom = limits.memory_headroom_bytes or 0
        return Memory(limits.memory_bytes, min(available, headroom), limits.memory_bytes)
    return Memory(total, available, None)


def read_meminfo(text: str) -> tuple[int, int]:
    """Total and available bytes in ``/proc/meminfo``. Kernels before 3.14 do not say what is available."""
    sizes: dict[str, int] = {}
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        parts = rest.split()
        if parts and parts[0].isdigit():
            sizes[name] = int(parts[0]) * 1024
    if "MemTotal" not in sizes:
        raise ValueError("/proc/meminfo does not say how much memory there is")
    guess = sum(sizes.get(name, 0) for name in ("MemFree", "Cached", "Buffers", "SReclaimable")) - sizes.get("Shmem", 0)
    return sizes["MemTotal"], min(sizes["MemTotal"], sizes.get("MemAvailable", max(0, guess)))
