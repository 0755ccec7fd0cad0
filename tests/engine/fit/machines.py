"""Machines for tests of the planner, with as much free memory as a test says."""

from __future__ import annotations

from pathlib import Path

from engine.hardware.profile import DeviceKind, Disk, Gpu, Machine, Memory, Processor

MIB = 1024 * 1024
GIB = 1024 * MIB


def machine(
    available_bytes: int, *, total_bytes: int | None = None, gpus: tuple[Gpu, ...] = (), disks: tuple[Disk, ...] = ()
) -> Machine:
    """Four cores and that much memory."""
    processor = Processor("Test", "x86_64", 4, 4, 8, 8, None, ())
    memory = Memory(total_bytes or available_bytes, available_bytes, None)
    return Machine("Test", processor, memory, disks, gpus, None, ())


def card(free_bytes: int, *, name: str = "CUDA0", kind: DeviceKind = DeviceKind.GPU, unified: bool = False) -> Gpu:
    """A card with everything of it free."""
    return Gpu("Card", kind, name, None, free_bytes, free_bytes, unified, ("test",))


def disk(path: Path, file_system: str) -> Disk:
    """A disk that holds that folder."""
    return Disk(path, 10**12, 10**11, file_system)
