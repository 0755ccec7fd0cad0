"""Builds the lane that keeps idle conversations on disk, from what the worker was told and what it has loaded."""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from pathlib import Path

from engine.fit.plan import Plan
from engine.gguf.split import is_shard, model_stem
from engine.serving.kept.form import KEY_BYTES, Binding, model_digest
from engine.serving.kept.lane import KeptLane
from engine.serving.kept.shelf import KeptShelf
from engine.worker.spec import KeptStates


def make_lane(kept: KeptStates | None, plan: Plan) -> KeptLane | None:
    """A lane that is not started yet; ``None`` when nothing is to be kept, or the model's file cannot be read."""
    if kept is None or kept.budget_bytes <= 0:
        return None
    try:
        key = bytes.fromhex(kept.key)
        binding = Binding(llama_build(), model_digest(_files(plan.model_path)), _cache(plan))
    except (OSError, ValueError):
        return None
    if len(key) != KEY_BYTES:
        return None
    return KeptLane(KeptShelf(kept.folder, key, binding, kept.budget_bytes), kept.idle_s)


def llama_build() -> str:
    """llama.cpp's and the binding's versions, and a digest of the library that reads and writes the states.

    Raises: ``OSError``.
    """
    from llama_cpp import llama_cpp as native

    library = Path(native._lib._name)
    digest = hashlib.sha256(library.read_bytes()).hexdigest()[:16]
    return f"{native.llama_version().decode()} {version('llama_cpp_python')} {digest}"


def _files(path: Path) -> list[Path]:
    return sorted(path.parent.glob(f"{model_stem(path)}-*-of-*.gguf")) if is_shard(path) else [path]


def _cache(plan: Plan) -> str:
    """What of a plan rules how a state looks, or what is computed. Its length is not among them."""
    parts = "unified" if plan.kv_unified else f"parts={plan.n_seq_max}"
    return f"k={plan.kv_type} v={plan.kv_type} {parts} swa_full=no experts={plan.n_expert_used or 'own'}"
