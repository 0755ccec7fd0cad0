"""Which larger model on this machine could answer instead: the largest that fits and is larger than the loaded one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from app.models.records import LoadedModel, ModelCard
from engine.errors import GatehouseError
from engine.fit.plan import Misfit, Plan, Wish

_LARGER_BY = 1.2
"""So much larger, at least: other quantizations of the same model are not a larger model."""
_TRIED_AT_MOST = 4
"""Plans are exact, and each opens a file."""


class Models(Protocol):
    """What this needs of the models."""

    async def models(self) -> Sequence[ModelCard]: ...

    async def plan(self, model_id: str, wish: Wish) -> Plan | Misfit: ...

    def loaded(self) -> LoadedModel: ...


async def larger_model(models: Models, than: str | None) -> ModelCard | None:
    """One that is larger than the model ``than``, or than the loaded one; ``None`` when none fits."""
    cards = await models.models()
    base = than or models.loaded().model_id
    of_base = next((card for card in cards if card.id == base), None)
    for card in candidates(cards, of_base)[:_TRIED_AT_MOST]:
        try:
            plan = await models.plan(card.id, Wish())
        except GatehouseError:
            continue  # a file that cannot be read is none that fits
        if isinstance(plan, Plan):
            return card
    return None


def candidates(cards: Sequence[ModelCard], than: ModelCard | None) -> list[ModelCard]:
    """Usable ones that are clearly larger, the largest first. Pure."""
    least = _size(than) * _LARGER_BY if than is not None else 0.0
    usable = [
        card
        for card in cards
        if not card.fault
        and card.output == "text"
        and card.fitness.verdict != "too_large"
        and (than is None or card.id != than.id)
        and _size(card) > least
    ]
    return sorted(usable, key=_size, reverse=True)


def _size(card: ModelCard) -> float:
    """Parameters where they are known: quantizations differ in bytes and not in what they can do."""
    return float(card.parameters or card.size_bytes)
