"""Compute and output buffers of one model: estimated for choosing, measured by llama.cpp for deciding.

The measurement loads the header without the weights in a short-lived child; it also catches caches that the
arithmetic does not know. For cards that are only described the child measures on the processor, whose buffer for the
same graph stands in for the card's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from engine.errors import ModelFileError, ProbeFailed
from engine.fit.budget import Budgets
from engine.fit.experience import NO_EXPERIENCE, Experience
from engine.fit.facts import ModelFacts
from engine.fit.footprint import CacheShape, kv_bytes, recurrent_bytes
from engine.fit.placement import Choice, Compute
from engine.fit.speed import NO_OFFLOAD_TOKENS
from engine.gguf.header import Header
from engine.probe.records import ComputeAnswer, ComputeQuestion

Probe = Callable[[ComputeQuestion], ComputeAnswer]
"""Asks llama.cpp for the buffers of a context. Raises ``ProbeFailed``."""

_KV_TOLERANCE_BYTES = 128 * 1024
"""The probe reads sizes from a log that rounds to 0.01 MiB for each of several caches."""
_ROWS_DENSE, _ROWS_ROUTED, _ROWS_RECURRENT = 16, 26, 14
"""Of the embedding's width, alive at once for each token of a micro-batch: of a dense model, of one with experts, and
those of recurrent layers besides. Source: probes of 135M to 30B; the estimate is up to a half too large, never too
small (``tests/engine/fit/test_buffers.py``)."""


class CacheRefused(Exception):
    """The model's heads do not divide into the blocks of the wished cache type."""


class BufferSource(Protocol):
    """Where the sizes of compute buffers come from."""

    def estimate(self, shape: CacheShape) -> Compute:
        """Generous and at once, for choosing what to measure."""

    def measure(self, shape: CacheShape, choice: Choice) -> Compute:
        """As exact as this source can be. Blocking.

        Raises: ``ModelFileError`` when llama.cpp refuses the model, ``CacheRefused`` when only the cache's type.
        """

    @property
    def repacks(self) -> bool:
        """Whether a measurement found that weights are laid out anew for this processor."""


@dataclass(frozen=True, slots=True)
class EstimatedBuffers:
    """By formula, for models of which no header was read, and for choosing."""

    facts: ModelFacts
    budgets: Budgets
    experience: Experience = NO_EXPERIENCE

    def estimate(self, shape: CacheShape) -> Compute:
        """Source: the largest tensors of llama.cpp's graph: logits, the mask in f16, activations."""
        facts = self.facts
        rows = _ROWS_ROUTED if facts.n_expert else _ROWS_DENSE
        rows += _ROWS_RECURRENT if facts.memory.recurrent else 0
        # Twice for models that pool: in the graph, and kept.
        logits = 4 * facts.n_vocab * (2 * shape.n_ubatch if facts.whole_rows else shape.n_outputs_max)
        mask = 2 * shape.n_ctx_each * shape.n_ubatch
        everything = logits * 5 // 4 + mask + rows * shape.n_ubatch * facts.n_embd * 4
        copied = 0 if self.budgets.shared else facts.weights.largest_expert_bytes
        cards = tuple(everything for _ in self.budgets.cards)
        allowances = tuple(self.experience.allowance_bytes(card.name) for card in self.budgets.cards)
        return Compute(everything, everything, cards, copied, allowances=allowances)

    def measure(self, shape: CacheShape, choice: Choice) -> Compute:
        """The estimate: there is no file to measure."""
        del choice
        return self.estimate(shape)

    @property
    def repacks(self) -> bool:
        return False


