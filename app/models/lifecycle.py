"""Which model should be loaded against which one is: the next thing to do. Pure.

Restarts after a death are ``engine.worker``'s; here a worker counts as running while its supervisor keeps it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.fit.plan import Plan, Wish


@dataclass(frozen=True, slots=True)
class Target:
    """A model, the wish, and the plan that grants it. The same wish is the same target, whatever is free by now."""

    model_id: str
    wish: Wish
    plan: Plan = field(compare=False)


@dataclass(frozen=True, slots=True)
class Observed:
    """What the service sees of its one worker."""

    target: Target | None
    """What the present supervisor was started for; ``None`` without one."""
    kept: bool
    """The supervisor keeps it: it starts, loads, answers, or is about to be restarted."""


@dataclass(frozen=True, slots=True)
class Nothing:
    """Desired and observed agree."""


@dataclass(frozen=True, slots=True)
class Discard:
    """End the present worker."""


@dataclass(frozen=True, slots=True)
class Begin:
    """Start a worker."""

    target: Target


Action = Nothing | Discard | Begin


def next_action(desired: Target | None, observed: Observed) -> Action:
    """One step towards ``desired``; asked again after each step until it says ``Nothing``."""
    if observed.target is None:
        return Nothing() if desired is None else Begin(desired)
    if observed.target == desired and observed.kept:
        return Nothing()
    return Discard()


def choose_model(
    asked: str | None, last_used: str | None, usable: tuple[str, ...], built_in: tuple[str, ...]
) -> str | None:
    """The model to load when none is: the one asked for, the one used last, the built-in one, any."""
    for candidate in (asked, last_used, *built_in, *usable):
        if candidate is not None and candidate in usable:
            return candidate
    return None


def usual_n_ctx(model_id: str, last_model_id: str | None, last_n_ctx: int | None, n_ctx: int | None) -> int | None:
    """The context for a model when nobody says one: what somebody chose for it last time, else the one for all."""
    return last_n_ctx if model_id == last_model_id and last_n_ctx is not None else n_ctx
