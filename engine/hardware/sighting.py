"""One source's view of one graphics device. Putting the views together is ``engine.hardware.gpu``'s."""

from __future__ import annotations

import re
from dataclasses import dataclass

from engine.hardware.profile import DeviceKind


@dataclass(frozen=True, slots=True)
class Sighting:
    """What one source says about one device; 0 bytes in total means that it does not know."""

    source: str
    """``nvml``, ``sysfs``, ``apple`` or ``ggml``."""
    name: str
    """Empty when the source knows none."""
    kind: DeviceKind
    pci_id: str | None
    total_bytes: int
    free_bytes: int
    unified: bool
    backend: str | None = None
    bandwidth_bytes_s: float | None = None


@dataclass(frozen=True, slots=True)
class Sightings:
    """All that one source sees."""

    devices: tuple[Sighting, ...]
    driver: str = ""
    """Name and version of the driver, when the source knows it."""


def normal_pci_id(text: str | None) -> str | None:
    """``0000:01:00.0``, however the source writes it (NVML has eight digits in the domain); ``None`` for nonsense."""
    match = re.fullmatch(r"(?:([0-9a-f]{1,8}):)?([0-9a-f]{1,2}):([0-9a-f]{1,2})\.([0-7])", (text or "").strip().lower())
    if match is None:
        return None
    domain, bus, device = (int(part or "0", 16) for part in match.group(1, 2, 3))
    return f"{domain:04x}:{bus:02x}:{device:02x}.{match[4]}"
