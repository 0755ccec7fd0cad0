"""Which models make one row of a whole text instead of writing, and the context they get for it.

Shared by the worker and the probe, so that what is planned is what is loaded. Computing is ``embedder.py``'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from llama_cpp import llama_cpp as native

from engine.errors import WorkerError
from engine.fit.plan import KvType
from engine.llama.model import Model
from engine.llama.parameters import context_parameters

_LOGITS_BYTES: Final = 128 << 20
_LEAST_ROWS: Final = 64
"""llama.cpp computes and keeps the logits of every row of an embedding batch, 8 bytes a token of the vocabulary,
though nobody reads them. Models that can take a text in pieces get batches for which that is no more than this."""
MAX_SEQUENCES: Final = 64
"""Texts in one computation."""


class Pooling(IntEnum):
    """How rows become one. Source: ``enum llama_pooling_type`` in llama.h."""

    NONE = 0
    MEAN = 1
    CLS = 2
    LAST = 3
    RANK = 4


@dataclass(frozen=True, slots=True)
class PoolingShape:
    """What a plan says about the context of a model that pools."""

    n_ctx: int
    n_ubatch: int
    n_seq_max: int
    kv_type: KvType
    threads: int


@dataclass(frozen=True, slots=True)
class PoolingContext:
    """What the context is made with."""

    n_rows: int
    """Tokens in one computation."""
    n_sequences: int
    parameters: Any
    """``llama_context_params``."""
    output_bytes: int
    """Of logits and rows of a full batch, which llama.cpp sets aside when the first one comes. Source:
    ``llama_context::output_reserve``."""


def find_pooling(model: Model) -> Pooling | None:
    """How a model pools; ``None`` for one that writes text.

    The file says it. An encoder whose file does not is pooled by the mean, as sentence-transformers does it then.
    Raises: ``WorkerError`` for a way that is not known here.
    """
    architecture = model.metadata("general.architecture") or ""
    stated = model.metadata(f"{architecture}.pooling_type")
    if stated not in (None, "0"):
        try:
            return Pooling(int(stated or ""))
        except ValueError as error:
            raise WorkerError("unsupported", f"The model pools in a way {stated!r} that is not known here.") from error
    if not native.llama_model_is_diffusion(model.handle) and (_looks_ahead(model) or not model.has_decoder):
        return Pooling.MEAN
    return None


def pooling_context(model: Model, pooling: Pooling, shape: PoolingShape) -> PoolingContext:
    """The context for that model: as many rows as the plan's micro-batch, fewer where their logits would be large."""
    n_vocab = model.vocabulary.n_tokens
    n_rows = max(1, min(shape.n_ubatch, shape.n_ctx))
    if pooling in (Pooling.LAST, Pooling.RANK) and not _looks_ahead(model):
        n_rows = min(n_rows, max(_LEAST_ROWS, _LOGITS_BYTES // (8 * n_vocab)))
    n_sequences = shape.n_seq_max if model.recurrent else min(MAX_SEQUENCES, n_rows)
    parameters = context_parameters(
        n_ctx=shape.n_ctx,
        n_batch=n_rows,
        n_ubatch=n_rows,
        n_seq_max=n_sequences,
        n_outputs_max=n_rows,  # every token of a text goes into its row
        kv_type=shape.kv_type,
        threads=shape.threads,
    )
    parameters.embeddings = True
    parameters.pooling_type = int(pooling)
    width = n_vocab + int(native.llama_model_n_embd_out(model.handle))
    return PoolingContext(n_rows, n_sequences, parameters, 4 * width * max(n_rows, n_sequences))


def _looks_ahead(model: Model) -> bool:
    """Whether a token sees those after it, as in an encoder."""
    architecture = model.metadata("general.architecture") or ""
    return model.metadata(f"{architecture}.attention.causal") == "false"
