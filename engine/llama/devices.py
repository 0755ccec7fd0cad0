"""ggml's devices as frozen records. Runs in a probe or a worker; the app asks ``engine.probe.client`` instead."""

from __future__ import annotations

from collections.abc import Collection

from engine.hardware.memory import read_memory
from engine.hardware.profile import DeviceKind
from engine.llama import bindings
from engine.probe.records import GgmlDevice

_KINDS = {0: DeviceKind.CPU, 1: DeviceKind.GPU, 2: DeviceKind.INTEGRATED, 3: DeviceKind.ACCELERATOR}
"""Source: ``enum ggml_backend_dev_type`` in ggml-backend.h."""


def list_devices() -> tuple[GgmlDevice, ...]:
    """Every device the installed build can use, in ggml's order. Creates contexts on the cards; use a child."""
    return tuple(_describe(pointer) for pointer in bindings.device_pointers())


def free_bytes(names: Collection[str]) -> tuple[tuple[str, int], ...]:
    """(name, bytes) free now of those devices and of main memory."""
    found = [(device.name, device.free_bytes) for device in list_devices() if device.kind is not DeviceKind.CPU]
    return (*(each for each in found if each[0] in names), ("CPU", read_memory().available_bytes))


def buffer_owners() -> dict[str, str]:
    """The device's name for the name of its buffers. They differ for RPC servers, which all call theirs ``RPC0[…]``."""
    return {
        bindings.buffer_type_name(bindings.device_buffer_type(pointer)): _text(bindings.device_properties(pointer).name)
        for pointer in bindings.device_pointers()
    }


def _describe(pointer: int) -> GgmlDevice:
    properties = bindings.device_properties(pointer)
    total = int(properties.memory_total)
    # Vulkan subtracts usage from budget without a sign; more free than there is means that it went below zero.
    free = int(properties.memory_free) if properties.memory_free <= total else 0
    return GgmlDevice(
        name=_text(properties.name),
        description=_text(properties.description),
        kind=_KINDS.get(properties.type, DeviceKind.ACCELERATOR),
        total_bytes=total,
        free_bytes=free,
        pci_id=_text(properties.device_id) or None,
        backend=bindings.device_backend_name(pointer),
    )


def _text(raw: bytes | None) -> str:
    return (raw or b"").decode("utf-8", "replace")
