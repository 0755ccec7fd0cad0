"""Vectors of whole texts: a context of llama.cpp that pools what a model makes of each text into one row.

Which models do that and in what context is ``pooling.py``'s; who waits for what is
``engine.serving.vectors.engine``'s. Owned by one thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from llama_cpp import llama_cpp as native
from numpy.typing import NDArray

from engine.errors import WorkerError
from engine.fit.plan import Plan
from engine.llama.context import DecodeResult
from engine.llama.interruption import StopWord
from engine.llama.model import Model
from engine.llama.pooling import Pooling, PoolingShape, pooling_context

Vector = NDArray[np.float32]


class Interrupted(Exception):
    """The computation was broken off on demand."""


class Embedder:
    """A context that pools, with a batch of ``n_rows`` tokens."""

    def __init__(self, model: Model, plan: Plan, pooling: Pooling) -> None:
        """Raises: ``WorkerError`` when llama.cpp cannot make the context."""
        self._stop = StopWord()
        self.pooling = pooling
        shape = PoolingShape(plan.n_ctx, plan.n_ubatch, plan.n_seq_max, plan.kv_type, plan.threads)
        made = pooling_context(model, pooling, shape)
        self.n_rows, n_sequences, parameters = made.n_rows, made.n_sequences, made.parameters
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
