"""Decides what follows a worker's death: the same plan again, a smaller one, or the end. Pure; time is a parameter.

Naming the cause is ``engine.worker.diagnosis``'s; carrying the decision out is ``engine.worker.supervisor``'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from engine.fit.concession import Concession
from engine.fit.plan import Plan
from engine.worker.spec import Failed

_OUT_OF_MEMORY: Final = "out_of_memory"
_NEVER_HEALS: Final = frozenset(
    {"bad_model_file", "illegal_instruction", "missing_library", "port_in_use", "unstartable", "unsupported"}
)


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """How patient the supervisor is."""

    delays_s: tuple[float, ...] = (0.25, 1.0, 4.0, 15.0)
    """Wait before each restart in a row of quick deaths; the last one repeats."""
    long_life_s: float = 30.0
    """A worker that was ready for so long had a good life; its death begins a new row."""
    max_quick_deaths: int = 4
    """The end after so many quick deaths in a row."""


@dataclass(frozen=True, slots=True)
class Life:
    """One life of a worker, after its end."""

    plan: Plan
    was_ready: bool
    ready_s: float
    """How long it was ready."""
    announced: bool
    """It said itself that it fails, in good order."""
    failed: Failed


@dataclass(frozen=True, slots=True)
class Restart:
    """Start again with this plan, after a pause."""

    plan: Plan
    after_s: float
    gives_up: str = ""
    """What the smaller plan gives up, in a sentence for the person; empty for the same plan."""


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Stay down, and tell why."""

    failed: Failed


def next_action(life: Life, quick_deaths: int, policy: RestartPolicy) -> Restart | GiveUp:
    """What follows ``life``; ``quick_deaths`` counts the row of quick deaths including this one."""
    failed = life.failed
    if failed.code == _OUT_OF_MEMORY:
        return _after_want_of_memory(life, policy)
    if not life.was_ready and (failed.code in _NEVER_HEALS or life.announced):
        return GiveUp(failed)
    if quick_deaths >= policy.max_quick_deaths:
        times = f"It ended {quick_deaths} times in a row, so it is not started again by itself."
        return GiveUp(Failed(failed.code, f"{failed.sentence} {times}", failed.hint, failed.evidence))
    delay_index = min(max(quick_deaths, 1), len(policy.delays_s)) - 1
    return Restart(life.plan, policy.delays_s[delay_index])


def _after_want_of_memory(life: Life, policy: RestartPolicy) -> Restart | GiveUp:
    """A plan that never loaded is the person's to change: the ways are offered. One that was in use comes back smaller,
    by a way that is named, so that a conversation can go on."""
    smaller = step_down(life.plan, life.failed.concessions) if life.was_ready else None
    if smaller is None:
        return GiveUp(life.failed)
    plan, way = smaller
    return Restart(plan, policy.delays_s[0], way.sentence)


def is_quick(life: Life, policy: RestartPolicy) -> bool:
    """Whether the death belongs to a row of quick deaths."""
    return not life.was_ready or life.ready_s < policy.long_life_s


def step_down(plan: Plan, ways: Sequence[Concession]) -> tuple[Plan, Concession] | None:
    """The next smaller plan by the first way that needs no planning, and that way; ``None`` when there is none."""
    for way in ways:
        smaller = way.plan(plan)
        if smaller is not None and smaller != plan:
            return smaller, way
    return None
