"""Compute and output buffers of one model: estimated for choosing, measured by llama.cpp for deciding.

The measurement loads the header without the weights in a short-lived child; it also catches caches that the
arithmetic does not know.
"""

from __future__ import annotations

from collections.abc import Callable

from engine.errors import ModelFileError, ProbeFailed
from engine.fit.budget import Budget
from engine.fit.footprint import CacheShape, kv_bytes, recurrent_bytes
from engine.fit.layers import ModelMemory
from engine.fit.placement import Compute
from engine.gguf.header import Header
from engine.probe.records import ComputeAnswer, ComputeQuestion

Probe = Callable[[ComputeQuestion], ComputeAnswer]
"""Asks llama.cpp for the buffers of a context. Raises ``ProbeFailed``."""

_KV_TOLERANCE_BYTES = 128 * 1024
"""The probe reads sizes from a log that rounds to 0.01 MiB for each of several caches."""


class CacheRefused(Exception):
    """The model's heads do not divide into the blocks of the wished cache type."""


class Buffers:
    """Asks each question only once while one model is fitted: an answer costs a process."""

    def __init__(
        self,
        header: Header,
        memory: ModelMemory,
        card: Budget | None,
        rpc_endpoints: tuple[str, ...],
        probe: Probe,
    ) -> None:
        self._header = header
        self._memory = memory
        self._card = card
        self._rpc_endpoints = rpc_endpoints
        self._probe = probe
        self._measured: dict[ComputeQuestion, Compute] = {}

    def estimate(self, shape: CacheShape) -> Compute:
        """Generous, for choosing what to measure. Source: the largest tensors of llama.cpp's graph."""
        logits = 4 * self._header.vocab_size * shape.n_seq_max
        mask = 4 * shape.n_ctx * shape.n_ubatch
        activations = 40 * shape.n_ubatch * self._header.embedding_length * 4
        everything = 2 * logits + mask + activations
        return Compute(everything, everything if self._card is not None else 0)

    def measure(self, shape: CacheShape, n_gpu_layers: int) -> Compute:
        """What llama.cpp would reserve. Blocking.

        Raises: ``ModelFileError`` when it refuses the model, ``CacheRefused`` when only the type of the cache.
        """
        card = self._card.name if self._card is not None and n_gpu_layers else None
        question = ComputeQuestion(
            model_path=str(self._header.path),
            n_ctx=shape.n_ctx,
            n_batch=shape.n_ubatch,
            n_ubatch=shape.n_ubatch,
            n_seq_max=shape.n_seq_max,
            n_outputs_max=shape.n_seq_max,
            kv_type=shape.kv_type,
            n_gpu_layers=n_gpu_layers,
            device=card,
            rpc_endpoints=self._rpc_endpoints if card is not None else (),
        )
        if question not in self._measured:
            self._measured[question] = self._ask(question, shape)
        return self._measured[question]

    def _ask(self, question: ComputeQuestion, shape: CacheShape) -> Compute:
        try:
            answer = self._probe(question)
        except ProbeFailed as error:
            if error.code == "context_refused" and question.kv_type != "f16":
                raise CacheRefused from error
            if error.code in ("model_refused", "context_refused"):
                sentence = f"{self._header.path.name} cannot be used: {error.sentence}"
                raise ModelFileError("unsupported", sentence, error.hint) from error
            # A probe that hung or died says nothing about the model; the generous estimate rules out the worst.
            return self.estimate(shape)
        on_card = sum(size for name, size in answer.compute if _is_on(name, question.device))
        return Compute(
            host_bytes=sum(size for _, size in answer.compute) - on_card + answer.output_bytes,
            device_bytes=on_card,
            unknown_kv_bytes=_excess(answer.kv_bytes, kv_bytes(self._memory, shape)),
            unknown_recurrent_bytes=_excess(answer.recurrent_bytes, recurrent_bytes(self._memory, shape)),
        )


def _is_on(buffer: str, card: str | None) -> bool:
    """A buffer is named after its device (``CUDA0``, ``RPC0[host:port]``); ``CUDA_Host`` is pinned main memory."""
    return card is not None and buffer.startswith(card)


def _excess(told: int, computed: int) -> int:
    return told - computed if told - computed > _KV_TOLERANCE_BYTES else 0
