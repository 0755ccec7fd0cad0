"""The models on this machine: built in, in our own folder, or used where they lie. Reads headers, never weights.

Runs in the core thread; files are read in a thread beside it, and only those that changed.
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
from engine.gguf.header import Header
from engine.gguf.split import model_stem, read_model, shard_number

_SUFFIX = ".gguf"

_Stamp = tuple[int, int]
"""Size and time of change of a file; a card is made anew when they differ."""


class Shelf:
    """All models, in a stable order: built in first, then our own, then the ones used in place."""

    def __init__(self, paths: Paths, lane: StoreLane) -> None:
        self._paths = paths
        self._lane = lane
        self._cards: dict[Path, tuple[_Stamp, ModelCard]] = {}

    async def cards(self) -> tuple[ModelCard, ...]:
        added = await self._lane.read(model_files.every)
        return await asyncio.to_thread(self._scan, added)

    async def add(self, path: Path) -> ModelCard:
        """Remember a file where it lies. Raises ``ModelFileError`` with its fault."""
        chosen = await asyncio.to_thread(_first_shard, path)
        known = await self.cards()
        for card in known:
            if card.path == chosen:
                return card
        await self._lane.write(lambda connection: model_files.add(connection, chosen, time.time()))
        return next(card for card in await self.cards() if card.path == chosen)

    async def remove(self, card: ModelCard) -> None:
        """Forget a file used in place; the file stays. Raises ``ModelFileError`` for any other."""
        if card.built_in or card.managed:
            raise ModelFileError("not_added", f"{card.name} belongs to Gatehouse and is not a file used in place.")
        await self._lane.write(lambda connection: model_files.remove(connection, card.path))

    def _scan(self, added: tuple[Path, ...]) -> tuple[ModelCard, ...]:
        found: list[ModelCard] = []
        taken: set[str] = set()
        own = [(path, True) for path in _models_in(self._paths.built_in_models)]
        own += [(path, False) for path in _models_in(self._paths.models)]
        places = {path: (built_in, True) for path, built_in in own}
        for path in added:
            places.setdefault(path, (False, False))
        for path, (built_in, managed) in places.items():
            model_id = _free_id(model_stem(path), taken)
            taken.add(model_id)
            found.append(self._card(path, model_id, built_in=built_in, managed=managed and not built_in))
        self._cards = {card.path: self._cards[card.path] for card in found if card.path in self._cards}
        return tuple(found)

    def _card(self, path: Path, model_id: str, *, built_in: bool, managed: bool) -> ModelCard:
        try:
            status = path.stat()
        except OSError as error:
            return _faulty(path, model_id, managed, f"{path.name} cannot be read: {error.strerror}.")
        stamp = (status.st_size, status.st_mtime_ns)
        known = self._cards.get(path)
        if known is not None and known[0] == stamp and known[1].id == model_id:
            return known[1]
        try:
            card = _described(read_model(path), path, model_id, built_in, managed)
        except ModelFileError as error:
            card = _faulty(path, model_id, managed, error.sentence)
        self._cards[path] = (stamp, card)
        return card


def _first_shard(path: Path) -> Path:
    """The file to give to llama.cpp, for any file of a model. Raises ``ModelFileError``."""
    return read_model(path.expanduser().absolute()).path


def _models_in(folder: Path) -> list[Path]:
    """The first shard of every model in a folder and the folders in it."""
    if not folder.is_dir():
        return []
    files = (path for path in folder.rglob(f"*{_SUFFIX}") if path.is_file() and shard_number(path) == 1)
    return sorted(files, key=lambda path: path.name.casefold())


def _free_id(stem: str, taken: set[str]) -> str:
    number = 2
    candidate = stem
    while candidate in taken:
        candidate, number = f"{stem} ({number})", number + 1
    return candidate


def _described(header: Header, path: Path, model_id: str, built_in: bool, managed: bool) -> ModelCard:
    return ModelCard(
        id=model_id,
        name=model_id,  # people know their files; the name inside is often that of a training run
        path=path,
        size_bytes=header.file_bytes,
        built_in=built_in,
        managed=managed,
        architecture=header.architecture,
        quantization=header.quantization,
        parameters=header.parameters,
        n_ctx_train=header.n_ctx_train,
        n_expert=header.n_expert,
        n_expert_used=header.n_expert_used,
        licence=header.licence,
        fault="",
    )


def _faulty(path: Path, model_id: str, managed: bool, fault: str) -> ModelCard:
    return ModelCard(model_id, model_id, path, 0, False, managed, "", "", None, None, 0, 0, None, fault)
