"""Recommendations: what is in them is true, quick is quick, and strong fits."""

from __future__ import annotations

from typing import get_args

import pytest

from engine.fit.described import describe_machine
from engine.fit.experience import Experience, SpeedSample
from engine.fit.plan import Wish
from engine.fit.recommend import Pick, recommend, strength
from engine.hub.catalogue import CatalogueModel, Task, load_catalogue

CATALOGUE = load_catalogue()
SMALL = "ram=8GiB,cpu=30GB/s"
USUAL = "ram=32GiB,gpu=16GiB:448GB/s,cpu=50GB/s"
LITTLE_CARD = "ram=32GiB,gpu=8GiB:448GB/s,cpu=50GB/s"
LARGE = "ram=128GiB,unified=96GiB:256GB/s,cpu=120GB/s"


def _tok_s(pick: Pick) -> float:
    assert pick.plan is not None
    assert pick.plan.speed is not None
    return pick.plan.speed.decode_tok_s.likely


@pytest.mark.parametrize(
    ("description", "task"), [*((SMALL, task) for task in get_args(Task)), (USUAL, "chat"), (LARGE, "extraction")]
)
@pytest.mark.slow
def test_every_tier_keeps_what_it_says(description: str, task: Task) -> None:
    advice = recommend(CATALOGUE, describe_machine(description), task)
    assert advice.strong
    for pick in (*advice.fast, *advice.strong):
        assert task in pick.model.tasks
        assert pick.variant in pick.model.variants
        assert pick.misfit is None
        assert pick.reasons
        assert _tok_s(pick) >= 2
    for pick in advice.fast:
        assert _tok_s(pick) > 1.4 * _tok_s(advice.strong[0])
    for pick in advice.cloud:
        assert pick.plan is None
        assert pick.misfit is not None
        assert strength(pick.model, pick.model.variant()) > strength(advice.strong[0].model, advice.strong[0].variant)
    assert len({pick.model.id for pick in advice.strong}) == len(advice.strong) <= 3


def test_a_small_card_beside_much_memory_is_for_experts() -> None:
    """Eight gigabytes hold no dense model of 27 billion parameters, but a mixture that is as strong runs well."""
    advice = recommend(CATALOGUE, describe_machine(LITTLE_CARD))
    split = [pick for pick in (*advice.fast, *advice.strong) if pick.plan is not None and pick.plan.experts_in_ram]
    assert split
    assert all(pick.model.kind == "moe" for pick in split)


def test_what_takes_hundreds_of_gigabytes_is_for_the_cloud() -> None:
    advice = recommend(CATALOGUE, describe_machine(USUAL))
    assert {"kimi-k2", "deepseek-r1"} & {pick.model.id for pick in advice.cloud}
    assert "are missing" in advice.cloud[0].reasons[0]


def test_more_machine_is_never_a_weaker_recommendation() -> None:
    worths = []
    for description in (SMALL, "ram=16GiB,cpu=50GB/s", USUAL):
        pick = recommend(CATALOGUE, describe_machine(description)).strong[0]
        worths.append(strength(pick.model, pick.variant) * min(1.0, _tok_s(pick) / 12))
    assert worths == sorted(worths)


def test_age_counts_and_few_bits_cost() -> None:
    def model(name: str) -> CatalogueModel:
        found = CATALOGUE.find(name)
        assert found is not None
        return found

    old, new = model("qwen2.5-32b"), model("qwen3-32b")
    assert strength(new, new.variant()) > 1.2 * strength(old, old.variant())
    coarse = model("qwen3-30b-a3b-2507")
    assert strength(coarse, coarse.variant("UD-IQ2_XXS")) < 0.7 * strength(coarse, coarse.variant())


def test_what_was_measured_decides() -> None:
    """A machine whose processor proved ten times as slow gets a smaller model."""
    here = describe_machine("ram=16GiB,cpu=50GB/s")
    guessed = recommend(CATALOGUE, here)
    plan = guessed.strong[0].plan
    assert plan is not None
    assert plan.speed is not None
    slow = Experience(tuple(SpeedSample(f"{n}.gguf", "host", 0.1, 0.1, plan.speed.basis) for n in range(6)))
    measured = recommend(CATALOGUE, here, "chat", Wish(sessions=1), experience=slow)
    assert guessed.strong[0].model != measured.strong[0].model
    assert any("corrected by what other models reached" in reason for reason in measured.strong[0].reasons)
