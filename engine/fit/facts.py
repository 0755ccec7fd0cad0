"""What planning needs to know of a model, whether its header was read or only its name is known. Records only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.fit.footprint import Weights, group_weights
from engine.fit.layers import WITHOUT_CACHE, ModelMemory, describe_memory
from engine.gguf.header import Header
from engine.gguf.split import display_name

_LEAST_WHOLE_ROWS = 512
_WHOLE_LOGITS_BYTES = 512 << 20


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """A model as the planner sees it."""

    name: str
    path: Path
    """The first file, or where it would lie."""
    n_ctx_train: int
    n_embd: int
    n_vocab: int
    n_expert: int
    """0 for a dense model."""
    n_expert_used: int
    weights: Weights
    memory: ModelMemory
    whole_rows: int = 0
    """Tokens in one computation of a model that must take a text whole; 0 for those that can take it in slices."""
    estimated: tuple[str, ...] = ()
    """Why the plan is no more than an estimate, in sentences; empty when a header was read."""

    @property
    def n_layer(self) -> int:
        """Layers, including those that only predict further tokens."""
        return len(self.weights.layers)


def facts_of(header: Header) -> ModelFacts:
    """Of a model whose header was read. Raises: ``ModelFileError`` for numbers that make no sense."""
    return ModelFacts(
        name=display_name(header),
        path=header.path,
        n_ctx_train=header.n_ctx_train,
        n_embd=header.embedding_length,
        n_vocab=header.vocab_size,
        n_expert=header.n_expert,
        n_expert_used=header.n_expert_used,
        weights=group_weights(header),
        memory=describe_memory(header),
        whole_rows=_whole_rows(header),
    )


def _whole_rows(header: Header) -> int:
    """As many as its context, but no more than the logits that llama.cpp keeps of every row are worth."""
    if header.architecture not in WITHOUT_CACHE:
        return 0
    return min(header.n_ctx_train, max(_LEAST_WHOLE_ROWS, _WHOLE_LOGITS_BYTES // (8 * max(1, header.vocab_size))))
