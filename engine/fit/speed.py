"""How long a layer takes in each memory it may lie in, and what that makes of a plan: tokens a second. Pure.

Decoding reads every weight that a token uses once, so it is ruled by bandwidth; prefill multiplies the same weights
with a whole micro-batch, so it is ruled by arithmetic, and by the way to the card for weights that stay in main
memory. Corrections by what was measured are ``calibration.py``'s.
Source: the constants are those of measured runs of others, see the functions; a machine's own runs replace them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from engine.fit.budget import Budgets
from engine.fit.facts import ModelFacts
from engine.fit.footprint import CacheShape, Size, kv_token_bytes
from engine.fit.plan import Band, Profile, Speed
from engine.hardware.profile import Machine

HOST_EFFICIENCY = 0.65
"""Share of the measured read bandwidth that decoding reaches in main memory."""
CARD_EFFICIENCY = 0.65
"""Share of a card's nominal bandwidth."""
UNKNOWN_HOST_BYTES_S = 20e9
"""Where nothing was measured: two channels of DDR4, with one core reading."""
UNKNOWN_CARD_BYTES_S = 250e9
UNKNOWN_LINK_BYTES_S = 12e9
"""PCIe 3.0 with 16 lanes, or 4.0 with 8."""
HOP_S = 50e-6
"""From the card to main memory and back, for the experts of one layer."""
CARD_STEP_S = 1.5e-3
"""Launching a step's kernels."""
HOST_LAYER_S = 40e-6
"""Threads waiting for each other at the operations of one layer."""
DEPTH_TOKENS = 1_024
"""Tokens already in the cache when a speed is predicted."""
LEAST_OFFLOAD_TOKENS = 32
"""Source: the default of ``GGML_OP_OFFLOAD_MIN_BATCH``."""
NO_OFFLOAD_TOKENS = 1 << 20
"""A threshold that no batch reaches."""

_FLOP_EACH_BYTE = {"cuda": 90.0, "rocm": 60.0, "hip": 60.0}
"""Arithmetic that cards reach in prefill for each byte of bandwidth: 30 to 40 TFLOP/s on a 3060 with 360 GB/s."""
_FLOP_EACH_BYTE_ELSE = 45.0
_FLOP_EACH_BYTE_UNIFIED = 22.0
_CORE_FLOP_S = (
    ("amx", 150e9),
    ("avx512", 50e9),
    ("i8mm", 50e9),
    ("asimddp", 40e9),
    ("dotprod", 40e9),
    ("avx2", 40e9),
    ("neon", 35e9),
)
"""Arithmetic of one core in prefill on four-bit weights."""
_CORE_FLOP_S_ELSE = 25e9

DECODE_BAND = (0.65, 1.4)
"""Of the likely figure, before anything was measured on this machine."""
PREFILL_BAND = (0.5, 1.8)


@dataclass(frozen=True, slots=True)
class Rates:
    """What one processor does in a second, at its best."""

    read_bytes_s: float
    """Of the weights in its own memory."""
    flop_s: float
    link_bytes_s: float = 0.0
    """Of weights in main memory to this card; 0 for the processor itself."""


@dataclass(frozen=True, slots=True)
class MachineRates:
    """Of the processor and the cards, in the order of the budgets."""

    host: Rates
    cards: tuple[Rates, ...]
    guessed: tuple[str, ...] = ()
    """Names of the memories whose bandwidth nobody measured or knows."""


def machine_rates(machine: Machine, budgets: Budgets, threads: int) -> MachineRates:
    """From measured and nominal bandwidths; what is unknown is guessed, and named."""
    guessed = [] if machine.bandwidth else ["main memory"]
    nominal = UNKNOWN_HOST_BYTES_S
    if machine.bandwidth is not None:
        # One thread alone does not reach what several did.
        nominal = machine.bandwidth.read_bytes_s * min(1.0, threads / max(1, machine.bandwidth.threads))
    host = Rates(nominal * HOST_EFFICIENCY, threads * _core_flop_s(machine.processor.instruction_sets))
    cards = []
    for card in budgets.cards:
        bandwidth = card.gpu.bandwidth_bytes_s if card.gpu else None
        link = card.gpu.link_bytes_s if card.gpu else None
        if bandwidth is None:
            if not budgets.shared:
                guessed.append(card.name)
            bandwidth = nominal / HOST_EFFICIENCY if budgets.shared else UNKNOWN_CARD_BYTES_S
        each_byte = _flop_each_byte(card.name, shared=budgets.shared)
        link = link or (bandwidth if budgets.shared else UNKNOWN_LINK_BYTES_S)
        cards.append(Rates(bandwidth * CARD_EFFICIENCY, max(bandwidth * each_byte, host.flop_s), link))
    return MachineRates(host, tuple(cards), tuple(guessed))


