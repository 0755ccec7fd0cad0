"""What fits, against what is free now. Measuring and arithmetic are the engine's; here they are run off the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from app.models.records import ModelCard
from app.paths import Paths
from engine.fit.plan import Misfit, Plan, Wish
from engine.hardware.profile import DeviceKind, Machine


@dataclass(frozen=True, slots=True)
class Beside:
    """A model that stays where it is while another is planned."""

    plan: Plan
    loaded: bool
    """Else it is still on its way, and none of its memory is taken yet."""

    @property
    def host_bytes(self) -> int:
        """Main memory that looks free and is not for the other: all of it, or the pages of a mapped file."""
        on_host = [device for device in self.plan.devices if device.kind is DeviceKind.CPU]
        if not self.loaded:
            return sum(device.needed_bytes for device in on_host)
        return sum(device.weights_bytes for device in on_host) if self.plan.load_mode == "mmap" else 0


class Planner:
    """Remembers the machine's slow facts; free memory is measured anew for each plan. Use it in the core thread."""

    def __init__(self, paths: Paths, stand_ins: Callable[[], tuple[str, ...]] = tuple) -> None:
        """``stand_ins``: ``HOST:PORT`` of ggml RPC servers that count as cards."""
        self._paths = paths
        self._stand_ins = stand_ins
        self._machine: Machine | None = None
        self._has_cards: bool | None = None
        """Whether looking for graphics devices is worth the time: known after the first look."""
        self._detecting = asyncio.Lock()

    async def machine(self, refresh: bool = False) -> Machine:
        """Everything; the first time also the bandwidth, which takes some seconds."""
        async with self._detecting:
            if self._machine is None or refresh:
                self._machine = await asyncio.to_thread(_detect, self._paths, self._stand_ins(), slow=True, cards=True)
                self._has_cards = bool(self._machine.gpus)
            return self._machine

    def known_machine(self) -> Machine | None:
        """What was measured last, without waiting."""
        return self._machine

    async def glance(self) -> Machine | None:
        """What was measured last, with the memory that is free now; a few milliseconds, no child is started."""
        known = self._machine
        if known is None:
            return None
        now = await asyncio.to_thread(_detect, self._paths, (), slow=False, cards=False)
        free = {gpu.pci_id: gpu.free_bytes for gpu in now.gpus if gpu.pci_id}
        gpus = tuple(replace(gpu, free_bytes=free.get(gpu.pci_id or "", gpu.free_bytes)) for gpu in known.gpus)
        self._machine = replace(known, memory=now.memory, gpus=gpus)
        return self._machine

    async def plan(self, card: ModelCard, wish: Wish, loaded: Plan | None = None) -> Plan | Misfit:
        """``loaded`` ends before the new plan begins. Raises ``ModelFileError`` for a file that cannot be a model."""
        return await self.plan_file(card.path, wish, loaded)

    async def plan_file(
        self, path: Path, wish: Wish, loaded: Plan | None = None, beside: Beside | None = None
    ) -> Plan | Misfit:
        """The same for any file, also for one that holds a header and nothing else. ``beside`` stays loaded."""
        stand_ins = self._stand_ins()
        look = self._has_cards is not False or bool(stand_ins)
        machine = await asyncio.to_thread(_detect, self._paths, stand_ins, slow=False, cards=look)
        self._has_cards = bool(machine.gpus)
        if beside is not None:
            free = max(0, machine.memory.available_bytes - beside.host_bytes)
            machine = replace(machine, memory=replace(machine.memory, available_bytes=free))
        return await asyncio.to_thread(_fit, self._paths, path, wish, machine, loaded, stand_ins)


def reclaimable_bytes(plan: Plan) -> int:
    """Main memory that comes back when the plan's worker ends; pages of a mapped file count as free already."""
    on_host = [device for device in plan.devices if device.kind is DeviceKind.CPU]
    mapped = sum(device.weights_bytes for device in on_host) if plan.load_mode == "mmap" else 0
    return sum(device.needed_bytes for device in on_host) - mapped


def device_words(plan: Plan) -> str:
    """Where the weights lie, in words: ``CPU``, ``NVIDIA RTX 4090``, ``NVIDIA RTX 4090 + CPU``."""
    names = [
        "CPU" if device.kind is DeviceKind.CPU else device.name for device in plan.devices if device.weights_bytes > 0
    ]
    return " + ".join(sorted(dict.fromkeys(names), key=lambda name: name == "CPU")) or "CPU"


def _detect(paths: Paths, stand_ins: tuple[str, ...], *, slow: bool, cards: bool) -> Machine:
    from engine.hardware.detect import Sources, detect
    from engine.probe.client import list_devices

    sources = Sources(list_ggml=lambda limit_s: list_devices(limit_s, rpc_endpoints=stand_ins))
    return detect(paths.models, paths.cache, with_bandwidth=slow, with_ggml=cards, sources=sources)


def _fit(
    paths: Paths, path: Path, wish: Wish, machine: Machine, loaded: Plan | None, stand_ins: tuple[str, ...]
) -> Plan | Misfit:
    from engine.fit.fit import fit
    from engine.fit.measured import Measurements
    from engine.probe.remembered import RememberedProbe

    devices = loaded.devices if loaded is not None else ()
    return fit(
        path,
        wish,
        machine,
        reclaimable_bytes=reclaimable_bytes(loaded) if loaded is not None else 0,
        reclaimable_on_cards={d.name: d.needed_bytes for d in devices if d.kind is not DeviceKind.CPU},
        rpc_endpoints=stand_ins,
        probe=RememberedProbe(paths.cache / "buffers.json"),
        experience=Measurements(paths.measurements).experience(),
    )
