"""Which models of the catalogue this machine should run: a fast one, a strong one, and what only a cloud can do. Pure.

Every file of the catalogue is planned for by arithmetic alone (``engine.fit.sketched``); no file is opened and nothing
is asked of llama.cpp. What a person then fetches is planned exactly.

Strength is a rule of thumb, and the reasons say so: nobody measured these models on this person's tasks. It is the
geometric mean of all and of active parameters, as if half of them were needed each year, less what few bits cost.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Literal

from engine.fit.experience import NO_EXPERIENCE, Experience
from engine.fit.fit import COMFORTABLE_CONTEXT, fit_facts
from engine.fit.plan import Misfit, Plan, Wish
from engine.fit.reasons import size_words
from engine.fit.sketched import sketch_facts, sketched_bytes
from engine.hardware.profile import Machine
from engine.hub.catalogue import Catalogue, CatalogueModel, Task, Variant

Tier = Literal["fast", "strong", "cloud"]
"""*fast* answers at once, *strong* is the best this machine can run, *cloud* fits only much larger machines."""

QUICK_TOK_S = 30.0
"""Quicker than anybody reads."""
READING_TOK_S = 12.0
"""A little quicker than people read: a slower model loses as much of its worth."""
USABLE_TOK_S = 2.0
"""Slower ones are not recommended."""
_QUICKER = 1.5
"""A fast model is at least so many times as quick as the strong one, or there is no use in both."""
_YEAR_ZERO = date(2024, 1, 1)
_YEARS_TO_HALVE = 1.0
"""Source: small models of 2025 and 2026 beside large ones of the years before, in their makers' own reports."""
_LOSS = (("IQ1", 0.4), ("TQ1", 0.4), ("IQ2", 0.6), ("Q2", 0.6), ("IQ3", 0.8), ("Q3", 0.85))
"""Of strength, by quantization; four bits and more count as whole."""
_THINKING = 0.7
"""Of a fast model's worth when it thinks before it answers: the first word comes late."""


@dataclass(frozen=True, slots=True)
class Pick:
    """A model of one tier, with its reasons."""

    tier: Tier
    model: CatalogueModel
    variant: Variant
    """The file to fetch; of a cloud model, the smallest that there is."""
    size_bytes: int | None
    """To download; ``None`` where nobody knows."""
    plan: Plan | None
    """Planned from the catalogue's facts: estimated, not exact. ``None`` for the cloud."""
    misfit: Misfit | None
    """Why it does not fit here; only of the cloud."""
    reasons: tuple[str, ...]
    """Sentences with numbers, the most telling first."""


@dataclass(frozen=True, slots=True)
class Advice:
    """The recommendation for one task; every tier the best first, and empty where there is nothing to say."""

    task: Task
    fast: tuple[Pick, ...]
    strong: tuple[Pick, ...]
    cloud: tuple[Pick, ...]


@dataclass(frozen=True, slots=True)
class _Tried:
    """One file of one model on this machine."""

    model: CatalogueModel
    variant: Variant
    plan: Plan
    strength: float

    @property
    def decode_tok_s(self) -> float:
        return self.plan.speed.decode_tok_s.likely if self.plan.speed else 0.0

    @property
    def worth(self) -> float:
        """Strength, less what waiting costs."""
        return self.strength * min(1.0, self.decode_tok_s / READING_TOK_S)

    @property
    def quick_worth(self) -> float:
        """Of a model that is to answer at once."""
        return self.strength * (_THINKING if self.model.thinks else 1.0)


def recommend(
    catalogue: Catalogue,
    machine: Machine,
    task: Task = "chat",
    wish: Wish | None = None,
    *,
    experience: Experience = NO_EXPERIENCE,
    picks: int = 3,
) -> Advice:
    """Rank what fits ``machine`` for ``task``; at most ``picks`` a tier. Takes seconds: not for Qt's thread."""
    wish = wish or Wish(sessions=1)
    models = catalogue.for_task(task)
    tried = [one for model in models if (one := _try_model(model, wish, machine, experience)) is not None]
    usable = [one for one in tried if one.decode_tok_s >= USABLE_TOK_S]
    strong = _best(usable, picks, lambda one: one.worth)
    head = strong[0] if strong else None
    fast = _best(_quick(usable, head), picks, lambda one: one.quick_worth)
    there = {one.model.id for one in tried}
    final = {one.model.id: _replanned(one, wish, machine, experience) for one in (*fast, *strong)}
    beyond = [model for model in models if model.id not in there]
    return Advice(
        task,
        fast=tuple(_pick("fast", final[one.model.id], rank, head) for rank, one in enumerate(fast)),
        strong=tuple(_pick("strong", final[one.model.id], rank, head) for rank, one in enumerate(strong)),
        cloud=_cloud(beyond, head, wish, machine, picks),
    )


def strength(model: CatalogueModel, variant: Variant) -> float:
    """A rule of thumb, in billions of dense parameters of the year 2024."""
    size = sketched_bytes(model, variant) * 8 / 4.85 if model.parameters is None else float(model.parameters)
    active = float(model.active_parameters or _active(model, size))
    born = date.fromisoformat(model.published_on) if model.published_on else _YEAR_ZERO
    years = (born - _YEAR_ZERO).days / 365.25
    loss = next((share for mark, share in _LOSS if mark in variant.quantization), 1.0)
    return math.sqrt(size * active) / 1e9 * 2 ** (years / _YEARS_TO_HALVE) * loss


