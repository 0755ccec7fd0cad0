"""What to load and how: the wish, the plan that grants it, and the misfit that says why not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engine.hardware.profile import DeviceKind

KvType = Literal["f16", "q8_0", "q4_0"]
LoadMode = Literal["mmap", "read"]
Profile = Literal["chat", "documents"]
"""What a model is for: *chat* wants quick tokens for one person, *documents* quick prompts for several sessions."""


@dataclass(frozen=True, slots=True)
class Band:
    """A predicted figure, tokens a second: eight of ten measurements should lie within ``low`` and ``high``."""

    low: float
    likely: float
    high: float


@dataclass(frozen=True, slots=True)
class Speed:
    """What a plan promises for one session, and whether measurements of the same model here corrected it."""

    prefill_tok_s: Band
    decode_tok_s: Band
    calibrated: bool = False
    prefill_factor: float = 1.0
    """What ``likely`` was multiplied by because of earlier measurements; divided by it, it is the raw prediction."""
    decode_factor: float = 1.0
    basis: str = ""
    """Formula and measurements that the raw prediction is founded on; samples of another one don't correct it."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the person asks of a model. ``None`` leaves the choice to the planner."""

    n_ctx: int | None = None
    """Tokens; of each session when they are ``apart``."""
    sessions: int = 4
    apart: bool = False
    """Each session has an equal part of the cache for itself, where the model's memory comes in parts; see
    ``Plan.kv_unified``."""
    kv_type: KvType | None = None
    """``None``: f16 where it fits, else q8_0."""
    threads: int | None = None
    n_ubatch: int | None = None
    profile: Profile = "chat"
    experts_in_ram: int | None = None
    """Of so many layers, the last ones, the experts stay in main memory. ``None``: as few as must."""
    n_expert_used: int | None = None
    """Experts per token; ``None``: the model's own number."""


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
    experts_bytes: int = 0
    """Routed experts, a part of ``weights_bytes``."""
    allowance_bytes: int = 0
    """What this backend was measured to take beyond what llama.cpp reports (driver context, pools)."""

    @property
    def needed_bytes(self) -> int:
        return self.weights_bytes + self.kv_bytes + self.recurrent_bytes + self.compute_bytes + self.allowance_bytes


@dataclass(frozen=True, slots=True)
class Plan:
    """How a worker loads a model. Enough to reproduce the load, and to be compared with what really happened."""

    model_path: Path
    model_name: str
    n_ctx: int
    """Cells of the KV cache, of all sequences together; a multiple of 256, and of each part too."""
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
    layers_per_card: tuple[int, ...] = ()
    """Layers of each card in the order of ``devices``, the output layer counted; empty with one card or none."""
    experts_in_ram: tuple[int, ...] = ()
    """Layers whose routed experts stay in main memory although the layer is on a card."""
    n_expert_used: int | None = None
    """Experts per token when not the model's own number."""
    op_offload_tokens: int | None = None
    """Smallest batch for which weights in main memory are copied to a card to be multiplied there; ``None``: ggml's."""
    kv_unified: bool = True
    """Any sequence may take any cell, and beginnings are shared. Otherwise each has an equal part for itself: rows need
    not step over the cells of others, but no sequence is longer than its part, and beginnings are copied."""
    reasons: tuple[str, ...] = ()
    """Each choice in a sentence with its numbers, for the person."""
    speed: Speed | None = None
    """Predicted for one session."""

    @property
    def n_parts(self) -> int:
        """Into so many equal parts the cache is divided; 1: it is shared."""
        return 1 if self.kv_unified else self.n_seq_max

    @property
    def n_ctx_each(self) -> int:
        """Cells that one sequence may take: all, or a part. This is what ``Wish.n_ctx`` means."""
        return self.n_ctx // self.n_parts


@dataclass(frozen=True, slots=True)
class Misfit:
    """Why a wish cannot be granted now, and the largest context that could be (``None``: not even the smallest)."""

    sentence: str
    hint: str
    needed_bytes: int
    free_bytes: int
    offered_n_ctx: int | None
    """As ``Wish.n_ctx``."""
