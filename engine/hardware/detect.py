"""Asks every probe once and puts the answers into one ``Machine``. Blocking: call it from a thread that may wait.

No probe can make this raise, and none can hold it up for longer than its own limit.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine.hardware import drm, gpu, nvidia
from engine.hardware.attempt import ask_child, attempt
from engine.hardware.bandwidth import known_bandwidth, measured_bandwidth
from engine.hardware.disks import read_disk
from engine.hardware.kernels import known_kernels, measured_kernels
from engine.hardware.memory import read_memory
from engine.hardware.processor import fallback_processor, read_processor
from engine.hardware.profile import Disk, Gpu, Kernels, Machine, Memory, ProbeNote, Processor
from engine.hardware.sighting import Sighting, Sightings
from engine.hardware.sysctl import read_sysctl
from engine.probe.client import list_devices
from engine.probe.records import GgmlDevice

GgmlLister = Callable[[float], Sequence[GgmlDevice]]
KernelTimer = Callable[[Processor, Path, float], Kernels]

NVML_LIMIT_S: Final = 8.0
DRM_LIMIT_S: Final = 5.0
GGML_LIMIT_S: Final = 20.0
BANDWIDTH_LIMIT_S: Final = 15.0
KERNELS_LIMIT_S: Final = 60.0

_MACOS_GPU_NAMES: Final = ("hw.optional.arm64", "machdep.cpu.brand_string", "iogpu.wired_limit_mb")


def _list_ggml(timeout_s: float) -> Sequence[GgmlDevice]:
    return list_devices(timeout_s)


def _time_kernels(processor: Processor, cache_folder: Path, timeout_s: float) -> Kernels:
    return measured_kernels(processor, cache_folder, timeout_s=timeout_s)


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the probes look; replaced in tests."""

    root: Path = Path("/")
    list_ggml: GgmlLister = _list_ggml
    time_kernels: KernelTimer = _time_kernels


def detect(
    model_folder: Path,
    cache_folder: Path,
    *,
    with_bandwidth: bool = True,
    with_ggml: bool = True,
    measure_again: bool = False,
    sources: Sources | None = None,
) -> Machine:
    """The machine as it is now.

    ``with_ggml`` starts a child that loads llama.cpp (about half a second). The speeds of memory and
    kernels come from the cache if they are there (else about two seconds), memory's not if it is to be measured again;
    without ``with_bandwidth`` from the cache or not at all.
    """
    sources = sources or Sources()
    survey = _Survey(sources)
    processor = survey.processor()
    memory = survey.memory()
    disk = attempt(survey.notes, "disk", lambda: read_disk(model_folder, root=survey.root), _describe_disk)
    devices = survey.gpus(memory, with_ggml)
    bandwidth = known_bandwidth(processor, memory, cache_folder)
    if with_bandwidth:
        bandwidth = attempt(
            survey.notes,
            "bandwidth",
            lambda: measured_bandwidth(
                processor, memory, cache_folder, again=measure_again, timeout_s=BANDWIDTH_LIMIT_S
            ),
            lambda found: f"{found.read_bytes_s / 1e9:.1f} GB/s read by {_count(found.threads, 'thread')}",
        )
    kernels = known_kernels(processor, cache_folder)
    if with_bandwidth and kernels is None:
        kernels = attempt(
            survey.notes,
            "kernels",
            lambda: sources.time_kernels(processor, cache_folder, KERNELS_LIMIT_S),
            lambda found: f"{_count(len(found.types), 'type')} of weights timed",
        )
    return Machine(
        system=_system(),
        processor=processor,
        memory=memory,
        disks=(disk,) if disk else (),
        gpus=devices,
        bandwidth=bandwidth,
        notes=tuple(survey.notes),
        kernels=kernels,
    )


class _Survey:
    """One run over all probes, with its notes."""

    def __init__(self, sources: Sources) -> None:
        self.root = sources.root
        self.notes: list[ProbeNote] = []
        self._list_ggml = sources.list_ggml

    def skip(self, name: str, sentence: str) -> None:
        self.notes.append(ProbeNote(name, True, 0.0, sentence))

    def processor(self) -> Processor:
        found = attempt(self.notes, "processor", lambda: read_processor(self.root), lambda processor: processor.name)
        return found or fallback_processor()

    def memory(self) -> Memory:
        found = attempt(self.notes, "memory", lambda: read_memory(self.root), _describe_memory)
        return found or Memory(0, 0, None)

    def gpus(self, memory: Memory, with_ggml: bool) -> tuple[Gpu, ...]:
        sightings: list[Sighting] = []
        for found in (self._nvml(), self._drm(), self._apple(memory), self._ggml() if with_ggml else None):
            sightings.extend(found.devices if found else ())
        return gpu.merge(sightings, memory)

    def _nvml(self) -> Sightings | None:
        if not nvidia.driver_present(self.root):
            self.skip("nvml", "no NVIDIA driver")
            return None
        return attempt(self.notes, "nvml", lambda: ask_child(Sightings, "nvml", {}, NVML_LIMIT_S), _describe_sightings)

    def _drm(self) -> Sightings | None:
        if not drm.has_cards(self.root):
            if platform.system() == "Linux":
                self.skip("drm", "no graphics card in /sys/class/drm")
            return None
        question: dict[str, object] = {"root": str(self.root)}
        return attempt(
            self.notes, "drm", lambda: ask_child(Sightings, "drm", question, DRM_LIMIT_S), _describe_sightings
        )

    def _apple(self, memory: Memory) -> Sightings | None:
        if platform.system() != "Darwin":
            return None
        return attempt(
            self.notes, "apple", lambda: gpu.from_macos(read_sysctl(_MACOS_GPU_NAMES), memory), _describe_sightings
        )

    def _ggml(self) -> Sightings | None:
        return attempt(self.notes, "ggml", lambda: gpu.from_ggml(self._list_ggml(GGML_LIMIT_S)), _describe_sightings)


def _system() -> str:
    """The operating system as its users call it."""
    if platform.system() == "Linux":
        try:
            return f"{platform.freedesktop_os_release().get('PRETTY_NAME', 'Linux')}, kernel {platform.release()}"
        except OSError:
            return f"Linux {platform.release()}"
    if platform.system() == "Darwin":
        return f"macOS {platform.mac_ver()[0]}"
    return f"{platform.system()} {platform.release()}"


def _describe_disk(disk: Disk) -> str:
    return f"{disk.file_system}, {disk.free_bytes / 1e9:.1f} GB free"


def _describe_memory(memory: Memory) -> str:
    return f"{memory.available_bytes / 2**30:.1f} of {memory.total_bytes / 2**30:.1f} GiB available"


def _describe_sightings(found: Sightings) -> str:
    names = ", ".join(sighting.name or sighting.backend or "unnamed" for sighting in found.devices)
    driver = f" ({found.driver})" if found.driver else ""
    return f"{_count(len(found.devices), 'device')}{': ' if names else ''}{names}{driver}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