def _active(model: CatalogueModel, size: float) -> float:
    """Of a model whose active parameters nobody wrote down: its share of experts, and a little for all else."""
    shape = model.geometry
    if model.kind != "moe":
        return size
    if not shape.experts or not shape.experts_used:
        return size / 8
    return size * min(1.0, shape.experts_used / shape.experts * 0.95 + 0.03)


def _try_model(model: CatalogueModel, wish: Wish, machine: Machine, experience: Experience) -> _Tried | None:
    """The usual file, or the largest below it that fits; with a usual context, which is quicker to plan for."""
    usual_wish = wish if wish.n_ctx else replace(wish, n_ctx=COMFORTABLE_CONTEXT[wish.profile])
    room = machine.memory.available_bytes + sum(gpu.free_bytes for gpu in machine.gpus if not gpu.unified)
    usual = sketched_bytes(model, model.variant())
    sizes = {sketched_bytes(model, variant): variant for variant in model.variants}
    for size in sorted((size for size in sizes if size <= min(usual, room)), reverse=True):
        facts = sketch_facts(model, sizes[size])
        plan = fit_facts(facts, usual_wish, machine, experience=experience)
        if isinstance(plan, Misfit) and plan.offered_n_ctx is not None and not wish.n_ctx:
            plan = fit_facts(facts, wish, machine, experience=experience)
        if isinstance(plan, Plan):
            return _Tried(model, sizes[size], plan, strength(model, sizes[size]))
    return None


def _quick(usable: Sequence[_Tried], head: _Tried | None) -> list[_Tried]:
    """What is quick, and clearly quicker than the strongest."""
    if head is None:
        return []
    quicker = [one for one in usable if one.decode_tok_s >= head.decode_tok_s * _QUICKER and one.model != head.model]
    return [one for one in quicker if one.decode_tok_s >= QUICK_TOK_S] or quicker


def _best(tried: Sequence[_Tried], count: int, worth: Callable[[_Tried], float]) -> list[_Tried]:
    return sorted(tried, key=lambda one: (-worth(one), one.model.id))[:count]


def _cloud(
    beyond: Sequence[CatalogueModel], head: _Tried | None, wish: Wish, machine: Machine, count: int
) -> tuple[Pick, ...]:
    """The strongest models that no file of fits here, if they are stronger than the best that does."""
    least = head.strength if head else 0.0
    whole = [(strength(model, model.variant()), model) for model in beyond]
    ranked = sorted((row for row in whole if row[0] > least), key=lambda row: (-row[0], row[1].id))
    picks = []
    for _, model in ranked:
        variant = min(model.variants, key=lambda one: sketched_bytes(model, one))
        misfit = fit_facts(sketch_facts(model, variant), wish, machine)
        if isinstance(misfit, Misfit):
            size = sketched_bytes(model, variant)
            reasons = (f"Its smallest file has {size_words(size)}. {misfit.sentence}", _size_sentence(model))
            told = tuple(reason for reason in reasons if reason)
            picks.append(Pick("cloud", model, variant, variant.about_bytes, None, misfit, told))
        if len(picks) == count:
            break
    return tuple(picks)


def _replanned(one: _Tried, wish: Wish, machine: Machine, experience: Experience) -> _Tried:
    """With the context that a person would get."""
    plan = fit_facts(sketch_facts(one.model, one.variant), wish, machine, experience=experience)
    return replace(one, plan=plan) if isinstance(plan, Plan) else one


def _pick(tier: Tier, one: _Tried, rank: int, head: _Tried | None) -> Pick:
    reasons = [_rank_sentence(tier, rank, one, head), _speed_sentence(one), _size_sentence(one.model)]
    reasons.append(_where_sentence(one))
    told = tuple(reason for reason in reasons if reason)
    return Pick(tier, one.model, one.variant, one.variant.about_bytes, one.plan, None, told)


def _rank_sentence(tier: Tier, rank: int, one: _Tried, head: _Tried | None) -> str:
    if tier == "fast" and head is not None:
        times = one.decode_tok_s / max(head.decode_tok_s, 1e-9)
        return f"About {times:.1f} times as quick as {head.model.name}, the strongest that fits here."
    if rank == 0:
        return "The strongest that fits here, by its size and its age. Your own tasks may rank it otherwise."
    return "Nearly as strong, by its size and its age."


def _speed_sentence(one: _Tried) -> str:
    if one.plan.speed is None:
        return ""
    speed = one.plan.speed
    band, basis = speed.decode_tok_s, "by arithmetic"
    if speed.calibrated:
        basis = "as measured on this machine"
    elif speed.decode_factor != 1.0:
        basis += ", corrected by what other models reached on this machine"
    return f"About {band.likely:,.0f} tokens a second ({band.low:,.0f} to {band.high:,.0f}), {basis}."


def _size_sentence(model: CatalogueModel) -> str:
    if model.parameters is None:
        return ""
    whole = model.parameters / 1e9
    if model.kind != "moe" or not model.active_parameters:
        return f"{whole:,.1f} billion parameters."
    active = model.active_parameters / 1e9
    return f"{whole:,.1f} billion parameters rule its memory, the {active:.1f} billion active ones its speed."


def _where_sentence(one: _Tried) -> str:
    plan = one.plan
    cards, host = plan.devices[:-1], plan.devices[-1]
    context = f"with a context of {plan.n_ctx_each:,} tokens"
    if not cards:
        return f"Takes {size_words(host.needed_bytes)} of main memory, {context}."
    on_cards = size_words(sum(card.needed_bytes for card in cards))
    kept = f" The experts of {len(plan.experts_in_ram)} layers stay in main memory." if plan.experts_in_ram else ""
    return f"Takes {on_cards} of the cards and {size_words(host.needed_bytes)} of main memory, {context}.{kept}"
