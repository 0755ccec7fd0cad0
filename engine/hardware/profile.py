"""The machine as frozen records. Bytes and seconds only; words are made where they are shown."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class DeviceKind(StrEnum):
    """Where tensors can live."""

    CPU = "cpu"
    GPU = "gpu"
    INTEGRATED = "integrated"
    ACCELERATOR = "accelerator"


@dataclass(frozen=True, slots=True)
class Processor:
    """The processor, and how much of it this process may use."""

    name: str
    architecture: str
    physical_cores: int
    performance_cores: int
    """Physical cores less efficiency cores; equal to ``physical_cores`` on a uniform processor."""
    logical_cores: int
    affinity_cores: int
    """Logical cores this process may run on."""
    quota_cores: float | None
    """CPU time granted by a cgroup, in cores; ``None`` without a quota."""
    instruction_sets: tuple[str, ...]

    @property
    def usable_threads(self) -> int:
        """Threads worth giving to llama.cpp: performance cores within affinity and quota, at least one."""
        allowed = min(self.performance_cores, self.affinity_cores)
        if self.quota_cores is not None:
            allowed = min(allowed, max(1, int(self.quota_cores)))
        return max(1, allowed)


@dataclass(frozen=True, slots=True)
class Memory:
    """Main memory. ``total_bytes`` and ``available_bytes`` already respect the cgroup limit."""

    total_bytes: int
    available_bytes: int
    limit_bytes: int | None
    """The cgroup's limit, or ``None``."""


@dataclass(frozen=True, slots=True)
class Disk:
    """The file system that holds a folder."""

    path: Path
    total_bytes: int
    free_bytes: int
    file_system: str


@dataclass(frozen=True, slots=True)
class Gpu:
    """A graphics device, merged from every source that knows it."""

    name: str
    kind: DeviceKind
    backend: str | None
    """ggml's device name (``CUDA0``, ``Vulkan0``, ``MTL0``, ``RPC0``) when the installed build can use it."""
    pci_id: str | None
    total_bytes: int
    free_bytes: int
    """The smallest that any source reports."""
    unified: bool
    """True when its memory is main memory."""
    sources: tuple[str, ...]
    bandwidth_bytes_s: float | None = None
    link_bytes_s: float | None = None
    """Between main memory and the card; ``None`` where nobody says."""


@dataclass(frozen=True, slots=True)
class Bandwidth:
    """Measured multi-threaded read bandwidth of main memory."""

    read_bytes_s: float
    threads: int
    measured_at: float
    """Seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """One core with weights of one type, by llama.cpp's kernels."""

    type: str
    """As GGUF calls it: ``Q4_K``."""
    read_bytes_s: float
    """Of long rows times one token, from memory."""
    row_s: float
    """What each row costs besides, however short it is."""
    flop_s: float
    """With many tokens at once."""


@dataclass(frozen=True, slots=True)
class Kernels:
    """What the processor was measured to do with llama.cpp's kernels."""

    types: tuple[Kernel, ...]
    attention_flop_s: float
    """One core in flash attention of many tokens."""


@dataclass(frozen=True, slots=True)
class ProbeNote:
    """How one probe went; a failed probe is a line in the report, never an exception."""

    probe: str
    ok: bool
    duration_s: float
    sentence: str


@dataclass(frozen=True, slots=True)
class Machine:
    """Everything measured, at one moment."""

    system: str
    processor: Processor
    memory: Memory
    disks: tuple[Disk, ...]
    gpus: tuple[Gpu, ...]
    bandwidth: Bandwidth | None
    notes: tuple[ProbeNote, ...]
    kernels: Kernels | None = None
