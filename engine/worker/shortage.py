"""Names why memory ran out: what was being allocated, where, and who has the memory. Pure.

Read from the last lines of a worker's log and from what is free now; what can be given up is
``engine.fit.concession``'s.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from engine.fit.concession import memory_text
from engine.fit.measured import device_of
from engine.fit.plan import DeviceBytes, Plan
from engine.fit.reasons import size_words

Wanted = Literal["weights", "kv", "recurrent", "compute", "other"]

_TAKEN_LEAST: Final = 64 << 20
"""Free memory always moves a little; less than this blames nobody."""

# Source: ggml-alloc.c, ggml-cuda.cu, ggml.c.
_BUFFER: Final = re.compile(r"failed to allocate (\S+) buffer of size (\d+)")
_CUDA: Final = re.compile(r"allocating ([\d.]+) MiB on device (\d+): cudaMalloc failed")
_HOST: Final = re.compile(r"insufficient memory \(attempted to allocate ([\d.]+) MB\)")
_HOST_BUFFER: Final = re.compile(r"cpu_buffer_type_alloc_buffer: failed to allocate buffer of size (\d+)")
# Source: llama-model.cpp, llama-kv-cache.cpp, llama-memory-recurrent.cpp, llama-context.cpp, ggml-alloc.c.
_WANTED: Final[tuple[tuple[Wanted, re.Pattern[str]], ...]] = (
    ("weights", re.compile(r"error loading model: unable to allocate")),
    ("kv", re.compile(r"failed to allocate buffer for (?:kv cache|DSV4)")),
    ("recurrent", re.compile(r"failed to allocate buffer for rs cache")),
    (
        "compute",
        re.compile(r"failed to allocate (?:compute|graph|output buffer)|gallocr_reserve\w*: failed to allocate"),
    ),
)


@dataclass(frozen=True, slots=True)
class Shortage:
    """What could not be had."""

    wanted: Wanted
    device: str | None
    """ggml's name; ``None``: the log does not say."""
    asked_bytes: int
    """0: the log does not say."""


def read_shortage(lines: Sequence[str], plan: Plan) -> Shortage:
    """From the last lines of a log."""
    wanted: Wanted = next((what for what, words in _WANTED if any(words.search(line) for line in lines)), "other")
    names = [device.name for device in plan.devices]
    for line in reversed(lines):
        if found := _BUFFER.search(line):
            return Shortage(wanted, device_of(found[1], names), int(found[2]))
        if found := _CUDA.search(line):
            return Shortage(wanted, f"CUDA{found[2]}", round(float(found[1]) * (1 << 20)))
        if found := _HOST_BUFFER.search(line):
            return Shortage(wanted, "CPU", int(found[1]))
        if found := _HOST.search(line):
            return Shortage(wanted, "CPU", round(float(found[1]) * (1 << 20)))
    return Shortage(wanted, None, 0)


def missing_bytes(shortage: Shortage, plan: Plan, free_now: Mapping[str, int]) -> int:
    """By how much the device was too small, about; 0 when nothing tells.

    ``free_now`` is what is free of each device after the worker let go of everything.
    """
    device = _device(shortage, plan)
    if device is None or device.name not in free_now:
        return 0
    return max(0, device.needed_bytes - free_now[device.name])


def explain(shortage: Shortage, plan: Plan, free_now: Mapping[str, int], *, in_use: bool) -> str:
    """The cause in one or two sentences with the numbers; nothing when the log does not say where it was.

    ``in_use``: the model had been loaded and answered.
    """
    device = _device(shortage, plan)
    if device is None:
        return ""
    where = "Main memory" if device.name == "CPU" else f"The memory of {device.name}"
    asked = f" ({size_words(shortage.asked_bytes)} at once)" if shortage.asked_bytes else ""
    first = f"{where} ran out {_moment(shortage.wanted, plan, in_use=in_use)}{asked}."
    return f"{first} {_culprit(device, plan, free_now)}"


def _device(shortage: Shortage, plan: Plan) -> DeviceBytes | None:
    return next((device for device in plan.devices if device.name == shortage.device), None)


def _moment(wanted: Wanted, plan: Plan, *, in_use: bool) -> str:
    match wanted:
        case "weights":
            return "while the weights were read"
        case "kv":
            return f"when the cache for a context of {plan.n_ctx:,} tokens was made"
        case "recurrent":
            return f"when the state of {plan.n_seq_max} sequences was made"
        case "compute":
            return f"when the buffers to compute {plan.n_ubatch:,} tokens at a time were made"
        case "other":
            return "while the model was in use" if in_use else "while the model was loaded"


def _culprit(device: DeviceBytes, plan: Plan, free_now: Mapping[str, int]) -> str:
    now = free_now.get(device.name)
    taken = device.free_bytes - now if now is not None else 0
    if now is not None and taken >= _TAKEN_LEAST and now < device.needed_bytes:
        return (
            f"Other programs have taken {size_words(taken)} of it since the plan was made: "
            f"{size_words(device.free_bytes)} were free then, {size_words(now)} are now, "
            f"and the plan needs {size_words(device.needed_bytes)}."
        )
    parts = (
        (device.weights_bytes - device.experts_bytes, "the weights without experts"),
        (device.experts_bytes, "the experts"),
        (device.kv_bytes, f"a context of {plan.n_ctx:,} tokens"),
        (device.recurrent_bytes, f"the state of {plan.n_seq_max} sequences"),
        (device.compute_bytes, "computing"),
    )
    named = [(size, words) for size, words in parts if size]
    if not device.experts_bytes:
        named = [(size, words.removesuffix(" without experts")) for size, words in named]
    told = ", ".join(f"{size_words(size)} for {words}" for size, words in sorted(named, reverse=True))
    free = f" {size_words(now)} are free." if now is not None else ""
    return f"The plan puts {size_words(device.needed_bytes)} {_there(device.name)}: {told}.{free}"


def _there(device: str) -> str:
    return "there" if device == "CPU" else memory_text(device)
