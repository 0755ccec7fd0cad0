"""The reasons of a plan and of a misfit in sentences with numbers. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from engine.fit.budget import Budgets
from engine.fit.facts import ModelFacts
from engine.fit.placement import Placement
from engine.fit.plan import Band, DeviceBytes, Misfit, Plan, Speed, Wish
from engine.fit.rates import MachineRates
from engine.fit.speed import NO_OFFLOAD_TOKENS, Duration, Pace, experts_touched
from engine.hardware.profile import DeviceKind

_POINTLESS = 1.5
"""Several sessions together should be at least so many times as fast as one, or there is little use in them."""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a plan was made in."""

    facts: ModelFacts
    budgets: Budgets
    rates: MachineRates
    wish: Wish
    pace: Pace
    step: Duration
    """Of the profile's task."""
    kv_reason: str
    """Why the cache is quantised although nobody wished it."""


def explain(plan: Plan, around: Circumstances) -> tuple[str, ...]:
    """Each choice in a sentence."""
    sentences = [
        *around.facts.estimated,
        _context(plan, around.wish),
        _not_apart(plan, around),
        *_devices(plan, around),
        *_experts(plan, around),
        *_sessions(plan, around),
        _kv_type(plan, around),
        *_batch(plan),
        _load_mode(plan),
        f"{plan.threads} threads: one for each core that may be used.",
        *_speed(plan, around),
    ]
    return tuple(sentence for sentence in sentences if sentence)


def _context(plan: Plan, wish: Wish) -> str:
    cache = sum(device.kv_bytes + device.recurrent_bytes for device in plan.devices)
    n_ctx = plan.n_ctx_each
    asked = "as wished" if wish.n_ctx and wish.n_ctx <= n_ctx else "the most that is sensible here"
    if wish.n_ctx and wish.n_ctx > n_ctx:
        asked = f"all that the model was trained on, not {wish.n_ctx:,}"
    if plan.n_parts > 1:
        return (
            f"A context of {n_ctx:,} tokens for each of {plan.n_parts} users alone, {asked}: "
            f"their {plan.n_ctx:,} take {size_words(cache)}."
        )
    return f"A context of {n_ctx:,} tokens, {asked}: its cache takes {size_words(cache)}."


def _not_apart(plan: Plan, around: Circumstances) -> str:
    wish, memory = around.wish, around.facts.memory
    if not wish.apart or wish.sessions < 2 or not plan.kv_unified:
        return ""
    if memory.recurrent:
        why = "this model keeps a running state, which does not come in parts"
    elif memory.window:
        why = f"layers of this model look back {memory.window:,} tokens only, and such a cache does not come in parts"
    else:
        why = "this model makes vectors and keeps no cache between requests"
    return f"{wish.sessions} users share one context of {plan.n_ctx:,} tokens: {why}."


def _devices(plan: Plan, around: Circumstances) -> list[str]:
    cards, host = plan.devices[:-1], plan.devices[-1]
    if not cards:
        return [f"All in main memory: {_use(host)}.{_why_no_card(around)}"]
    layers = around.facts.n_layer + 1
    counts = plan.layers_per_card or (plan.n_gpu_layers,)
    sentences = []
    for card, count in zip(cards, counts, strict=True):
        whole = "all layers" if count == layers else f"{count} of {layers} layers, the output counted,"
        sentences.append(f"{whole[0].upper()}{whole[1:]} on {card.name}: {_use(card)}.")
    if around.budgets.shared:
        sentences.append("Card and processor share one memory, which is counted once.")
    left = layers - plan.n_gpu_layers
    if left:
        kept = f"The first {left} layers" if left > 1 else "The first layer"
        sentences.append(f"{kept} and the word embeddings stay in main memory: {_use(host)}.")
    return sentences


def _why_no_card(around: Circumstances) -> str:
    cards = around.budgets.cards
    if not cards:
        return " There is no graphics card that llama.cpp can use."
    return f" {cards[0].name} has {size_words(cards[0].usable_bytes)} to use, which is too little to help."


def _use(device: DeviceBytes) -> str:
    return f"{size_words(device.needed_bytes)} of {size_words(device.free_bytes)} free"


def _experts(plan: Plan, around: Circumstances) -> list[str]:
    kept = plan.experts_in_ram
    if not kept:
        return []
    routed = sum(around.facts.weights.experts[layer].bytes for layer in kept)
    of = len(around.facts.weights.expert_layers)
    share = around.pace.touched(1)
    asked = around.wish.experts_in_ram is not None and len(kept) == around.wish.experts_in_ram
    why = "as wished" if asked else "because the cards cannot hold them"
    return [
        f"The experts of the last {len(kept)} of {of} layers ({size_words(routed)}) stay in main memory, {why}; "
        f"a token reads {share:.0%} of them. Attention and cache of these layers are on the card.",
    ]


