"""A machine that is only described: ``ram=16GiB,gpu=8GiB:448GB/s,cpu=50GB/s``. Pure.

Keys: ``ram`` (all of it) and ``cpu`` (read bandwidth); ``gpu``, once for each card, with its bandwidth and, after
another colon, that of its link; ``unified`` in place of ``gpu`` for graphics that share main memory (what it may take
of it); ``cores``; ``free``, when more or less main memory is free than usual.
"""

from __future__ import annotations

import re
from typing import Final

from engine.errors import GatehouseError
from engine.hardware.profile import Bandwidth, DeviceKind, Gpu, Machine, Memory, Processor

SYSTEM_BYTES: Final = 2 << 30
"""What a desktop and its programs take of main memory before a model is loaded, unless the description says it."""
SCREEN_BYTES: Final = 300 << 20
"""What they take of a card."""
USUAL_CORES: Final = 8

_UNITS: Final = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 1 << 10, "mi": 1 << 20, "gi": 1 << 30,
                 "ti": 1 << 40}  # fmt: skip
_AMOUNT = re.compile(r"^(\d+(?:\.\d+)?)\s*([kmgt]i?)?b?(/s)?$", re.IGNORECASE)
_MOST_BYTES: Final = 1 << 50


def describe_machine(text: str) -> Machine:
    """Raises: ``GatehouseError`` naming the part that cannot be understood."""
    memory_bytes, free_bytes, cores, bandwidth = 0, None, USUAL_CORES, None
    gpus: list[Gpu] = []
    unified: list[tuple[str, ...]] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        key, _, value = part.partition("=")
        match key.strip().lower():
            case "ram":
                memory_bytes = _size(value, part)
            case "free":
                free_bytes = _size(value, part)
            case "cpu":
                bandwidth = Bandwidth(_rate(value, part), 1, 0.0)
            case "cores":
                cores = _cores(value, part)
            case "gpu":
                gpus.append(_card(value.split(":"), len(gpus), part))
            case "unified":
                unified.append(tuple(value.split(":")))
            case _:
                raise _wrong(part)
    if memory_bytes <= 0:
        raise GatehouseError("bad_machine", "The description does not say how much memory there is.", _EXAMPLE)
    free = max(0, memory_bytes - SYSTEM_BYTES) if free_bytes is None else min(free_bytes, memory_bytes)
    gpus += [_shared(list(values), number, free) for number, values in enumerate(unified)]
    processor = Processor("Described processor", "", cores, cores, cores, cores, None, ("avx2",))
    memory = Memory(memory_bytes, free, None)
    return Machine("Described machine", processor, memory, (), tuple(gpus), bandwidth, ())


_EXAMPLE: Final = "For example: ram=16GiB,gpu=8GiB:448GB/s,cpu=50GB/s"


def _wrong(part: str) -> GatehouseError:
    return GatehouseError("bad_machine", f"“{part[:80]}” says nothing about a machine.", _EXAMPLE)


def _amount(value: str, part: str, *, rate: bool) -> float:
    match = _AMOUNT.match(value.strip())
    if match is None or (match[3] is not None and not rate):
        raise _wrong(part)
    amount = float(match[1]) * _UNITS[(match[2] or "").lower()]
    if not 0 < amount <= _MOST_BYTES:
        raise _wrong(part)
    return amount


def _size(value: str, part: str) -> int:
    return round(_amount(value, part, rate=False))


def _rate(value: str, part: str) -> float:
    return _amount(value, part, rate=True)


def _cores(value: str, part: str) -> int:
    if not value.strip().isdecimal() or not 1 <= int(value) <= 1_024:
        raise _wrong(part)
    return int(value)


def _card(values: list[str], number: int, part: str) -> Gpu:
    if len(values) > 3:
        raise _wrong(part)
    total = _size(values[0], part)
    rates = [_rate(value, part) for value in values[1:]]
    return Gpu(
        name=f"Described card {number + 1}",
        kind=DeviceKind.GPU,
        backend=f"CUDA{number}",
        pci_id=None,
        total_bytes=total,
        free_bytes=max(0, total - SCREEN_BYTES),
        unified=False,
        sources=("described",),
        bandwidth_bytes_s=rates[0] if rates else None,
        link_bytes_s=rates[1] if len(rates) > 1 else None,
    )


def _shared(values: list[str], number: int, free_bytes: int) -> Gpu:
    part = f"unified={':'.join(values)}"
    if len(values) > 2:
        raise _wrong(part)
    total = _size(values[0], part)
    return Gpu(
        name="Described shared graphics",
        kind=DeviceKind.INTEGRATED,
        backend=f"MTL{number}",
        pci_id=None,
        total_bytes=total,
        free_bytes=min(total, free_bytes),
        unified=True,
        sources=("described",),
        bandwidth_bytes_s=_rate(values[1], part) if len(values) > 1 else None,
    )
