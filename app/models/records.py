"""Models as the product shows them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from app.models.fitness import UNKNOWN, Fitness
from engine.errors import ModelFileError
from engine.fit.plan import Misfit, Plan, Wish
from engine.gguf.header import Output
from engine.hub.repository import RemoteModel
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
    holder: str = ""
    """The other program that holds it (``LM Studio``, ``Ollama``): used in place, never written to."""
    n_layer: int = 0
    output: Output = "text"
    """What it makes of a text: an answer, one vector, or a score. Only the first kind chats."""
    fitness: Fitness = UNKNOWN
    """At a glance; a plan says it exactly."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """How passages of long documents are looked up, and why so."""

    by_meaning: bool
    sentence: str


def does_not_chat(card: ModelCard) -> ModelFileError:
    """Why such a model is not loaded to chat with."""
    what = "makes vectors of texts" if card.output == "vectors" else "scores texts"
    hint = "Choose another. It can be served to other programs with `gatehouse serve`."
    if card.output == "vectors":
        hint = "It is used by itself to find passages in long documents. Choose another one for the chat."
    return ModelFileError("does_not_chat", f"{card.name} {what}; it does not chat.", hint)


@dataclass(frozen=True, slots=True)
class Serving:
    """How the worker is reached by others than this process."""

    host: str = "127.0.0.1"
    port: int = 0
    api_keys: tuple[str, ...] = ()
    private: bool = True
    """A fresh secret token for this process; without it and without keys the API is open."""
    users: int | None = None
    """Each of so many has an equal part of the context alone, where the model allows it; ``None``: all share one."""
    n_ctx: int | None = None
    """Tokens, of each user where there are parts; ``None``: the usual context."""


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """The model service's whole state at one moment."""

    model_id: str | None
    state: WorkerState | None
    """``None`` when nothing is loaded or asked for."""
    plan: Plan | None
    misfit: Misfit | None
    """Set when the last wish could not be granted."""
    wish: Wish | None = None
    """What the plan grants."""


@dataclass(frozen=True, slots=True)
class Removed:
    """What removing a model did; ``ModelsApi.restore`` undoes it for a while."""

    token: str
    name: str
    freed_bytes: int
    """0 for a file used in place, which stays where it is."""


@dataclass(frozen=True, slots=True)
class RemotePlan:
    """What loading a model would take that is not here yet, from its header alone."""

    model: RemoteModel
    """Resolved: commit, files, lengths and hashes."""
    plan: Plan | Misfit
    n_ctx_train: int
    n_layer: int
    n_expert: int
    n_expert_used: int
    traffic_bytes: int
    """What was fetched to know this; 0 when the header was here already."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What answers of a model really reached on this machine: medians of the latest ones."""

    decode_tok_s: float | None
    prefill_tok_s: float | None
    answers: int


DownloadState = Literal["waiting", "running", "paused", "failed", "done"]


@dataclass(frozen=True, slots=True)
class Download:
    """A model on its way here, at one moment."""

    id: str
    """``owner/name:model``."""
    name: str
    repo: str
    quantization: str
    path: Path
    """Where its first file will lie."""
    state: DownloadState
    doing: str
    """While it runs: ``preparing``, ``checking``, ``downloading`` or ``finishing``."""
    done_bytes: int
    total_bytes: int
    bytes_per_s: float | None
    left_s: float | None
    note: str
    """Something unexpected that was dealt with, in a sentence, or empty."""
    error: str
    hint: str
    """Both of a failed one, else empty."""

    @property
    def done_ratio(self) -> float:
        return self.done_bytes / max(self.total_bytes, 1)


@dataclass(frozen=True, slots=True)
class Copied:
    """What became of one model of a bundle."""

    name: str
    error: str
    """Empty when it arrived whole."""
    plan: str = ""
    """Whether the plan that came with it holds here, in a sentence; empty when none came."""
    plan_holds: bool = True
