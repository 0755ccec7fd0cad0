"""What can be given up when a plan turned out too large: at most three ways, each with what it frees. Pure.

Nothing is tried behind the person's back: these are offered, and the planner answers anew for the one that is chosen.
Why the memory ran out is ``engine.worker.shortage``'s to say.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, Literal

from engine.fit.plan import DeviceBytes, KvType, Plan, Wish
from engine.hardware.profile import DeviceKind

MIN_N_CTX: Final = 1024
MIN_N_UBATCH: Final = 128
OFFERED: Final = 3

_CTX_STEP: Final = 256
_SPARE: Final = 1.1
"""A tenth more than what was missing: the next attempt should not fail for a page."""

# Bytes per 32 cells. Source: block sizes in ggml-common.h (f16 2 B; q8_0 34 B and q4_0 18 B a block of 32).
_KV_BLOCK_BYTES: Final[dict[KvType, int]] = {"f16": 64, "q8_0": 34, "q4_0": 18}

Kind = Literal["batch", "kv_type", "context", "experts", "layers"]


@dataclass(frozen=True, slots=True)
class Concession:
    """One thing given up."""

    kind: Kind
    sentence: str
    """What it means and what it frees, for a button or a list."""
    frees_bytes: int
    """On the memory that was short, about; 0: not known."""
    n_ctx: int | None = None
    """Of one part, as in ``Wish``."""
    kv_type: KvType | None = None
    n_ubatch: int | None = None
    experts_in_ram: int | None = None
    """Of so many layers, as in ``Wish``."""
    n_gpu_layers: int | None = None
    """The planner finds this by itself: it knows what is free now."""

    def wish(self, wish: Wish) -> Wish:
        """The person's wish with this given up; everything else as it was."""
        return replace(
            wish,
            n_ctx=self.n_ctx if self.n_ctx is not None else wish.n_ctx,
            kv_type=self.kv_type if self.kv_type is not None else wish.kv_type,
            n_ubatch=self.n_ubatch if self.n_ubatch is not None else wish.n_ubatch,
            experts_in_ram=self.experts_in_ram if self.experts_in_ram is not None else wish.experts_in_ram,
        )

    def plan(self, plan: Plan) -> Plan | None:
        """The plan with this given up, for a worker that must come back at once; ``None`` where it must be planned."""
        match self.kind:
            case "batch" if self.n_ubatch is not None:
                return replace(plan, n_ubatch=self.n_ubatch)
            case "kv_type" if self.kv_type is not None:
                scaled = _scaled(plan, _KV_BLOCK_BYTES[self.kv_type], _KV_BLOCK_BYTES[plan.kv_type])
                return replace(plan, kv_type=self.kv_type, devices=scaled)
            case "context" if self.n_ctx is not None:
                n_cells = self.n_ctx * plan.n_parts
                return replace(plan, n_ctx=n_cells, devices=_scaled(plan, n_cells, plan.n_ctx))
            case "layers" if self.n_gpu_layers is not None and not plan.layers_per_card:
                return replace(plan, n_gpu_layers=self.n_gpu_layers)
            case _:
                return None


def concessions(plan: Plan, device: str | None = None, missing_bytes: int = 0) -> tuple[Concession, ...]:
    """At most three ways to need less of ``device`` (ggml's name; ``None``: not known), what hurts least first.

    With ``missing_bytes`` those that free enough come before those that do not.
    """
    short = _find(plan, device)
    found = [way for way in _ways(plan, short, round(missing_bytes * _SPARE)) if way is not None]
    found.sort(key=lambda way: bool(missing_bytes) and way.frees_bytes < missing_bytes)
    return tuple(found[:OFFERED])


def _find(plan: Plan, device: str | None) -> DeviceBytes | None:
    named = [each for each in plan.devices if each.name == device]
    return named[0] if named else (plan.devices[0] if plan.devices else None)


def _ways(plan: Plan, short: DeviceBytes | None, missing_bytes: int) -> Iterator[Concession | None]:
    yield _smaller_batch(plan, short)
    yield _smaller_cells(plan, short)
    yield _shorter_context(plan, short, missing_bytes)
    yield _experts_to_ram(plan, short, missing_bytes)
    yield _fewer_layers(plan, short, missing_bytes)
    yield _smallest_cells(plan, short)


