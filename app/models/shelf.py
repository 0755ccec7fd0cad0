"""The models on this machine as cards: built in, in our own folder, or used where they lie.

Runs in the core thread. Finding files and reading their headers is ``engine.hub.library``'s, in a thread beside it.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from app.lanes import StoreLane
from app.models.records import ModelCard
from app.paths import Paths
from app.store import model_files
from engine.errors import ModelFileError
from engine.gguf.split import read_model
from engine.hub.library import LocalModel, scan


class Shelf:
    """All models, the built-in ones first, then by name."""

    def __init__(self, paths: Paths, lane: StoreLane) -> None:
        self._paths = paths
        self._lane = lane

    async def cards(self) -> tuple[ModelCard, ...]:
        added = await self._lane.read(model_files.every)
        return tuple(_card(model) for model in await asyncio.to_thread(self._scan, added))

    async def add(self, path: Path) -> ModelCard:
        """Remember a file where it lies. Raises ``ModelFileError`` with its fault."""
        chosen = await asyncio.to_thread(_first_shard, path)
        known = next((card for card in await self.cards() if card.path.resolve() == chosen.resolve()), None)
        if known is not None:
            return known
        await self._lane.write(lambda connection: model_files.add(connection, chosen, time.time()))
        return next(card for card in await self.cards() if card.path == chosen)

    async def remove(self, card: ModelCard) -> None:
        """Forget a file used in place; the file stays. Raises ``ModelFileError`` for any other."""
        if card.built_in or card.managed:
            raise ModelFileError("not_added", f"{card.name} belongs to Gatehouse and is not a file used in place.")
        await self._lane.write(lambda connection: model_files.remove(connection, card.path))

    def _scan(self, added: tuple[Path, ...]) -> tuple[LocalModel, ...]:
        cache = self._paths.cache / "models.json"
        return scan([self._paths.models], added, self._paths.built_in_models, cache)


def _first_shard(path: Path) -> Path:
    """The file to give to llama.cpp, for any file of a model. Raises ``ModelFileError``."""
    return read_model(path.expanduser().absolute()).path


def _card(model: LocalModel) -> ModelCard:
    facts = model.facts
    return ModelCard(
        id=model.id,
        name=model.name,
        path=model.path,
        size_bytes=model.size_bytes,
        built_in=model.built_in,
        managed=model.managed and not model.built_in,
        architecture=facts.architecture if facts else "",
        quantization=facts.quantization if facts else "",
        parameters=facts.parameters if facts else None,
        n_ctx_train=facts.n_ctx_train if facts else None,
        n_expert=facts.n_expert if facts else 0,
        n_expert_used=facts.n_expert_used if facts else 0,
        licence=facts.licence if facts else None,
        fault=model.fault,
    )
