"""From reasons and verdicts to what is used: policy before difficulty, difficulty, policy after it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from app.gate.records import Routed, Tier
from app.routing import rules
from app.routing.rules import Reason
from app.routing.thresholds import Thresholds

_TIERS: tuple[Tier, ...] = ("local", "larger", "cloud")
_NAMES: Mapping[Tier, str] = {
    "local": "the local model",
    "larger": "a larger local model",
    "cloud": "a model in the cloud",
}


def decide(reasons: Sequence[Reason], forbidden: Mapping[Tier, str], limits: Thresholds) -> Routed:
    """The tier that the reasons ask for, or the next lower one that is not forbidden; ``local`` remains in any case.

    ``forbidden``: tiers that cannot be used, each with the sentence that says why.
    """
    needed = rules.tier(reasons, limits)
    sentences = [reason.sentence for reason in sorted(reasons, key=lambda reason: -reason.points)]
    if needed == "local":
        sentences = sentences or ["Nothing in it looks hard."]
    used = next(
        tier for tier in reversed(_TIERS[: _TIERS.index(needed) + 1]) if tier == "local" or tier not in forbidden
    )
    if used != needed:
        sentences.append(f"It would take {_NAMES[needed]}, which cannot be used here: {forbidden[needed]}")
    known = tuple((tier, forbidden[tier]) for tier in _TIERS if tier in forbidden)
    return Routed(used, tuple(sentences), known)