def _smaller_batch(plan: Plan, short: DeviceBytes | None) -> Concession | None:
    if plan.n_ubatch <= MIN_N_UBATCH:
        return None
    n_ubatch = max(MIN_N_UBATCH, plan.n_ubatch // 4)
    frees = short.compute_bytes * (plan.n_ubatch - n_ubatch) // plan.n_ubatch if short else 0
    sentence = f"Read prompts {n_ubatch} instead of {plan.n_ubatch} tokens at a time, more slowly"
    return Concession("batch", _told(sentence, frees, short), frees, n_ubatch=n_ubatch)


def _smaller_cells(plan: Plan, short: DeviceBytes | None) -> Concession | None:
    sentence = "Keep the context in 8 instead of 16 bits (q8_0), at a hardly noticeable loss"
    return _other_cells(plan, short, "q8_0", sentence) if plan.kv_type == "f16" else None


def _smallest_cells(plan: Plan, short: DeviceBytes | None) -> Concession | None:
    sentence = "Keep the context in 4 instead of 8 bits (q4_0), at a loss that can be noticed"
    return _other_cells(plan, short, "q4_0", sentence) if plan.kv_type == "q8_0" else None


def _other_cells(plan: Plan, short: DeviceBytes | None, kv_type: KvType, sentence: str) -> Concession | None:
    if short is not None and not short.kv_bytes:
        return None
    before, after = _KV_BLOCK_BYTES[plan.kv_type], _KV_BLOCK_BYTES[kv_type]
    frees = short.kv_bytes * (before - after) // before if short else 0
    return Concession("kv_type", _told(sentence, frees, short), frees, kv_type=kv_type)


def _shorter_context(plan: Plan, short: DeviceBytes | None, missing_bytes: int) -> Concession | None:
    before, each = plan.n_ctx_each, f" for each of {plan.n_parts} users" if plan.n_parts > 1 else ""
    if before <= MIN_N_CTX or (short is not None and not short.kv_bytes):
        return None
    half = before // 2
    needed = before - -(-missing_bytes * before // short.kv_bytes) if short else half
    n_ctx = max(MIN_N_CTX, min(half, needed) // _CTX_STEP * _CTX_STEP)
    frees = short.kv_bytes * (before - n_ctx) // before if short else 0
    sentence = f"Take a context of {n_ctx:,} instead of {before:,} tokens{each}"
    return Concession("context", _told(sentence, frees, short), frees, n_ctx=n_ctx)


def _experts_to_ram(plan: Plan, short: DeviceBytes | None, missing_bytes: int) -> Concession | None:
    if short is None or short.kind is DeviceKind.CPU or not short.experts_bytes:
        return None
    on_cards = max(1, plan.n_gpu_layers - 1 - len(plan.experts_in_ram))
    share = sum(device.experts_bytes for device in plan.devices if device.kind is not DeviceKind.CPU)
    layer_bytes = max(1, share // on_cards)
    more = min(on_cards, max(-(-on_cards // 4), -(-missing_bytes // layer_bytes)))
    frees = min(more * layer_bytes, short.experts_bytes)
    sentence = f"Keep the experts of {more} more layers in main memory, which is slower"
    count = len(plan.experts_in_ram) + more
    return Concession("experts", _told(sentence, frees, short), frees, experts_in_ram=count)


def _fewer_layers(plan: Plan, short: DeviceBytes | None, missing_bytes: int) -> Concession | None:
    if plan.n_gpu_layers <= 0 or (short is not None and short.kind is DeviceKind.CPU):
        return None
    layer_bytes = max(1, (short.weights_bytes + short.kv_bytes) // plan.n_gpu_layers) if short else 1
    fewer = min(plan.n_gpu_layers, max(-(-plan.n_gpu_layers // 2), -(-missing_bytes // layer_bytes) if short else 0))
    frees = fewer * layer_bytes if short else 0
    left = plan.n_gpu_layers - fewer
    sentence = f"Put {left} instead of {plan.n_gpu_layers} layers on the card, which is slower"
    return Concession("layers", _told(sentence, frees, short), frees, n_gpu_layers=left)


def _told(sentence: str, frees_bytes: int, short: DeviceBytes | None) -> str:
    if not frees_bytes or short is None:
        return f"{sentence}."
    from engine.fit.reasons import size_words  # not above: a worker reads this file at its start, and rarely fails

    return f"{sentence}: frees about {size_words(frees_bytes)} {memory_text(short.name)}."


def memory_text(device: str) -> str:
    """Where, in words: ``of main memory``, ``on CUDA0``."""
    return "of main memory" if device == "CPU" else f"on {device}"


def _scaled(plan: Plan, numerator: int, denominator: int) -> tuple[DeviceBytes, ...]:
    """The devices with their KV bytes scaled; compute stays, as an upper bound."""
    return tuple(replace(device, kv_bytes=-(-device.kv_bytes * numerator // denominator)) for device in plan.devices)