def _core_flop_s(instruction_sets: Iterable[str]) -> float:
    known = {name.lower().replace("_", "").replace("-", "") for name in instruction_sets}
    return max(
        (rate for prefix, rate in _CORE_FLOP_S if any(name.startswith(prefix) for name in known)),
        default=_CORE_FLOP_S_ELSE,
    )


def _flop_each_byte(name: str, *, shared: bool) -> float:
    if shared:
        return _FLOP_EACH_BYTE_UNIFIED
    lowered = name.lower()
    return next((value for key, value in _FLOP_EACH_BYTE.items() if lowered.startswith(key)), _FLOP_EACH_BYTE_ELSE)


@dataclass(frozen=True, slots=True)
class Duration:
    """Seconds of one decoding step, and of one micro-batch of a prompt."""

    decode_s: float = 0.0
    prefill_s: float = 0.0

    def __add__(self, other: Duration) -> Duration:
        return Duration(self.decode_s + other.decode_s, self.prefill_s + other.prefill_s)


@dataclass(frozen=True, slots=True)
class Task:
    """What a plan is made fast for: so many sessions at once, each with a prompt and an answer."""

    sessions: int
    prompt_tokens: int
    answer_tokens: int


def task_of(profile: Profile, sessions: int) -> Task:
    """*chat*: one person's question and answer. *documents*: every session reads a long text and answers briefly."""
    if profile == "documents":
        return Task(max(1, sessions), 8_192, 256)
    return Task(1, 1_024, 256)


def experts_touched(n_expert: int, n_expert_used: int, tokens: int) -> float:
    """Share of a layer's experts that ``tokens`` use at least once, if every expert is as likely as any other."""
    if n_expert <= 0:
        return 1.0
    return 1.0 - (1.0 - min(1.0, n_expert_used / n_expert)) ** tokens


