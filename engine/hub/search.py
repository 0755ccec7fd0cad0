"""Searches a hub for repositories of GGUF models. What the hub does not say stays ``None``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Literal, assert_never

from engine.hub.client import HubClient, licence_of
from engine.hub.patience import Halt
from engine.hub.repository import RemoteFile, Repository, models_of

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo

Order = Literal["downloads", "trending", "likes", "updated"]
LIMIT = 100
"""The most that is asked for at once."""
_PROPERTIES = ["author", "cardData", "downloads", "gated", "gguf", "lastModified", "likes", "pipeline_tag", "sha"]
_PROPERTIES += ["siblings", "tags"]


@dataclass(frozen=True, slots=True)
class SearchWish:
    """What a person looks for; empty or ``None`` leaves it open."""

    words: str = ""
    owner: str = ""
    licence: str = ""
    """As the hub spells it: ``apache-2.0``."""
    task: str = ""
    """The hub's tag: ``text-generation``, ``feature-extraction``, …"""
    least_parameters: int | None = None
    most_parameters: int | None = None
    with_gated: bool = True
    order: Order = "downloads"
    limit: int = 30


@dataclass(frozen=True, slots=True)
class FoundRepository:
    """A repository that a search found."""

    repo: str
    downloads: int | None
    """Of the last month."""
    likes: int | None
    updated_on: date | None
    licence: str | None
    gated: bool
    task: str | None
    architecture: str | None
    parameters: int | None
    context_tokens: int | None
    quantizations: tuple[str, ...]
    """Of the complete models in it, in the order of their names."""


def search(client: HubClient, wish: SearchWish, halt: Halt) -> tuple[FoundRepository, ...]:
    """Ask the hub. Blocking. Raises: ``HubError``; ``Halted``."""
    found = [_read(info) for info in client.model_list(_parameters(wish), halt)]
    return tuple(entry for entry in found if _is_wanted(entry, wish))[: wish.limit]


def _parameters(wish: SearchWish) -> dict[str, str | list[str]]:
    tags = ["gguf"]
    if wish.licence:
        tags.append(f"license:{wish.licence}")
    # Sizes and gates are sifted here, so more is asked for than is wanted.
    sifted = not wish.with_gated or wish.least_parameters is not None or wish.most_parameters is not None
    asked = LIMIT if sifted else min(wish.limit, LIMIT)
    parameters: dict[str, str | list[str]] = {
        "filter": tags,
        "sort": _sort(wish.order),
        "limit": str(asked),
        "expand": _PROPERTIES,
    }
    for key, value in (("search", wish.words), ("author", wish.owner), ("pipeline_tag", wish.task)):
        if value.strip():
            parameters[key] = value.strip()
    return parameters


def _sort(order: Order) -> str:
    match order:
        case "downloads" | "likes":
            return order
        case "trending":
            return "trendingScore"
        case "updated":
            return "lastModified"
        case _:
            assert_never(order)


def _is_wanted(entry: FoundRepository, wish: SearchWish) -> bool:
    if entry.gated and not wish.with_gated:
        return False
    if wish.least_parameters is not None and (entry.parameters is None or entry.parameters < wish.least_parameters):
        return False
    return wish.most_parameters is None or (entry.parameters is not None and entry.parameters <= wish.most_parameters)


def _read(info: ModelInfo) -> FoundRepository:
    gguf: dict[object, object] = info.gguf if isinstance(info.gguf, dict) else {}
    paths: list[object] = [sibling.rfilename for sibling in info.siblings or ()]
    files = tuple(RemoteFile(path, 0, None) for path in paths if isinstance(path, str))
    models = models_of(Repository(info.id, "", "", files, False, None, None))
    architecture = gguf.get("architecture")
    return FoundRepository(
        repo=info.id,
        downloads=_count(info.downloads),
        likes=_count(info.likes),
        updated_on=info.last_modified.date() if info.last_modified is not None else None,
        licence=licence_of(info),
        gated=bool(info.gated),
        task=info.pipeline_tag if isinstance(info.pipeline_tag, str) else None,
        architecture=architecture[:64] if isinstance(architecture, str) else None,
        parameters=_count(gguf.get("total")),
        context_tokens=_count(gguf.get("context_length")),
        quantizations=tuple(dict.fromkeys(model.quantization for model in models if model.quantization)),
    )


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
