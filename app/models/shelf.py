"""The models on this machine as cards: built in, in our own folder, or used where they lie, be it with other programs.

Runs in the core thread. Finding files and reading their headers is ``engine.hub.library``'s, in a thread beside it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from app.lanes import StoreLane
from app.models.records import Measured, ModelCard
from app.paths import Paths
from app.store import measurements, model_files
from engine.errors import ModelFileError
from engine.gguf.split import read_model
from engine.hub import found
from engine.hub.found import Surroundings
from engine.hub.library import LocalModel, scan


class Shelf:
    """All models, the built-in ones first, then by name."""

    def __init__(self, paths: Paths, lane: StoreLane, around: Callable[[], Surroundings] = found.surroundings) -> None:
        """``around`` says where other programs would keep their models."""
        self._paths = paths
        self._lane = lane
        self._around = around

    @property
    def folder(self) -> Path:
        """Our own models."""
        return self._paths.models

    async def card(self, model_id: str) -> ModelCard:
        """Raises ``ModelFileError`` when there is none of that name."""
        for card in await self.cards():
            if card.id == model_id:
                return card
        raise ModelFileError(
            "no_such_model", f"There is no model {model_id} on this machine.", "See `gatehouse models`."
        )

    async def cards(self) -> tuple[ModelCard, ...]:
        return tuple(_card(model) for model in await self._models())

    async def files_of(self, card: ModelCard) -> tuple[Path, ...]:
        """Every shard."""
        return next((model.paths for model in await self._models() if model.id == card.id), (card.path,))

    async def measured(self, model_id: str) -> Measured | None:
        """What its latest answers reached."""
        return await self._lane.read(lambda connection: measurements.of(connection, model_id))

    async def _models(self) -> tuple[LocalModel, ...]:
        added = await self._lane.read(model_files.every)
        return await asyncio.to_thread(self._scan, added)

    async def add(self, path: Path) -> ModelCard:
        """Remember a file where it lies. Raises ``ModelFileError`` with its fault."""
        chosen = await asyncio.to_thread(_first_shard, path)
        known = next((card for card in await self.cards() if card.path.resolve() == chosen.resolve()), None)
        if known is not None:
            return known
        await self._lane.write(lambda connection: model_files.add(connection, chosen, time.time()))
        return next(card for card in await self.cards() if card.path == chosen)

    async def forget(self, card: ModelCard) -> None:
        """A file used in place; the file stays."""
        await self._lane.write(lambda connection: model_files.remove(connection, card.path))

    def _scan(self, added: tuple[Path, ...]) -> tuple[LocalModel, ...]:
        cache = self._paths.cache / "models.json"
        held = found.find_models(self._around())
        return scan([self._paths.models], added, self._paths.built_in_models, cache, held)


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
        holder=model.holder,
        n_layer=facts.n_layer if facts else 0,
        output=facts.output if facts else "text",
    )
