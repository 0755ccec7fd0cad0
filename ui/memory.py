"""A machine's memory as bars: what others use, what our model takes, what is free. Pure; painting is a widget's."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QCoreApplication

from app.models.records import LoadedModel
from engine.fit.plan import DeviceBytes, Plan
from engine.hardware.profile import DeviceKind, Gpu, Machine
from engine.worker.spec import Ready
from ui.widgets.memory_bar import Segment


@dataclass(frozen=True, slots=True)
class DeviceBar:
    """One device's memory."""

    name: str
    detail: str
    total_bytes: int
    free_bytes: int
    ours_bytes: int
    """What our model has or would have there."""
    segments: tuple[Segment, ...]


def machine_segments(machine: Machine, loaded: LoadedModel) -> list[DeviceBar]:
    """Main memory first, then each card with memory of its own. What was measured already holds our loaded model."""
    plan = loaded.plan if isinstance(loaded.state, Ready) else None
    memory = machine.memory
    used = memory.total_bytes - memory.available_bytes
    bars = [_bar(_tr("Main memory"), "", memory.total_bytes, used, _on(plan, _main(plan)))]
    for gpu in machine.gpus:
        if gpu.unified or gpu.total_bytes <= 0:
            continue
        name = gpu.backend or ""
        bars.append(_bar(_card_name(gpu), name, gpu.total_bytes, gpu.total_bytes - gpu.free_bytes, _on(plan, name)))
    return bars


def plan_segments(plan: Plan, machine: Machine) -> list[DeviceBar]:
    """The bars as they would be with this plan loaded, against what is free now."""
    bars = []
    for device in plan.devices:
        gpu = _gpu(machine, device)
        name = _card_name(gpu) if gpu is not None else _tr("Main memory")
        total = gpu.total_bytes if gpu is not None else machine.memory.total_bytes
        used = max(total - device.free_bytes, 0)
        bars.append(_bar(name, device.name, total, used + device.needed_bytes, device))
    return bars


def _card_name(gpu: Gpu) -> str:
    """Without the maker, where the rest says who that is: names stand over narrow bars."""
    return gpu.name.removeprefix("NVIDIA ").removeprefix("AMD ")


def _bar(name: str, detail: str, total: int, used: int, ours: DeviceBytes | None) -> DeviceBar:
    """``used`` includes ours. Pages of a mapped file may count as free: then others' part is never below zero."""
    taken = ours.needed_bytes if ours is not None else 0
    others = max(used - taken, 0)
    free = max(total - others - taken, 0)
    parts = [Segment(_tr("Used by others"), others, "bar_used")]
    if ours is not None:
        parts += [
            Segment(_tr("Weights"), ours.weights_bytes - ours.experts_bytes, "bar_weights"),
            Segment(_tr("Experts"), ours.experts_bytes, "bar_experts"),
            Segment(_tr("KV cache"), ours.kv_bytes + ours.recurrent_bytes, "bar_kv"),
            Segment(_tr("Compute"), ours.compute_bytes + ours.allowance_bytes, "bar_compute"),
        ]
    parts.append(Segment(_tr("Free"), free, "bar_free"))
    return DeviceBar(name, detail, total, free, taken, tuple(parts))


def _on(plan: Plan | None, name: str) -> DeviceBytes | None:
    if plan is None:
        return None
    return next((device for device in plan.devices if device.name == name), None)


def _main(plan: Plan | None) -> str:
    devices = plan.devices if plan is not None else ()
    return next((device.name for device in devices if device.kind is DeviceKind.CPU), "")


def _gpu(machine: Machine, device: DeviceBytes) -> Gpu | None:
    if device.kind is DeviceKind.CPU:
        return None
    return next((gpu for gpu in machine.gpus if gpu.backend == device.name and not gpu.unified), None)


def _tr(text: str) -> str:
    return QCoreApplication.translate("memory", text)