def _sessions(plan: Plan, around: Circumstances) -> list[str]:
    """Says when serving several users is pointless with experts in main memory."""
    facts, sessions = around.facts, around.wish.sessions
    in_ram = bool(plan.experts_in_ram) or (facts.n_expert > 0 and plan.n_gpu_layers <= facts.n_layer)
    if sessions < 2 or not in_ram or not facts.n_expert:
        return []
    used = around.wish.n_expert_used or facts.n_expert_used
    more = experts_touched(facts.n_expert, used, sessions) / max(experts_touched(facts.n_expert, used, 1), 1e-9)
    sentence = (
        f"{sessions} sessions at once read {more:.1f} times the experts that one reads for each step, "
        f"because each token picks its own {used} of {facts.n_expert}"
    )
    if sessions / more < _POINTLESS:
        return [f"{sentence}: together they are hardly faster than one after the other. For several people, choose a "
                "model whose experts fit on the card, or a dense one."]  # fmt: skip
    return [f"{sentence}."]


def _kv_type(plan: Plan, around: Circumstances) -> str:
    wish = around.wish
    if plan.kv_type == "f16":
        odd = wish.kv_type not in (None, "f16")
        return "The cache is kept in f16: the model's heads do not divide into blocks of another type." if odd else ""
    if wish.kv_type is None:
        return (
            f"The cache is kept in {plan.kv_type}, half as large as f16 and nearly as exact: in f16 it would not fit."
        )
    return f"The cache is kept in {plan.kv_type}, as wished."


def _batch(plan: Plan) -> list[str]:
    sentences = []
    if plan.n_ubatch > 512:
        sentences.append(
            f"Prompts are read {plan.n_ubatch:,} tokens at a time: weights are then touched less often for a prompt."
        )
    if plan.op_offload_tokens == NO_OFFLOAD_TOKENS:
        sentences.append("Weights in main memory are never copied to the card: the way there is slower than computing.")
    elif plan.op_offload_tokens is not None:
        sentences.append(
            f"From {plan.op_offload_tokens:,} tokens on, weights in main memory are copied to the card for a prompt: "
            "that is quicker than computing them here."
        )
    return sentences


def _load_mode(plan: Plan) -> str:
    if plan.load_mode == "mmap":
        return "The file is mapped: loading is quick, and its pages count as free memory."
    if plan.n_gpu_layers:
        return "The file is read, not mapped: what stays in main memory reaches the card faster from there."
    return (
        "The file is read, not mapped: it lies on the network, where it could vanish under us, or its weights are laid "
        "out anew for this processor and would be in memory twice."
    )


def _speed(plan: Plan, around: Circumstances) -> list[str]:
    if plan.speed is None:
        return []
    decode, prefill = plan.speed.decode_tok_s, plan.speed.prefill_tok_s
    sentences = [f"About {_band(decode)} tokens a second, prompts at {_band(prefill)}: {_basis(plan.speed, around)}."]
    if around.rates.guessed and not plan.speed.calibrated:
        sentences.append(f"The bandwidth of {' and '.join(around.rates.guessed)} is a guess.")
    return sentences


def _basis(speed: Speed, around: Circumstances) -> str:
    if speed.calibrated:
        return "corrected by what this model was measured to do here"
    if speed.decode_factor != 1.0:
        return "corrected by what other models reached here, this one not yet measured"
    if around.rates.host.cores is not None:
        return "from the speed of this machine's memory and processor, this model not yet measured"
    return "not yet measured here"


def _band(band: Band) -> str:
    return f"{band.likely:,.0f} ({band.low:,.0f} to {band.high:,.0f})"


def explain_misfit(
    facts: ModelFacts,
    n_ctx: int,
    placement: Placement,
    offered: int | None,
    least_context: int,
    *,
    n_parts: int = 1,
) -> Misfit:
    """Why nothing fits, and what would. All contexts are those of one part."""
    each = f" for each of {n_parts} users" if n_parts > 1 else ""
    budget = placement.short_of
    on_host = budget.kind is DeviceKind.CPU
    where = "main memory" if on_host else f"the memory of {budget.name}"
    beside = sum(device.needed_bytes for device in placement.devices[:-1])
    where += f" beside {size_words(beside)} on {_names(placement)}" if beside and on_host else ""
    sentence = (
        f"{facts.name} with a context of {n_ctx:,} tokens{each} needs {size_words(placement.needed_bytes)} of {where}. "
        f"{size_words(budget.free_bytes)} are free, of which "
        f"{size_words(min(budget.reserve_bytes, budget.free_bytes))} stay "
        f"with the system, so {size_words(placement.missing_bytes)} are missing."
    )
    if offered is not None:
        hint = f"A context of {offered:,} tokens{each} fits."
    else:
        hint = (
            f"Not even a context of {least_context:,} tokens{each} fits: {'serve fewer users, ' if each else ''}close "
            "other programs, or choose a smaller model or a smaller quantization of this one."
        )
    return Misfit(sentence, hint, placement.needed_bytes, budget.usable_bytes, offered)


def _names(placement: Placement) -> str:
    return " and ".join(device.name for device in placement.devices[:-1])


def size_words(size_bytes: int) -> str:
    """Bytes as a person reads them."""
    if size_bytes >= 1_000_000_000:
        return f"{size_bytes / 1e9:.1f} GB"
    return f"{size_bytes / 1e6:.0f} MB"
