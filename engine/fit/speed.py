"""How long a layer takes in each memory it may lie in, and what that makes of a plan: tokens a second. Pure.

Decoding reads every weight that a token uses once, so it is ruled by bandwidth or by the kernel of the weights' type;
prefill multiplies the same weights with a whole micro-batch, so it is ruled by arithmetic, and by the way to the card
for weights that stay in main memory. On the processor, with T threads, a step of B tokens at depth D takes

    sum over types of max(bytes / memory, (bytes / kernel + rows * row), 2 B elements / kernel_flop) / T)
    + layers * nodes * (NODE_S + BARRIER_S) + layers * B (4 n_embd D / attention + 1000 n_embd / attention) / T
    + B * n_vocab * CHOICE_S + STEP_S

where what a kernel does is measured on this machine (``rates.py``); experts count by the share that is touched.
Corrections by what answers took are ``calibration.py``'s.
Source: the constants were fitted to runs of five models of 135M to 1.5B on two cores of a Zen 4; those of cards are of
measured runs of others.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.fit.facts import ModelFacts
from engine.fit.footprint import CacheShape, Size, kv_token_bytes
from engine.fit.plan import Band, Profile, Speed
from engine.fit.rates import MachineRates, Rates

HOP_S = 50e-6
"""From the card to main memory and back, for the experts of one layer."""
CARD_STEP_S = 1.5e-3
"""Launching a step's kernels."""
NODE_S = 1.6e-6
"""One operation of llama.cpp's graph beside the products."""
BARRIER_S = 1.7e-6
"""After each, several threads wait for each other."""
NODES_DENSE, NODES_ROUTED = 34, 47
"""Of a layer. Source: llama.cpp's count for Llama, Qwen and Gemma, and for a mixture of experts."""
STEP_S = 1.5e-3
"""The worker's own part of a step: choosing, text, and handing it over beside busy cores."""
CHOICE_S = 4e-9
"""Of each word of the vocabulary, for each token chosen."""
ATTENTION_ALONE = 0.4
"""Of attention's arithmetic with many tokens at once, what one token reaches."""
ELEMENTWISE_FLOP = 1_000
"""Norms, rotations, activations and copies of a layer, for each element of the embedding, at attention's pace."""
UNKNOWN_ATTENTION_FLOP_S = 25e9
"""Of a core."""
DEPTH_TOKENS = 256
"""Tokens already in the cache when a speed is predicted."""
LEAST_OFFLOAD_TOKENS = 32
"""Source: the default of ``GGML_OP_OFFLOAD_MIN_BATCH``."""
NO_OFFLOAD_TOKENS = 1 << 20
"""A threshold that no batch reaches."""

DECODE_BAND = (0.65, 1.4)
"""Of the likely figure, before anything was measured on this machine."""
PREFILL_BAND = (0.5, 1.8)
TIMED_BAND = (0.72, 1.33)
"""The same where this machine's own kernels were timed and no card takes part."""
_FORMULA = 2
"""Raised with every change of it: ratios to an earlier one correct nothing any more."""


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
        self.batch_tokens = max(1, min(shape.n_ubatch, task.prompt_tokens, shape.n_ctx_each))
        weights = facts.weights
        depth = self._depth = min(DEPTH_TOKENS, shape.n_ctx_each)
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
        return _products_s(rates, plain, routed, tokens, (self.touched(tokens), self._share_used))

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
        decode = self._step(item, host, sessions, dense=True, experts=True)
        prefill = self._host_batch_s(item, with_dense=True)
        if item == len(self._dense) - 1:
            return Duration(decode + STEP_S + CHOICE_S * sessions * self._facts.n_vocab, prefill)
        nodes_s = (NODE_S + BARRIER_S * (self._rates.threads > 1)) * (
            NODES_ROUTED if self._experts[item].bytes else NODES_DENSE
        )
        cache = self._kv[item] * sessions / host.read_bytes_s
        alone = sessions * self._attention_s(item, self._depth, ATTENTION_ALONE)
        together = self.batch_tokens * self._attention_s(item, self.task.prompt_tokens / 2, 1.0)
        return Duration(decode + max(cache, alone) + nodes_s, prefill + together + nodes_s)

    def _attention_s(self, item: int, depth: float, share: float) -> float:
        """Attention of one token to ``depth`` others, and all else of its layer that is no product of weights."""
        cores, layer, width = self._rates.host.cores, self._facts.memory.layers[item], self._facts.n_embd
        if layer.windowed and self._facts.memory.window:
            depth = min(depth, self._facts.memory.window)
        flop_s = UNKNOWN_ATTENTION_FLOP_S if cores is None else cores.kernels.attention_flop_s
        attending = 4 * width * depth / share if layer.key_elements else 0.0
        return (attending + ELEMENTWISE_FLOP * width) / (flop_s * self._rates.threads)

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
    computed = _products_s(rates.host, dense, experts, tokens, (experts_touched(facts.n_expert, used, tokens), share))
    link = max((card.link_bytes_s for card in rates.cards), default=0.0)
    copied = max(read / link, work / max(card.flop_s for card in rates.cards)) if link else float("inf")
    return computed, copied


def _products_s(rates: Rates, dense: Size, routed: Size, tokens: int, shares: tuple[float, float]) -> float:
    """``shares`` of the routed experts: that is read at all, and that one token works on."""
    if rates.cores is None:
        work = 2 * tokens * (dense.elements + routed.elements * shares[1])
        return max((dense.bytes + routed.bytes * shares[0]) / rates.read_bytes_s, work / rates.flop_s)
    return rates.product_s(dense, tokens) + rates.product_s(routed, tokens, read=shares[0], worked=shares[1])


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


def speed_of(duration: Duration, batch_tokens: int, *, kernels: bool = False) -> Speed:
    """The bands of a plan that nothing was measured for; ``kernels``: it runs on those alone that were timed here."""
    decode, prefill = 1 / max(duration.decode_s, 1e-9), batch_tokens / max(duration.prefill_s, 1e-9)
    if kernels:
        return Speed(_band(prefill, TIMED_BAND), _band(decode, TIMED_BAND), basis=f"{_FORMULA} kernels")
    return Speed(_band(prefill, PREFILL_BAND), _band(decode, DECODE_BAND), basis=f"{_FORMULA} constants")


def _band(likely: float, share: tuple[float, float]) -> Band:
    return Band(likely * share[0], likely, likely * share[1])
