"""What fits, against what is free now. Measuring and arithmetic are the engine's; here they are run off the loop."""

from __future__ import annotations

import asyncio

from app.models.records import ModelCard
from app.paths import Paths
from engine.fit.plan import Misfit, Plan, Wish
from engine.hardware.profile import DeviceKind, Machine


class Planner:
    """Remembers the machine's slow facts; free memory is measured anew for each plan. Use it in the core thread."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._machine: Machine | None = None
        self._has_cards: bool | None = None
        """Whether looking for graphics devices is worth the time: known after the first look."""
        self._detecting = asyncio.Lock()

    async def machine(self, refresh: bool = False) -> Machine:
        """Everything; the first time also the bandwidth, which takes some seconds."""
        async with self._detecting:
            if self._machine is None or refresh:
                self._machine = await asyncio.to_thread(_detect, self._paths, slow=True, cards=True)
                self._has_cards = bool(self._machine.gpus)
            return self._machine

    async def plan(self, card: ModelCard, wish: Wish, loaded: Plan | None = None) -> Plan | Misfit:
        """``loaded`` ends before the new plan begins. Raises ``ModelFileError`` for a file that cannot be a model."""
        machine = await asyncio.to_thread(_detect, self._paths, slow=False, cards=self._has_cards is not False)
        self._has_cards = bool(machine.gpus)
        return await asyncio.to_thread(_fit, self._paths, card, wish, machine, loaded)


def reclaimable_bytes(plan: Plan) -> int:
    """Main memory that comes back when the plan's worker ends; pages of a mapped file count as free already."""
    on_host = [device for device in plan.devices if device.kind is DeviceKind.CPU]
    mapped = sum(device.weights_bytes for device in on_host) if plan.load_mode == "mmap" else 0
    return sum(device.needed_bytes for device in on_host) - mapped


def _detect(paths: Paths, *, slow: bool, cards: bool) -> Machine:
    from engine.hardware.detect import detect

    return detect(paths.models, paths.cache, with_bandwidth=slow, with_ggml=cards)


def _fit(paths: Paths, card: ModelCard, wish: Wish, machine: Machine, loaded: Plan | None) -> Plan | Misfit:
    from engine.fit.fit import fit
    from engine.probe.remembered import RememberedProbe

    devices = loaded.devices if loaded is not None else ()
    return fit(
        card.path,
        wish,
        machine,
        reclaimable_bytes=reclaimable_bytes(loaded) if loaded is not None else 0,
        reclaimable_on_cards={d.name: d.needed_bytes for d in devices if d.kind is not DeviceKind.CPU},
        probe=RememberedProbe(paths.cache / "buffers.json"),
    )
