"""Graphics cards in Linux' ``/sys/class/drm``: AMD's with their memory, others by name.

Reading a card's files can wake it, or hang with it, so this runs in the probe child.
Source: Linux, drivers/gpu/drm/amd (mem_info_*, gpu_metrics), drivers/gpu/drm/xe; pci.ids for the vendors.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import Final

from engine.hardware.profile import DeviceKind
from engine.hardware.sighting import Sighting, Sightings, normal_pci_id

_AMD, _INTEL, _NVIDIA = 0x1002, 0x8086, 0x10DE
_VENDORS: Final = {_AMD: "AMD", _INTEL: "Intel", _NVIDIA: "NVIDIA"}
"""Display adapters of other vendors (virtual machines, remote consoles) cannot compute."""
_APU_METRICS: Final = (2, 3)
"""Format revisions of gpu_metrics that only processors with graphics use."""
_SMALL_CARVE_OUT_BYTES: Final = 2 << 30


def has_cards(root: Path = Path("/")) -> bool:
    """Whether there is anything to ask. Looks at names only."""
    return any((root / "sys/class/drm").glob("card[0-9]*/device"))


def list_cards(root: Path = Path("/")) -> Sightings:
    """All cards that could compute, in the kernel's order."""
    cards = [path for path in (root / "sys/class/drm").glob("card[0-9]*") if re.fullmatch(r"card\d+", path.name)]
    cards.sort(key=lambda path: int(path.name[4:]))
    found = (_card(path / "device", root) for path in cards)
    return Sightings(tuple(sighting for sighting in found if sighting is not None))


def _card(device: Path, root: Path) -> Sighting | None:
    vendor = _hex(device / "vendor")
    if vendor is None or vendor not in _VENDORS:
        return None
    pci_id = normal_pci_id(_uevent(device, "PCI_SLOT_NAME") or device.resolve().name)
    if vendor == _AMD:
        return _amd(device, root, pci_id)
    integrated = vendor == _INTEL and (pci_id or "").endswith(":00:02.0")
    kind = DeviceKind.INTEGRATED if integrated else DeviceKind.GPU
    total = _number(device / "tile0/physical_vram_size_bytes") or 0  # Intel's xe driver; it does not say what is free
    name = f"{_VENDORS[vendor]} graphics {_hex(device / 'device') or 0:04x}"
    return Sighting("sysfs", name, kind, pci_id, total, total, integrated)


def _amd(device: Path, root: Path, pci_id: str | None) -> Sighting:
    video, video_used = (_number(device / f"mem_info_vram_{name}") or 0 for name in ("total", "used"))
    shared, shared_used = (_number(device / f"mem_info_gtt_{name}") or 0 for name in ("total", "used"))
    unified = _is_apu(device, video, shared)
    free = max(0, video - video_used)
    if unified:  # the carve-out and the share of main memory are one pool to llama.cpp
        free += max(0, shared - shared_used)
    return Sighting(
        source="sysfs",
        name=_amd_name(device, root),
        kind=DeviceKind.INTEGRATED if unified else DeviceKind.GPU,
        pci_id=pci_id,
        total_bytes=video + shared if unified else video,
        free_bytes=free,
        unified=unified,
    )


def _is_apu(device: Path, video: int, shared: int) -> bool:
    """By the form of its metrics; without them (old kernels) by a small carve-out beside a larger share."""
    try:
        with (device / "gpu_metrics").open("rb") as file:
            head = file.read(4)
    except OSError:
        head = b""
    if len(head) == 4:
        _size, form, _content = struct.unpack("<HBB", head)
        return form in _APU_METRICS
    return video <= _SMALL_CARVE_OUT_BYTES and shared > video


def _amd_name(device: Path, root: Path) -> str:
    """The marketing name: the card's own, else the one libdrm lists for its number and revision."""
    own = _text(device / "product_name")
    if own:
        return own
    number, revision = _hex(device / "device") or 0, _hex(device / "revision") or 0
    for line in _text(root / "usr/share/libdrm/amdgpu.ids").splitlines():
        parts = [part.strip() for part in line.split(",", 2)]
        if len(parts) == 3 and parts[0].lower() == f"{number:04x}" and parts[1].lower() == f"{revision:02x}":
            return parts[2]
    return f"AMD graphics {number:04x}"


def _uevent(device: Path, name: str) -> str:
    for line in _text(device / "uevent").splitlines():
        key, _, value = line.partition("=")
        if key == name:
            return value
    return ""


def _hex(path: Path) -> int | None:
    try:
        return int(_text(path), 16)
    except ValueError:
        return None


def _number(path: Path) -> int | None:
    try:
        return int(_text(path))
    except ValueError:
        return None


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace").strip()
    except OSError:
        return ""
