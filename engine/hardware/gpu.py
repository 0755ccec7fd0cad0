"""Graphics devices: what every source sees, put together by PCI address.

Each source is wrong in its own way (ggml's HIP back-end does not see other programs, Vulkan may call everything free,
Metal counts only its own process), so of several answers the smaller one counts. Sources are asked in ``detect``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from engine.hardware.profile import DeviceKind, Gpu, Memory
from engine.hardware.sighting import Sighting, Sightings, normal_pci_id
from engine.probe.records import GgmlDevice

_COMPUTES: Final = (DeviceKind.GPU, DeviceKind.INTEGRATED)
_BACKEND_ORDER: Final = ("cuda", "rocm", "hip", "musa", "mtl", "sycl", "cann", "vulkan", "opencl")
"""One card may be offered by several back-ends; the native one is faster."""


def from_ggml(devices: Iterable[GgmlDevice]) -> Sightings:
    """The devices with memory of their own that the installed llama.cpp offers."""
    return Sightings(
        tuple(
            Sighting(
                source="ggml",
                name=device.description,
                kind=device.kind,
                pci_id=normal_pci_id(device.pci_id),
                total_bytes=device.total_bytes,
                free_bytes=min(device.free_bytes, device.total_bytes),
                unified=device.kind is DeviceKind.INTEGRATED or _is_metal(device.name),
                backend=device.name,
            )
            for device in devices
            if device.kind in _COMPUTES
        )
    )


def from_macos(values: dict[str, str], memory: Memory) -> Sightings:
    """Apple silicon from its ``sysctl`` values: one device that shares main memory.

    Source: Metal lets a process wire about three quarters of memory unless ``iogpu.wired_limit_mb`` says otherwise;
    what Metal itself recommends comes from ggml and is smaller or equal.
    """
    if values.get("hw.optional.arm64") != "1":
        return Sightings(())
    limit_mb = int(values.get("iogpu.wired_limit_mb", "0") or 0)
    total = limit_mb << 20 if limit_mb else memory.total_bytes * 3 // 4
    name = values.get("machdep.cpu.brand_string", "Apple") + " GPU"
    free = min(total, memory.available_bytes)
    return Sightings((Sighting("apple", name, DeviceKind.INTEGRATED, None, total, free, True),))


def merge(sightings: Sequence[Sighting], memory: Memory) -> tuple[Gpu, ...]:
    """One ``Gpu`` for each device, in the order of first sight."""
    groups: list[list[Sighting]] = []
    for sighting in sightings:
        group = next((known for known in groups if _same(known, sighting)), None)
        if group is None:
            groups.append([sighting])
        else:
            group.append(sighting)
    return tuple(_put_together(group, memory) for group in groups)


def _same(group: Sequence[Sighting], other: Sighting) -> bool:
    for known in group:
        if known.pci_id is not None and other.pci_id is not None:
            if known.pci_id == other.pci_id:
                return True
        elif known.source != other.source and _is_metal(other.backend) and known.source == "apple":
            return True
    return False


def _put_together(group: Sequence[Sighting], memory: Memory) -> Gpu:
    totals = [sighting.total_bytes for sighting in group if sighting.total_bytes > 0]
    unified = any(sighting.unified for sighting in group)
    total = min(totals, default=0)
    free = min((sighting.free_bytes for sighting in group if sighting.total_bytes > 0), default=0)
    offered = sorted((s.backend for s in group if s.backend is not None), key=_backend_rank)
    named = sorted(group, key=lambda sighting: ("nvml", "apple", "ggml", "sysfs").index(sighting.source))
    return Gpu(
        name=next((sighting.name for sighting in named if sighting.name), "Unknown graphics device"),
        kind=DeviceKind.INTEGRATED if unified else group[0].kind,
        backend=offered[0] if offered else None,
        pci_id=next((sighting.pci_id for sighting in group if sighting.pci_id), None),
        total_bytes=total,
        free_bytes=min(free, total, memory.available_bytes) if unified else min(free, total),
        unified=unified,
        sources=tuple(dict.fromkeys(sighting.source for sighting in group)),
        bandwidth_bytes_s=next((s.bandwidth_bytes_s for s in group if s.bandwidth_bytes_s is not None), None),
    )


def _backend_rank(name: str) -> int:
    lowered = name.lower()
    return next((rank for rank, prefix in enumerate(_BACKEND_ORDER) if lowered.startswith(prefix)), len(_BACKEND_ORDER))


def _is_metal(name: str | None) -> bool:
    return name is not None and name.lower().startswith(("mtl", "metal"))
