"""Which larger model is offered: one that is clearly larger, can chat, and fits by its exact plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from app.models.fitness import Fitness
from app.models.records import LoadedModel, ModelCard
from app.routing.larger import candidates, larger_model
from engine.errors import ModelFileError
from engine.fit.plan import Misfit, Plan, Wish
from ui.screenshots import sample

_CARD = ModelCard("small", "Small", Path("/m/s.gguf"), 1 << 30, False, True, "llama", "Q4", 10**9, 4096, 0, 0, None, "")


def _card(name: str, billions: float, **changes: object) -> ModelCard:
    return replace(_CARD, id=name, name=name, parameters=round(billions * 1e9), **changes)  # type: ignore[arg-type]


SMALL, OTHER, LARGE = _card("small", 1.0), _card("small-q8", 1.05, size_bytes=2 << 30), _card("large", 7)
HUGE = _card("huge", 70, fitness=Fitness("too_large", "Needs 40 GB."))
VECTORS, BROKEN = _card("vectors", 9, output="vectors"), _card("broken", 9, fault="Cut off.")
ALL = (SMALL, OTHER, LARGE, HUGE, VECTORS, BROKEN)


class Shelf:
    """Models of which some fit."""

    def __init__(self, fitting: Sequence[str]) -> None:
        self.fitting = fitting

    async def models(self) -> Sequence[ModelCard]:
        return (*ALL, _card("unreadable", 30))

    async def plan(self, model_id: str, wish: Wish) -> Plan | Misfit:
        if model_id == "unreadable":
            raise ModelFileError("gone", "The file is gone.")
        if model_id not in self.fitting:
            return Misfit("It does not fit.", "", 8 << 30, 4 << 30, None)
        return sample.plan(sample.MODELS[0], wish)

    def loaded(self) -> LoadedModel:
        return LoadedModel("small", None, None, None)


def test_only_clearly_larger_models_that_chat_are_candidates() -> None:
    assert [card.id for card in candidates(ALL, SMALL)] == ["large"]
    assert candidates(ALL, LARGE) == []
    assert [card.id for card in candidates(ALL, None)] == ["large", "small-q8", "small"]


async def test_the_plan_decides() -> None:
    found = await larger_model(Shelf(("large",)), None)
    assert found is not None
    assert found.id == "large"
    assert await larger_model(Shelf(()), None) is None
    assert await larger_model(Shelf(("large",)), "large") is None