class ProbedBuffers:
    """Asks llama.cpp, each question only once while one model is fitted: an answer costs a process."""

    def __init__(
        self,
        header: Header,
        facts: ModelFacts,
        budgets: Budgets,
        probe: Probe,
        *,
        rpc_endpoints: tuple[str, ...] = (),
        described: bool = False,
        n_expert_used: int | None = None,
        op_offload_tokens: int | None = None,
        experience: Experience = NO_EXPERIENCE,
    ) -> None:
        """``described``: the cards are not in this machine, so that nothing can be asked about them."""
        self._header = header
        self._facts = facts
        self._budgets = budgets
        self._probe = probe
        self._rpc_endpoints = rpc_endpoints
        self._described = described
        self._n_expert_used = n_expert_used
        self._op_offload_tokens = op_offload_tokens
        self._estimated = EstimatedBuffers(facts, budgets, experience)
        self._answers: dict[ComputeQuestion, ComputeAnswer | None] = {}

    def estimate(self, shape: CacheShape) -> Compute:
        return self._estimated.estimate(shape)

    @property
    def repacks(self) -> bool:
        return any(answer.repacks for answer in self._answers.values() if answer is not None)

    def measure(self, shape: CacheShape, choice: Choice) -> Compute:
        question = self._question(shape, choice)
        if question not in self._answers:
            self._answers[question] = self._ask(question)
        answer = self._answers[question]
        estimate = self._estimated.estimate(shape)
        # A probe that hung or died says nothing about the model; the generous estimate rules out the worst.
        return estimate if answer is None else self._read(answer, question, shape, choice, estimate)

    def _question(self, shape: CacheShape, choice: Choice) -> ComputeQuestion:
        used = [self._budgets.cards[card].name for card, _ in choice.cards] if not self._described else []
        counts = tuple(count for _, count in choice.cards) if len(used) > 1 else ()
        return ComputeQuestion(
            model_path=str(self._header.path),
            n_ctx=shape.n_ctx,
            n_batch=shape.n_ubatch,
            n_ubatch=shape.n_ubatch,
            n_seq_max=shape.n_seq_max,
            n_outputs_max=shape.n_outputs_max,
            kv_type=shape.kv_type,
            n_gpu_layers=choice.n_gpu_layers if used else 0,
            device=used[0] if used else None,
            rpc_endpoints=self._rpc_endpoints if used else (),
            more_devices=tuple(used[1:]),
            layers_per_card=counts,
            experts_in_ram=choice.experts_in_ram if used else (),
            op_offload_tokens=self._op_offload_tokens if used and choice.experts_in_ram else None,
            n_expert_used=self._n_expert_used,
            architecture=self._header.architecture if self._n_expert_used is not None else "",
            kv_unified=shape.kv_unified,
        )

    def _ask(self, question: ComputeQuestion) -> ComputeAnswer | None:
        try:
            return self._probe(question)
        except ProbeFailed as error:
            if error.code == "context_refused" and question.kv_type != "f16":
                raise CacheRefused from error
            if error.code in ("model_refused", "context_refused"):
                sentence = f"{self._header.path.name} cannot be used: {error.sentence}"
                raise ModelFileError("unsupported", sentence, error.hint) from error
            return None

    def _read(
        self, answer: ComputeAnswer, question: ComputeQuestion, shape: CacheShape, choice: Choice, estimate: Compute
    ) -> Compute:
        names = [question.device, *question.more_devices] if question.device else []
        on_cards = {name: sum(size for buffer, size in answer.compute if _is_on(buffer, name)) for name in names}
        everything = sum(size for _, size in answer.compute)
        host = everything - sum(on_cards.values()) + answer.output_bytes
        # For a card that was not asked the same graph stands in, wherever it was measured.
        cards = tuple(on_cards.get(card.name, everything) for card in self._budgets.cards)
        measured_copies = bool(names) and bool(choice.experts_in_ram or choice.n_gpu_layers <= self._facts.n_layer)
        memory = self._facts.memory
        return Compute(
            host_bytes=everything + answer.output_bytes,
            host_beside_bytes=host,
            cards=cards,
            copied_bytes=0
            if measured_copies or self._op_offload_tokens == NO_OFFLOAD_TOKENS
            else estimate.copied_bytes,
            unknown_kv_bytes=_excess(answer.kv_bytes, kv_bytes(memory, shape)),
            unknown_recurrent_bytes=_excess(answer.recurrent_bytes, recurrent_bytes(memory, shape)),
            allowances=estimate.allowances,
        )


def _is_on(buffer: str, card: str) -> bool:
    """A buffer is named after its device (``CUDA0``, ``RPC0[host:port]``); ``CUDA_Host`` is pinned main memory."""
    return buffer == card or buffer.startswith(f"{card}[")


def _excess(told: int, computed: int) -> int:
    return told - computed if told - computed > _KV_TOLERANCE_BYTES else 0
