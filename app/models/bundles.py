"""Models by disk, for machines without a network: writing a bundle and taking one over, with news of how far it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from app.bus import Bus
from app.events import BundleProgressed, ModelsChanged
from app.models.planner import Planner
from app.models.records import Copied, ModelCard
from app.models.shelf import Shelf
from engine.errors import ModelFileError
from engine.fit.plan import Plan
from engine.gguf.split import model_stem
from engine.hub import bundle as bundles
from engine.hub.bundle import Arrival, Luggage
from engine.hub.disk import Disk
from engine.hub.interrupt import Interrupt
from engine.hub.verify import RECEIPT_SUFFIX, load_receipt

T = TypeVar("T")
Report = Callable[[str, int, int], None]

_STEP_BYTES = 64 * 1_048_576
"""Between two pieces of news."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A model to take along, with the plan it has here, if there is one."""

    model_id: str
    plan: Plan | None = None


class Bundles:
    """The one implementation of ``BundlesApi``. Use it in the core thread."""

    def __init__(self, shelf: Shelf, bus: Bus, planner: Planner) -> None:
        self._shelf = shelf
        self._planner = planner
        self._bus = bus

    async def export(self, pieces: Sequence[Piece], folder: Path) -> Sequence[Copied]:
        cards = {card.id: card for card in await self._shelf.cards()}
        luggage = [await self._luggage(_card(cards, piece), piece.plan) for piece in pieces]
        packed = await self._run(
            lambda halt, report: bundles.export(luggage, folder, halt, report, Disk()),
        )
        return tuple(Copied(entry.receipt.name, "") for entry in packed)

    async def take_over(self, folder: Path) -> Sequence[Copied]:
        arrivals = await self._run(
            lambda halt, report: bundles.import_bundle(folder, self._shelf.folder, halt, report, Disk())
        )
        self._bus.publish(ModelsChanged())
        return tuple([await self._told(arrival) for arrival in arrivals])

    async def _told(self, arrival: Arrival) -> Copied:
        """How it arrived, and whether the plan that came along can be granted here."""
        name, plan = arrival.packed.receipt.name, arrival.packed.plan_json
        if arrival.error is not None:
            return Copied(name, str(arrival.error))
        if plan is None:
            return Copied(name, "")
        from engine.fit.carried import judge_carried

        machine = await self._planner.machine()
        verdict = await asyncio.to_thread(judge_carried, plan, arrival.path(self._shelf.folder), machine)
        return Copied(name, "", verdict.sentence, verdict.holds)

    async def _luggage(self, card: ModelCard, plan: Plan | None) -> Luggage:
        files = await self._shelf.files_of(card)
        receipt = load_receipt(card.path.with_name(f"{model_stem(card.path)}{RECEIPT_SUFFIX}"))
        name = receipt.name if receipt is not None else card.id
        from engine.fit.carried import write_plan

        return Luggage(name, files, receipt, write_plan(plan) if plan is not None else None)

    async def _run(self, work: Callable[[Interrupt, Report], T]) -> T:
        """In a thread; cancelling interrupts it."""
        halt = Interrupt()
        loop = asyncio.get_running_loop()
        told = -_STEP_BYTES

        def report(file: str, done: int, total: int) -> None:
            nonlocal told
            if done - told >= _STEP_BYTES or done >= total:
                told = done
                loop.call_soon_threadsafe(self._bus.publish, BundleProgressed(file, done, total))

        try:
            return await asyncio.to_thread(work, halt, report)
        except asyncio.CancelledError:
            halt.set()
            raise


def _card(cards: dict[str, ModelCard], piece: Piece) -> ModelCard:
    card = cards.get(piece.model_id)
    if card is None or card.fault:
        raise ModelFileError("unusable_model", card.fault if card else f"There is no model {piece.model_id} here.")
    return card
