"""Models that are not here yet, as the product shows them: of the catalogue, and of a search on a hub. Pure.

What fits is ``app.models.fitness``'s, asking a hub ``app.models.hub``'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Literal

from app.models.fitness import UNKNOWN, Fitness
from engine.fit.plan import Plan
from engine.hub.catalogue import CatalogueModel, Variant
from engine.hub.repository import RemoteModel, Repository, models_of

if TYPE_CHECKING:
    from engine.hub.search import FoundRepository

Kind = Literal["dense", "moe", "embedding"]
Place = Literal["catalogue", "hub"]
QueryOrder = Literal["downloads", "trending", "likes", "updated"]


@dataclass(frozen=True, slots=True)
class Query:
    """What a person looks for on a hub; empty or ``None`` leaves it open. Only this leaves the machine."""

    words: str = ""
    licence: str = ""
    task: str = ""
    """The hub's tag: ``text-generation``, ``feature-extraction``."""
    least_parameters: int | None = None
    most_parameters: int | None = None
    with_gated: bool = True
    order: QueryOrder = "downloads"


@dataclass(frozen=True, slots=True)
class Choice:
    """One quantization of an offer: what would be fetched."""

    repo: str
    wanted: str
    """A file or a quantization of the repository, as ``engine.hub.repository.choose`` takes it."""
    quantization: str
    size_bytes: int | None
    """``None`` until the hub was asked."""
    shards: int
    pinned: bool
    """The catalogue knows every hash: no other file will do."""
    catalogue_id: str | None = None
    fitness: Fitness = UNKNOWN


@dataclass(frozen=True, slots=True)
class Offer:
    """A model that could be fetched."""

    id: str
    """The catalogue's id, or ``owner/name``."""
    place: Place
    name: str
    maker: str
    kind: Kind | None
    architecture: str
    parameters: int | None
    active_parameters: int | None
    n_ctx_train: int | None
    n_expert: int
    n_expert_used: int
    licence: str | None
    gated: bool
    tasks: tuple[str, ...]
    catches: tuple[str, ...]
    """What to know before choosing it, in sentences."""
    downloads: int | None
    """Of the last month."""
    updated_on: date | None
    choices: tuple[Choice, ...]
    """The smallest first; empty when there is nothing to fetch."""
    suggested: int
    """The place of the choice that we would take."""

    @property
    def choice(self) -> Choice | None:
        """The suggested one."""
        return self.choices[self.suggested] if self.choices else None


Tier = Literal["fast", "strong", "cloud"]


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A model that we would take on this machine, and why."""

    tier: Tier
    offer: Offer
    choice: Choice
    plan: Plan | None
    """Estimated from the catalogue's facts; ``None`` for what only a cloud can run."""
    reasons: tuple[str, ...]
    """Sentences with numbers, the most telling first."""


def offer_of(found: FoundRepository) -> Offer:
    """A repository that a search found; sizes are not known before it is looked into."""
    owner, _, name = found.repo.partition("/")
    choices = tuple(Choice(found.repo, word, word, None, 1, False) for word in found.quantizations)
    return Offer(
        id=found.repo,
        place="hub",
        name=name,
        maker=owner,
        kind=None,
        architecture=found.architecture or "",
        parameters=found.parameters,
        active_parameters=None,
        n_ctx_train=found.context_tokens,
        n_expert=0,
        n_expert_used=0,
        licence=found.licence,
        gated=found.gated,
        tasks=(found.task,) if found.task else (),
        catches=(),
        downloads=found.downloads,
        updated_on=found.updated_on,
        choices=choices,
        suggested=usual(choices),
    )


def looked_into(offer: Offer, repository: Repository) -> Offer:
    """The same offer with every complete model of its repository and their sizes."""
    models = sorted(models_of(repository), key=lambda model: model.size_bytes)
    choices = tuple(_choice_of(model) for model in models)
    licence = repository.licence or offer.licence
    return replace(offer, choices=choices, suggested=usual(choices), gated=repository.gated, licence=licence)


def usual(choices: Sequence[Choice]) -> int:
    """Four bits where there are any: half a file is rarely half as good."""
    for mark in ("Q4_K_M", "Q4_K_XL", "MXFP4", "Q4"):
        for place, choice in enumerate(choices):
            if mark in choice.quantization:
                return place
    return 0


def with_fitness(offer: Offer, fitness: Sequence[Fitness], suggested: int) -> Offer:
    """The offer with what was found of each of its choices."""
    choices = tuple(replace(choice, fitness=fit) for choice, fit in zip(offer.choices, fitness, strict=True))
    return replace(offer, choices=choices, suggested=suggested)


def offer_of_model(model: CatalogueModel) -> Offer:
    """A model of the catalogue."""
    choices = tuple(_choice(model, variant) for variant in model.variants)
    geometry = model.geometry
    return Offer(
        id=model.id,
        place="catalogue",
        name=model.name,
        maker=model.maker,
        kind=model.kind,
        architecture=model.architecture or "",
        parameters=model.parameters,
        active_parameters=model.active_parameters,
        n_ctx_train=model.context_tokens,
        n_expert=geometry.experts or 0,
        n_expert_used=geometry.experts_used or 0,
        licence=model.licence,
        gated=False,
        tasks=model.tasks,
        catches=model.catches,
        downloads=None,
        updated_on=None,
        choices=choices,
        suggested=usual(choices),
    )


def _choice(model: CatalogueModel, variant: Variant) -> Choice:
    size = variant.exact_bytes or variant.about_bytes
    files = variant.files
    wanted = files[0].path
    return Choice(variant.repo, wanted, variant.quantization, size, len(files), variant.is_pinned, model.id)


def _choice_of(model: RemoteModel) -> Choice:
    word = model.quantization or model.name
    return Choice(model.repo, model.files[0].path, word, model.size_bytes, len(model.files), False)


def suggested(choices: Sequence[Choice], fitness: Sequence[Fitness]) -> int:
    """The usual choice, or the largest below it that fits where the usual one does not."""
    place = usual(choices)
    while place > 0 and fitness[place].verdict == "too_large":
        place -= 1
    return place


def first_choices(suggestions: Sequence[Suggestion], count: int = 3) -> tuple[Suggestion, ...]:
    """What to name first: the best strong one, the best fast one, then the next of either; no model twice."""
    strong = [entry for entry in suggestions if entry.tier == "strong"]
    fast = [entry for entry in suggestions if entry.tier == "fast"]
    ordered = [*strong[:1], *fast[:1], *strong[1:], *fast[1:]]
    chosen: dict[str, Suggestion] = {}
    for entry in ordered:
        chosen.setdefault(entry.offer.id, entry)
    return tuple(chosen.values())[:count]
