"""What a probe child is asked and what it answers. How they travel is ``engine.records``' business."""

from __future__ import annotations

from dataclasses import dataclass

from engine.fit.plan import KvType
from engine.hardware.profile import DeviceKind, Kernel


@dataclass(frozen=True, slots=True)
class GgmlDevice:
    """A device as ggml reports it. On Linux and macOS the CPU's free memory is its total: do not plan with it."""

    name: str
    """ggml's name: ``CPU``, ``CUDA0``, ``Vulkan0``, ``MTL0``, ``RPC0``."""
    description: str
    kind: DeviceKind
    total_bytes: int
    free_bytes: int
    pci_id: str | None
    backend: str


@dataclass(frozen=True, slots=True)
class ComputeQuestion:
    """Which context to measure. ``model_path`` may be a hollow file: header and length are enough."""

    model_path: str
    n_ctx: int
    n_batch: int
    n_ubatch: int
    n_seq_max: int
    n_outputs_max: int
    kv_type: KvType
    n_gpu_layers: int
    device: str | None
    """ggml's name of the first device to use; ``None``: only the processor."""
    rpc_endpoints: tuple[str, ...] = ()
    more_devices: tuple[str, ...] = ()
    """Further cards, in the plan's order."""
    layers_per_card: tuple[int, ...] = ()
    """As in the plan; empty with one card or none."""
    experts_in_ram: tuple[int, ...] = ()
    """As in the plan: layers whose routed experts stay in main memory."""
    n_expert_used: int | None = None
    """Experts per token when not the model's own number."""
    architecture: str = ""
    """The file's, needed with ``n_expert_used``."""
    op_offload_tokens: int | None = None
    """As in the plan: it decides whether a card reserves room for weights that are copied to it."""
    kv_unified: bool = True
    """As in the plan."""


@dataclass(frozen=True, slots=True)
class ComputeAnswer:
    """What llama.cpp would reserve: (ggml buffer name, bytes) for each, and how often the graph changes device."""

    compute: tuple[tuple[str, int], ...]
    output_bytes: int
    kv_bytes: int
    """As llama.cpp counts it, to 0.01 MiB for each cache."""
    recurrent_bytes: int
    splits: int
    n_ctx: int
    repacks: bool = False
    """Weights are laid out anew for this processor: beside a mapped file they would be in memory twice."""


@dataclass(frozen=True, slots=True)
class DevicesQuestion:
    """Which further servers to ask for devices."""

    rpc_endpoints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DevicesAnswer:
    """Every device, in ggml's order."""

    devices: tuple[GgmlDevice, ...]


@dataclass(frozen=True, slots=True)
class KernelsQuestion:
    """Which types of weights to time."""

    types: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KernelsAnswer:
    """As ``engine.hardware.profile.Kernels``, as long as it is on its way."""

    types: tuple[Kernel, ...]
    attention_flop_s: float
