"""Whether a model of a known size fits this machine, said at a glance: arithmetic on sizes, no file opened. Pure.

The exact answer is a plan (``app.models.planner``); what this says of a model is replaced by it once it was asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from engine.fit.budget import budgets
from engine.fit.plan import Band, Misfit, Plan
from engine.hardware.profile import DeviceKind, Machine

Verdict = Literal["fits", "splits", "tight", "too_large", "unknown"]

_OVERHEAD_SHARE = 0.06
_OVERHEAD_BYTES = 400 * 1024 * 1024
"""For a context of 8,192 tokens and compute buffers of a usual model; a plan says it exactly."""
_TIGHT_RATIO = 0.92
"""Above this share of what is usable, other programs decide whether it still fits tomorrow."""


@dataclass(frozen=True, slots=True)
class Fitness:
    """What is known of a model's fit before its header was read."""

    verdict: Verdict
    """``fits``: on the card, or in main memory where there is no card; ``splits``: needs both."""
    reason: str
    """One sentence with the numbers, or empty."""
    decode_tok_s: Band | None = None


UNKNOWN = Fitness("unknown", "")


def judge(size_bytes: int | None, machine: Machine) -> Fitness:
    """For weights of that size. ``None`` is unknown."""
    if size_bytes is None:
        return UNKNOWN
    memories = budgets(machine)
    needed = size_bytes + round(size_bytes * _OVERHEAD_SHARE) + _OVERHEAD_BYTES
    card = memories.card.usable_bytes if memories.card is not None else 0
    host = memories.host.usable_bytes
    room = host if memories.shared else host + card
    if needed > room:
        missing = needed - room
        return Fitness("too_large", f"Needs about {_size(needed)}; {_size(missing)} more than can be used now.")
    if card and not memories.shared and needed <= card:
        return Fitness("fits", f"About {_size(needed)} on the graphics card.")
    verdict: Verdict = "splits" if card and not memories.shared else "fits"
    if needed > room * _TIGHT_RATIO:
        verdict = "tight"
    where = "graphics card and main memory together" if verdict == "splits" else "memory"
    return Fitness(verdict, f"About {_size(needed)} of {where}, {_size(room)} can be used now.")


def of_plan(found: Plan | Misfit) -> Fitness:
    """What a plan says, at a glance."""
    if isinstance(found, Misfit):
        return Fitness("too_large", found.sentence)
    card = sum(device.needed_bytes for device in found.devices if device.kind is not DeviceKind.CPU)
    host = sum(device.needed_bytes for device in found.devices if device.kind is DeviceKind.CPU)
    here = [device for device in found.devices if device.kind is DeviceKind.CPU and device.weights_bytes > 0]
    splits = bool(card) and (bool(found.experts_in_ram) or (bool(here) and host > card // 4))
    where = (
        f"{_size(card)} of the graphics card and {_size(host)} of main memory" if card else f"{_size(host)} of memory"
    )
    return Fitness(
        "splits" if splits else "fits",
        f"Needs about {where}, with a context of {found.n_ctx:,} tokens.",
        found.speed.decode_tok_s if found.speed is not None else None,
    )


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:.1f} GB"
