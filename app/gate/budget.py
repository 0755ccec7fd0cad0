"""Budgets that stop: whether a request may still be paid for, and when days and months begin. Pure."""

from __future__ import annotations

from datetime import datetime

from app.gate.records import Budget
from engine.errors import GatehouseError


def day_start(now: float) -> float:
    """Midnight of the day of ``now``, by this machine's clock; seconds since the epoch."""
    local = datetime.fromtimestamp(now).astimezone()
    return local.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None).timestamp()


def month_start(now: float) -> float:
    """Midnight of the first day of the month of ``now``; seconds since the epoch."""
    local = datetime.fromtimestamp(now).astimezone()
    return local.replace(day=1, hour=0, minute=0, second=0, microsecond=0, tzinfo=None).timestamp()


def check(budget: Budget, cost_usd_at_most: float | None, provider: str) -> None:
    """Raises ``GatehouseError`` ``budget`` when a request might cost more than is left, ``no_price`` when nobody knows.

    ``budget`` holds what was spent, with what running requests may cost at most.
    """
    if budget.day_usd is None and budget.month_usd is None:
        return
    if cost_usd_at_most is None:
        raise GatehouseError(
            "no_price",
            f"There is a budget, and nobody said what {provider} costs, so nothing was sent.",
            "Enter its prices per million tokens, 0 when it is free: on the Gate page, or with"
            " `gatehouse providers change NAME --input-usd 1 --output-usd 2`.",
        )
    for name, limit, spent in (
        ("day", budget.day_usd, budget.spent_day_usd),
        ("month", budget.month_usd, budget.spent_month_usd),
    ):
        # What costs nothing breaks no budget, even one that is used up.
        if limit is not None and cost_usd_at_most > 0 and spent + cost_usd_at_most > limit + 1e-9:
            raise GatehouseError(
                "budget",
                f"This may cost up to ${cost_usd_at_most:.4f}, and of this {name}'s ${limit:.2f} only "
                f"${max(0.0, limit - spent):.4f} are left, so nothing was sent.",
                "Raise the budget, choose a cheaper provider, or stay local.",
            )
