"""NVIDIA's cards through NVML. Runs in the probe child: a driver in trouble can hang whoever asks it.

No CUDA context is made, so asking costs no memory on the card.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any, Final

from engine.errors import ProbeFailed
from engine.hardware.profile import DeviceKind
from engine.hardware.sighting import Sighting, Sightings, normal_pci_id

_MAX_CARDS: Final = 64


def driver_present(root: Path = Path("/")) -> bool:
    """Whether asking NVML makes sense. Looks at file names only."""
    places = ["proc/driver/nvidia/version", "dev/nvidiactl"]
    if sys.platform == "win32":
        places = ["Windows/System32/nvml.dll"]
    return any((root / place).exists() for place in places)


def list_cards(nvml: Any = None) -> Sightings:
    """All cards that NVML knows. Raises ``ProbeFailed``. ``nvml`` stands in for the library in tests."""
    nvml = nvml or importlib.import_module("pynvml")
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        raise ProbeFailed("nvml_unusable", f"NVIDIA's driver does not answer: {error}.") from error
    try:
        count = min(int(nvml.nvmlDeviceGetCount()), _MAX_CARDS)
        devices = tuple(_card(nvml, nvml.nvmlDeviceGetHandleByIndex(index)) for index in range(count))
        return Sightings(devices, f"NVIDIA {_text(nvml.nvmlSystemGetDriverVersion())}")
    except nvml.NVMLError as error:
        raise ProbeFailed("nvml_failed", f"NVIDIA's driver failed: {error}.") from error
    finally:
        nvml.nvmlShutdown()


def _card(nvml: Any, handle: Any) -> Sighting:
    memory = _memory(nvml, handle)
    return Sighting(
        source="nvml",
        name=_text(nvml.nvmlDeviceGetName(handle)),
        kind=DeviceKind.GPU if memory else DeviceKind.INTEGRATED,
        pci_id=normal_pci_id(_text(nvml.nvmlDeviceGetPciInfo(handle).busId)),
        total_bytes=memory[0] if memory else 0,
        free_bytes=memory[1] if memory else 0,
        unified=memory is None,
        bandwidth_bytes_s=_bandwidth(nvml, handle),
    )


def _memory(nvml: Any, handle: Any) -> tuple[int, int] | None:
    """Total and free; ``None`` on devices that share main memory, where NVML has no answer.

    The second form of the call keeps apart what the driver reserves; older drivers and libraries do not know it.
    """
    try:
        info = nvml.nvmlDeviceGetMemoryInfo(handle, version=nvml.nvmlMemory_v2)
    except (AttributeError, TypeError, nvml.NVMLError):
        try:
            info = nvml.nvmlDeviceGetMemoryInfo(handle)
        except nvml.NVMLError_NotSupported:
            return None
    return int(info.total), min(int(info.free), int(info.total))


def _bandwidth(nvml: Any, handle: Any) -> float | None:
    """The card's nominal bandwidth: two transfers a clock on the whole bus."""
    try:
        megahertz = nvml.nvmlDeviceGetMaxClockInfo(handle, nvml.NVML_CLOCK_MEM)
        bits = nvml.nvmlDeviceGetMemoryBusWidth(handle)
    except (AttributeError, nvml.NVMLError):
        return None
    return float(megahertz * 1e6 * 2 * bits / 8) or None


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
