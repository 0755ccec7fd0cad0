"""Vectors of whole texts: a context of llama.cpp that pools what a model makes of each text into one row.

Which models do that, how long a text may be and how many go into one computation is decided here, from the file and
the plan; who waits for what is ``engine.serving.vectors.engine``'s. Owned by one thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Any, Final

import numpy as np
from llama_cpp import llama_cpp as native
from numpy.typing import NDArray

from engine.errors import WorkerError
from engine.fit.plan import Plan
from engine.llama.context import DecodeResult
from engine.llama.interruption import StopWord
from engine.llama.model import Model
from engine.llama.parameters import context_parameters

Vector = NDArray[np.float32]

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


class Interrupted(Exception):
    """The computation was broken off on demand."""


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


def _looks_ahead(model: Model) -> bool:
    """Whether a token sees those after it, as in an encoder."""
    architecture = model.metadata("general.architecture") or ""
    return model.metadata(f"{architecture}.attention.causal") == "false"


class Embedder:
    """A context that pools, with a batch of ``n_rows`` tokens."""

    def __init__(self, model: Model, plan: Plan, pooling: Pooling) -> None:
        """Raises: ``WorkerError`` when llama.cpp cannot make the context."""
        self._stop = StopWord()
        self.pooling = pooling
        self.n_rows = max(1, min(plan.n_ubatch, plan.n_ctx))
        if pooling in (Pooling.LAST, Pooling.RANK) and not _looks_ahead(model):
            self.n_rows = min(self.n_rows, max(_LEAST_ROWS, _LOGITS_BYTES // (8 * model.vocabulary.n_tokens)))
        n_sequences = plan.n_seq_max if model.recurrent else min(MAX_SEQUENCES, self.n_rows)
        parameters = context_parameters(
            n_ctx=plan.n_ctx,
            n_batch=self.n_rows,
            n_ubatch=self.n_rows,
            n_seq_max=n_sequences,
            n_outputs_max=self.n_rows,  # every token of a text goes into its row
            kv_type=plan.kv_type,
            threads=plan.threads,
        )
        parameters.embeddings = True
        parameters.pooling_type = int(pooling)
        parameters.no_perf = True
        self._stop.attach(parameters)
        self.handle: Any = native.llama_init_from_model(model.handle, parameters)
        if not self.handle:
            sentence = f"llama.cpp could not make a context of {self.n_rows:,} tokens for {plan.model_name}."
            raise WorkerError("context_failed", sentence, "Shorter texts need less memory.")
        self._memory: Any = native.llama_get_memory(self.handle)
        self._encodes = model.has_encoder
        self.n_sequences = n_sequences
        self.in_one_piece = not (self._memory and _needs_only_the_end(pooling, self.handle))
        """The whole text must go into one computation."""
        longest = self.n_rows if self.in_one_piece else int(native.llama_n_ctx(self.handle))
        self.limit_tokens = min(longest, model.n_ctx_train or longest)
        """Of one text."""
        scores = int(native.llama_model_n_cls_out(model.handle))
        self.width = scores if pooling is Pooling.RANK else int(native.llama_model_n_embd_out(model.handle))
        """Numbers in a row: of a vector, or of scores."""
        self._make_batch()

    def _make_batch(self) -> None:
        self._batch: Any = native.llama_batch_init(self.n_rows, 0, 1)
        shape = (self.n_rows,)
        self._tokens = np.ctypeslib.as_array(self._batch.token, shape)
        self._positions = np.ctypeslib.as_array(self._batch.pos, shape)
        np.ctypeslib.as_array(self._batch.n_seq_id, shape)[:] = 1
        np.ctypeslib.as_array(self._batch.logits, shape)[:] = 1

    def embed(self, texts: Sequence[Sequence[int]]) -> list[Vector]:
        """A row for each text of tokens, at most ``n_sequences`` texts and ``n_rows`` tokens; one alone may have
        ``limit_tokens``. Blocks.

        Raises: ``Interrupted`` after :meth:`interrupt`, ``WorkerError`` when llama.cpp fails.
        """
        if self._memory:
            native.llama_memory_clear(self._memory, False)
        if len(texts) == 1 and len(texts[0]) > self.n_rows:
            self._compute_in_pieces(texts[0])
        else:
            row = 0
            for sequence, text in enumerate(texts):
                self._write(row, sequence, text, 0)
                row += len(text)
            self._compute(row)
        return [self._row(sequence) for sequence in range(len(texts))]

    def _compute_in_pieces(self, text: Sequence[int]) -> None:
        """Each piece leaves its keys in memory and overwrites the row; that of the last one counts."""
        for start in range(0, len(text), self.n_rows):
            piece = text[start : start + self.n_rows]
            self._write(0, 0, piece, start)
            self._compute(len(piece))

    def _write(self, row: int, sequence: int, tokens: Sequence[int], position: int) -> None:
        end = row + len(tokens)
        self._tokens[row:end] = tokens
        self._positions[row:end] = range(position, position + len(tokens))
        for index in range(row, end):
            self._batch.seq_id[index][0] = sequence

    def _compute(self, n_rows: int) -> None:
        self._batch.n_tokens = n_rows
        run = native.llama_encode if self._encodes else native.llama_decode
        result = int(run(self.handle, self._batch))
        if result == DecodeResult.INTERRUPTED:
            raise Interrupted
        if result != DecodeResult.OK:
            raise WorkerError("decode_failed", f"llama.cpp failed while computing, with code {result}.")

    def _row(self, sequence: int) -> Vector:
        pointer: Any = native.llama_get_embeddings_seq(self.handle, sequence)
        if not pointer:
            raise WorkerError("no_embedding", f"llama.cpp holds no row for text {sequence}.")
        return np.array(np.ctypeslib.as_array(pointer, (self.width,)), np.float32)

    def warm_up(self, token: int) -> None:
        """Compute once, so that the first request does not pay for paging."""
        self.embed([[token]])

    def interrupt(self) -> None:
        """End a running computation on the processor at its next operation. Any thread."""
        self._stop.say()

    def allow(self) -> None:
        """Take back :meth:`interrupt`."""
        self._stop.take_back()

    def close(self) -> None:
        """Free the context. A second call does nothing."""
        if self.handle:
            native.llama_free(self.handle)
            native.llama_batch_free(self._batch)
            self.handle = None


def _needs_only_the_end(pooling: Pooling, context: Any) -> bool:
    """Whether the last token alone says it all, so that earlier ones may be computed before.

    Source: ``can_split`` in llama.cpp's server-context.cpp.
    """
    causal = bool(native.llama_get_causal_attn(context))
    return pooling is Pooling.LAST or (pooling is Pooling.RANK and causal)
