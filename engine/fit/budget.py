"""How much of what is free a model may have: the rest stays with the system. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engine.hardware.profile import DeviceKind, Gpu, Machine, Memory

_MIB = 1024 * 1024
_GIB = 1024 * _MIB

HOST_RESERVE_LEAST = 384 * _MIB
HOST_RESERVE_MOST = 2 * _GIB
DEVICE_RESERVE_LEAST = 256 * _MIB
DEVICE_RESERVE_MOST = _GIB
RESERVE_SHARE = 16
"""The safety margin: a sixteenth of a memory, within the limits above. In main memory it also holds the worker's own
code and buffers (about 150 MiB); on a card, the driver's context and what other windows take while a model is loaded
(llama.cpp's own fitter keeps 1 GiB)."""


@dataclass(frozen=True, slots=True)
class Budget:
    """One memory, what is free of it now, and what of that stays untouched."""

    name: str
    kind: DeviceKind
    free_bytes: int
    reserve_bytes: int
    gpu: Gpu | None = None
    """Of a card."""

    @property
    def usable_bytes(self) -> int:
        return max(0, self.free_bytes - self.reserve_bytes)


@dataclass(frozen=True, slots=True)
class Budgets:
    """Main memory and the cards worth using, in ggml's order."""

    host: Budget
    cards: tuple[Budget, ...]
    shared: bool
    """The cards' memory is main memory: all together must fit into the host's."""

    @property
    def card(self) -> Budget | None:
        """The one with the most free memory."""
        return max(self.cards, key=lambda card: card.free_bytes, default=None)

    @property
    def usable_bytes(self) -> int:
        """Of all memories together, shared memory counted once."""
        return self.host.usable_bytes + (0 if self.shared else sum(card.usable_bytes for card in self.cards))


def host_budget(memory: Memory, reclaimable_bytes: int = 0) -> Budget:
    """Main memory; ``reclaimable_bytes`` is what a worker that is about to end gives back."""
    free = min(memory.total_bytes, memory.available_bytes + reclaimable_bytes)
    reserve = min(max(memory.total_bytes // RESERVE_SHARE, HOST_RESERVE_LEAST), HOST_RESERVE_MOST)
    return Budget("CPU", DeviceKind.CPU, free, reserve)


def card_budget(gpu: Gpu, reclaimable_bytes: int = 0) -> Budget:
    """The memory of one card."""
    free = min(gpu.total_bytes, gpu.free_bytes + reclaimable_bytes)
    reserve = min(max(gpu.total_bytes // RESERVE_SHARE, DEVICE_RESERVE_LEAST), DEVICE_RESERVE_MOST)
    return Budget(gpu.backend or gpu.name, gpu.kind, free, reserve, gpu)


def budgets(
    machine: Machine, reclaimable_bytes: int = 0, reclaimable_on_cards: Mapping[str, int] | None = None
) -> Budgets:
    """Main memory and every card that the installed llama.cpp can use.

    What a worker that is about to end gives back counts as free, in main memory and on the cards by ggml's names.
    A processor's own graphics counts only where there is no card, as llama.cpp itself has it: it computes from the
    same memory, no faster.
    """
    host = host_budget(machine.memory, reclaimable_bytes)
    returning = reclaimable_on_cards or {}
    usable = [gpu for gpu in machine.gpus if gpu.backend is not None and gpu.total_bytes > 0]
    chosen = [gpu for gpu in usable if gpu.kind is DeviceKind.GPU]
    if not chosen:
        chosen = [gpu for gpu in usable if gpu.kind is DeviceKind.INTEGRATED][:1]
    cards = tuple(card_budget(gpu, returning.get(gpu.backend or "", 0)) for gpu in chosen)
    return Budgets(host, cards, shared=any(gpu.unified for gpu in chosen))
