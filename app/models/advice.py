"""The catalogue for one machine: every model planned for by arithmetic, and which ones we would take. Pure, not quick.

The planning itself is ``engine.fit``'s, which is imported when asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.models import offers
from app.models.fitness import judge, of_plan
from app.models.offers import Offer, Suggestion
from engine.fit.experience import NO_EXPERIENCE, Experience
from engine.fit.plan import Wish
from engine.hardware.profile import Machine
from engine.hub.catalogue import CatalogueModel, Task, load_catalogue

if TYPE_CHECKING:
    from engine.fit.recommend import Pick


def catalogue_offers(machine: Machine, experience: Experience = NO_EXPERIENCE) -> tuple[Offer, ...]:
    """Every model of the catalogue with what is known of its fit and speed here."""
    return tuple(_planned(model, machine, experience) for model in load_catalogue().models)


def suggestions(machine: Machine, task: Task, experience: Experience = NO_EXPERIENCE) -> tuple[Suggestion, ...]:
    """What we would take: fast ones, strong ones, and what only a cloud can run."""
    from engine.fit.recommend import recommend

    found = recommend(load_catalogue(), machine, task, experience=experience)
    return tuple(_suggestion(pick, machine) for pick in (*found.fast, *found.strong, *found.cloud))


def judged(offer: Offer, machine: Machine) -> Offer:
    """By the sizes of its files alone, where no more is known."""
    fitness = [judge(choice.size_bytes, machine) for choice in offer.choices]
    return offers.with_fitness(offer, fitness, offers.suggested(offer.choices, fitness))


def _planned(model: CatalogueModel, machine: Machine, experience: Experience) -> Offer:
    from engine.fit.fit import fit_facts
    from engine.fit.sketched import sketch_facts

    offer = judged(offers.offer_of_model(model), machine)
    if model.kind == "embedding":
        return offer
    # Only the file that we would take, and smaller ones where it does not fit: each plan costs milliseconds.
    fitness = [choice.fitness for choice in offer.choices]
    for place in range(offer.suggested, -1, -1):
        facts = sketch_facts(model, model.variants[place])
        fitness[place] = of_plan(fit_facts(facts, Wish(sessions=1), machine, experience=experience))
        if fitness[place].verdict != "too_large":
            break
    return offers.with_fitness(offer, fitness, offers.suggested(offer.choices, fitness))


def _suggestion(pick: Pick, machine: Machine) -> Suggestion:
    offer = judged(offers.offer_of_model(pick.model), machine)
    place = pick.model.variants.index(pick.variant)
    return Suggestion(pick.tier, offer, offer.choices[place], pick.plan, pick.reasons)
