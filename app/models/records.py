"""Models as the product shows them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.fit.plan import Misfit, Plan
from engine.worker.spec import WorkerState


@dataclass(frozen=True, slots=True)
class ModelCard:
    """A model on disk, or a file that claims to be one."""

    id: str
    """Stable, unique, readable: the file's name without ``.gguf`` and shard suffix."""
    name: str
    path: Path
    size_bytes: int
    built_in: bool
    """Came with the set-up; cannot be removed."""
    managed: bool
    """Lies in our own model folder (as against a file used in place)."""
    architecture: str
    quantization: str
    parameters: int | None
    n_ctx_train: int | None
    n_expert: int
    """0 for a dense model."""
    n_expert_used: int
    licence: str | None
    fault: str
    """One sentence when the file cannot be used, else empty."""


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """The model service's whole state at one moment."""

    model_id: str | None
    state: WorkerState | None
    """``None`` when nothing is loaded or asked for."""
    plan: Plan | None
    misfit: Misfit | None
    """Set when the last wish could not be granted."""
