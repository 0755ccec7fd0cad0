"""What to load and how: the wish, the plan that grants it, and the misfit that says why not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engine.hardware.profile import DeviceKind

KvType = Literal["f16", "q8_0", "q4_0"]
LoadMode = Literal["mmap", "read"]


@dataclass(frozen=True, slots=True)
class Wish:
    """What the person asks of a model. ``None`` leaves the choice to the planner."""

    n_ctx: int | None = None
    sessions: int = 4
    kv_type: KvType = "f16"
    threads: int | None = None
    n_ubatch: int = 512


@dataclass(frozen=True, slots=True)
class DeviceBytes:
    """The plan's bytes on one device."""

    name: str
    kind: DeviceKind
    free_bytes: int
    weights_bytes: int
    kv_bytes: int
    recurrent_bytes: int
    compute_bytes: int

    @property
    def needed_bytes(self) -> int:
        return self.weights_bytes + self.kv_bytes + self.recurrent_bytes + self.compute_bytes


@dataclass(frozen=True, slots=True)
class Plan:
    """How a worker loads a model. Enough to reproduce the load, and to be compared with what really happened."""

    model_path: Path
    model_name: str
    n_ctx: int
    """Cells of the unified KV cache, a multiple of 256."""
    n_ctx_train: int
    n_seq_max: int
    n_batch: int
    n_ubatch: int
    n_outputs_max: int
    kv_type: KvType
    n_gpu_layers: int
    load_mode: LoadMode
    threads: int
    devices: tuple[DeviceBytes, ...]
    """Cards first, main memory last. The worker gives llama.cpp exactly these cards, and none when there are none."""


@dataclass(frozen=True, slots=True)
class Misfit:
    """Why a wish cannot be granted now, and the largest context that could be (``None``: not even the smallest)."""

    sentence: str
    hint: str
    needed_bytes: int
    free_bytes: int
    offered_n_ctx: int | None