class Pace:
    """Durations of every layer in every place, for one model, context and machine.

    Items are the layers in order and then the output. A card is named by its place in the budgets.
    """

    def __init__(
        self,
        facts: ModelFacts,
        shape: CacheShape,
        rates: MachineRates,
        task: Task,
        *,
        n_expert_used: int | None = None,
    ) -> None:
        self._facts = facts
        self._used = n_expert_used or facts.n_expert_used
        self._rates = rates
        self.task = task
        self.batch_tokens = max(1, min(shape.n_ubatch, task.prompt_tokens, shape.n_ctx))
        weights = facts.weights
        depth = min(DEPTH_TOKENS, shape.n_ctx)
        self._kv = [
            kv_token_bytes(layer, shape.kv_type)
            * (min(depth, facts.memory.window) if layer.windowed and facts.memory.window else depth)
            + layer.state_elements * 8  # read and written
            for layer in facts.memory.layers
        ] + [0]
        self._dense = [*weights.layers, weights.output + weights.tied]
        self._experts = [*weights.experts, Size()]
        self.host = [self._on_host(item) for item in range(len(self._dense))]
        """The whole item in main memory."""
        self.cards = [[self._dense_on(item, card) for item in range(len(self._dense))] for card in rates.cards]
        """The item on a card, without its experts."""
        self.experts = [[self._experts_on(item, card) for item in range(len(self._dense))] for card in rates.cards]
        """Its experts on the same card."""
        self.experts_in_ram = [self._experts_in_ram(item) for item in range(len(self._dense))]
        """Its experts in main memory while the rest of it is on a card."""

    def seconds(self, duration: Duration) -> float:
        """Of the whole task."""
        task = self.task
        batches = task.sessions * task.prompt_tokens / self.batch_tokens
        return batches * duration.prefill_s + task.answer_tokens * duration.decode_s

    def fixed(self, *, on_card: bool) -> Duration:
        """Of each step and micro-batch, whatever it computes."""
        return Duration(CARD_STEP_S, CARD_STEP_S) if on_card else Duration()

    def touched(self, tokens: int) -> float:
        """Share of the experts that so many tokens need."""
        return experts_touched(self._facts.n_expert, self._used, tokens)

    def _host_batch_s(self, item: int, *, with_dense: bool) -> float:
        """A micro-batch on weights in main memory, by the processor or copied to a card: what is quicker."""
        dense = self._dense[item] if with_dense else Size()
        return min(
            _batch_in_ram_s(self._rates, dense, self._experts[item], (self._facts, self._used), self._rows(item))
        )

    @property
    def _share_used(self) -> float:
        return self._used / self._facts.n_expert if self._facts.n_expert else 1.0

    def _step(self, item: int, rates: Rates, tokens: int, *, dense: bool, experts: bool) -> float:
        """The processor or a card on what lies in its own memory."""
        plain = self._dense[item] if dense else Size()
        routed = self._experts[item] if experts else Size()
        read = plain.bytes + routed.bytes * self.touched(tokens)
        work = 2 * tokens * (plain.elements + routed.elements * self._share_used)
        return max(read / rates.read_bytes_s, work / rates.flop_s)

    def _dense_on(self, item: int, card: Rates) -> Duration:
        sessions = self.task.sessions
        cache = self._kv[item] * sessions / card.read_bytes_s
        return Duration(
            self._step(item, card, sessions, dense=True, experts=False) + cache,
            self._step(item, card, self._rows(item), dense=True, experts=False),
        )

    def _experts_on(self, item: int, card: Rates) -> Duration:
        return Duration(
            self._step(item, card, self.task.sessions, dense=False, experts=True),
            self._step(item, card, self._rows(item), dense=False, experts=True),
        )

    def _on_host(self, item: int) -> Duration:
        host, sessions = self._rates.host, self.task.sessions
        cache = self._kv[item] * sessions / host.read_bytes_s
        decode = self._step(item, host, sessions, dense=True, experts=True) + cache + HOST_LAYER_S
        return Duration(decode, self._host_batch_s(item, with_dense=True) + HOST_LAYER_S)

    def _experts_in_ram(self, item: int) -> Duration:
        if not self._experts[item].bytes:
            return Duration()
        decode = self._step(item, self._rates.host, self.task.sessions, dense=False, experts=True)
        return Duration(decode + HOP_S, self._host_batch_s(item, with_dense=False) + HOP_S)

    def _rows(self, item: int) -> int:
        """Of a micro-batch: only the last token of a prompt goes through the output."""
        return 1 if item == len(self._dense) - 1 else self.batch_tokens


def _batch_in_ram_s(
    rates: MachineRates, dense: Size, experts: Size, routing: tuple[ModelFacts, int], tokens: int
) -> tuple[float, float]:
    """A batch on weights in main memory: (computed by the processor, copied to a card and computed there)."""
    facts, used = routing
    share = used / facts.n_expert if facts.n_expert else 1.0
    read = dense.bytes + experts.bytes * experts_touched(facts.n_expert, used, tokens)
    work = 2 * tokens * (dense.elements + experts.elements * share)
    link = max((card.link_bytes_s for card in rates.cards), default=0.0)
    copied = max(read / link, work / max(card.flop_s for card in rates.cards)) if link else float("inf")
    return max(read / rates.host.read_bytes_s, work / rates.host.flop_s), copied


def offload_threshold(facts: ModelFacts, rates: MachineRates, n_expert_used: int | None = None) -> int | None:
    """From how many tokens on copying weights to a card is quicker than computing where they are: a power of two.

    For the routed experts, or whole layers of a dense model. ``None`` without a card.
    """
    if not rates.cards:
        return None
    weights, used = facts.weights, n_expert_used or facts.n_expert_used
    routed = sum(weights.experts, Size())
    dense = Size() if routed.bytes else sum(weights.layers, Size())
    tokens = LEAST_OFFLOAD_TOKENS
    while tokens <= 4_096:
        computed, copied = _batch_in_ram_s(rates, dense, routed, (facts, used), tokens)
        if copied < computed:
            return tokens
        tokens *= 2
    return NO_OFFLOAD_TOKENS


def speed_of(duration: Duration, batch_tokens: int) -> Speed:
    """The bands of a plan that nothing was measured for."""
    decode, prefill = 1 / max(duration.decode_s, 1e-9), batch_tokens / max(duration.prefill_s, 1e-9)
    return Speed(_band(prefill, PREFILL_BAND), _band(decode, DECODE_BAND))


def _band(likely: float, share: tuple[float, float]) -> Band:
    return Band(likely * share[0], likely, likely * share[1])
