"""What a processor and its cards do in a second: bytes read, and multiplications of each type of weights. Pure.

For main memory the time of a product is what bounds it: memory, which all cores share, or the kernel of the type, of
which every core runs one. Kernels are measured once on each machine (``engine.probe.kernels``); where they were not, as
on a machine that is only described, constants of processors with the same instructions stand in.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from engine.fit.budget import Budgets
from engine.fit.footprint import Part, Size
from engine.gguf.quants import TENSOR_TYPES_BY_NAME
from engine.hardware.profile import Kernel, Kernels, Machine

HOST_EFFICIENCY = 0.65
"""Share of the measured read bandwidth that decoding reaches in main memory, where no kernel was measured."""
MEMORY_EFFICIENCY = 0.95
"""The same where kernels were: they are counted apart."""
CARD_EFFICIENCY = 0.65
"""Share of a card's nominal bandwidth."""
UNKNOWN_HOST_BYTES_S = 20e9
"""Where nothing was measured: two channels of DDR4, with one core reading."""
UNKNOWN_CARD_BYTES_S = 250e9
UNKNOWN_LINK_BYTES_S = 12e9
"""PCIe 3.0 with 16 lanes, or 4.0 with 8."""
_FLOP_EACH_BYTE = {"cuda": 90.0, "rocm": 60.0, "hip": 60.0}
"""Arithmetic that cards reach in prefill for each byte of bandwidth: 30 to 40 TFLOP/s on a 3060 with 360 GB/s."""
_FLOP_EACH_BYTE_ELSE = 45.0
_FLOP_EACH_BYTE_UNIFIED = 22.0
_CORE_FLOP_S = (
    ("amx", 150e9),
    ("avx512", 50e9),
    ("i8mm", 50e9),
    ("asimddp", 40e9),
    ("dotprod", 40e9),
    ("avx2", 40e9),
    ("neon", 35e9),
)
"""Arithmetic of one core in prefill on four-bit weights."""
_CORE_FLOP_S_ELSE = 25e9


@dataclass(frozen=True, slots=True)
class Cores:
    """So many cores, each with what its kernels were measured to do."""

    threads: int
    kernels: Kernels

    def kernel(self, part: Part) -> Kernel:
        """Of that type, or of the one with as many bits."""
        bits = part.bytes / max(1, part.elements)
        named = {kernel.type: kernel for kernel in self.kernels.types}
        if part.type in named:
            return named[part.type]
        sizes = {name: TENSOR_TYPES_BY_NAME[name].bits_per_element / 8 for name in named}
        return named[min(sizes, key=lambda name: (abs(sizes[name] - bits), name))]


@dataclass(frozen=True, slots=True)
class Rates:
    """What one processor does in a second, at its best."""

    read_bytes_s: float
    """Of the weights in its own memory."""
    flop_s: float
    link_bytes_s: float = 0.0
    """Of weights in main memory to this card; 0 for the processor itself."""
    cores: Cores | None = None
    """The processor's own, where its kernels were measured."""

    def product_s(self, size: Size, tokens: int, *, read: float = 1.0, worked: float = 1.0) -> float:
        """Of weights with so many tokens, when a share of them is ``read`` and each token ``worked`` on a share.

        Only where ``cores`` are known.
        """
        assert self.cores is not None
        parts = size.parts or (Part("", size.bytes, size.elements, 0),)
        return sum(self._part_s(part, self.cores, tokens, read, worked) for part in parts if part.bytes)

    def _part_s(self, part: Part, cores: Cores, tokens: int, read: float, worked: float) -> float:
        kernel = cores.kernel(part)
        once = (part.bytes / kernel.read_bytes_s + part.rows * kernel.row_s) * read
        work = 2 * tokens * part.elements * worked / kernel.flop_s
        return max(part.bytes * read / self.read_bytes_s, max(once, work) / cores.threads)


@dataclass(frozen=True, slots=True)
class MachineRates:
    """Of the processor and the cards, in the order of the budgets."""

    host: Rates
    cards: tuple[Rates, ...]
    threads: int = 1
    guessed: tuple[str, ...] = ()
    """Names of the memories whose bandwidth nobody measured or knows."""


def machine_rates(machine: Machine, budgets: Budgets, threads: int) -> MachineRates:
    """From measured and nominal bandwidths; what is unknown is guessed, and named."""
    guessed = [] if machine.bandwidth else ["main memory"]
    nominal = UNKNOWN_HOST_BYTES_S
    if machine.bandwidth is not None:
        # One thread alone does not reach what several did.
        nominal = machine.bandwidth.read_bytes_s * min(1.0, threads / max(1, machine.bandwidth.threads))
    host = _host_rates(machine, nominal, threads)
    cards = []
    for card in budgets.cards:
        bandwidth = card.gpu.bandwidth_bytes_s if card.gpu else None
        link = card.gpu.link_bytes_s if card.gpu else None
        if bandwidth is None:
            if not budgets.shared:
                guessed.append(card.name)
            bandwidth = nominal / HOST_EFFICIENCY if budgets.shared else UNKNOWN_CARD_BYTES_S
        each_byte = _flop_each_byte(card.name, shared=budgets.shared)
        link = link or (bandwidth if budgets.shared else UNKNOWN_LINK_BYTES_S)
        cards.append(Rates(bandwidth * CARD_EFFICIENCY, max(bandwidth * each_byte, host.flop_s), link))
    return MachineRates(host, tuple(cards), threads, tuple(guessed))


def _host_rates(machine: Machine, nominal: float, threads: int) -> Rates:
    flop_s = threads * _core_flop_s(machine.processor.instruction_sets)
    if machine.kernels is None or not machine.kernels.types:
        return Rates(nominal * HOST_EFFICIENCY, flop_s)
    # What one core reads was timed with the kernels, so that here only the bound of all cores together counts.
    together = machine.bandwidth.read_bytes_s if machine.bandwidth is not None else nominal
    return Rates(together * MEMORY_EFFICIENCY, flop_s, cores=Cores(threads, machine.kernels))


def _core_flop_s(instruction_sets: Iterable[str]) -> float:
    known = {name.lower().replace("_", "").replace("-", "") for name in instruction_sets}
    return max(
        (rate for prefix, rate in _CORE_FLOP_S if any(name.startswith(prefix) for name in known)),
        default=_CORE_FLOP_S_ELSE,
    )


def _flop_each_byte(name: str, *, shared: bool) -> float:
    if shared:
        return _FLOP_EACH_BYTE_UNIFIED
    lowered = name.lower()
    return next((value for key, value in _FLOP_EACH_BYTE.items() if lowered.startswith(key)), _FLOP_EACH_BYTE_ELSE)
