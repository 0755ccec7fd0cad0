"""Decides what follows a worker's death: the same plan again, a smaller one, or the end. Pure; time is a parameter.

Naming the cause is ``engine.worker.diagnosis``'s; carrying the decision out is ``engine.worker.supervisor``'s.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from engine.fit.plan import DeviceBytes, KvType, Plan
from engine.worker.spec import Failed

MIN_N_CTX: Final = 1024
MIN_N_UBATCH: Final = 128
_CTX_STEP: Final = 256

# Bytes per 32 cells. Source: block sizes in ggml-common.h (f16 2 B; q8_0 34 B and q4_0 18 B a block of 32).
_KV_BLOCK_BYTES: Final[dict[KvType, int]] = {"f16": 64, "q8_0": 34, "q4_0": 18}

_SMALLER_HELPS: Final = frozenset({"out_of_memory"})
_NEVER_HEALS: Final = frozenset(
    {"bad_model_file", "illegal_instruction", "missing_library", "port_in_use", "unstartable", "unsupported"}
)


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """How patient the supervisor is."""

    delays_s: tuple[float, ...] = (0.25, 1.0, 4.0, 15.0)
    """Wait before each restart in a row of quick deaths; the last one repeats."""
    long_life_s: float = 30.0
    """A worker that was ready for so long had a good life; its death begins a new row."""
    max_quick_deaths: int = 4
    """The end after so many quick deaths in a row."""


@dataclass(frozen=True, slots=True)
class Life:
    """One life of a worker, after its end."""

    plan: Plan
    was_ready: bool
    ready_s: float
    """How long it was ready."""
    announced: bool
    """It said itself that it fails, in good order."""
    failed: Failed


@dataclass(frozen=True, slots=True)
class Restart:
    """Start again with this plan, after a pause."""

    plan: Plan
    after_s: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Stay down, and tell why."""

    failed: Failed


def next_action(life: Life, quick_deaths: int, policy: RestartPolicy) -> Restart | GiveUp:
    """What follows ``life``; ``quick_deaths`` counts the row of quick deaths including this one."""
    failed = life.failed
    if failed.code in _SMALLER_HELPS:
        smaller = step_down(life.plan, failed.code)
        return Restart(smaller, policy.delays_s[0]) if smaller else GiveUp(failed)
    if not life.was_ready and (failed.code in _NEVER_HEALS or life.announced):
        return GiveUp(failed)
    if quick_deaths >= policy.max_quick_deaths:
        times = f"It ended {quick_deaths} times in a row, so it is not started again by itself."
        return GiveUp(Failed(failed.code, f"{failed.sentence} {times}", failed.hint, failed.evidence))
    delay_index = min(max(quick_deaths, 1), len(policy.delays_s)) - 1
    return Restart(life.plan, policy.delays_s[delay_index])


def is_quick(life: Life, policy: RestartPolicy) -> bool:
    """Whether the death belongs to a row of quick deaths."""
    return not life.was_ready or life.ready_s < policy.long_life_s


def step_down(plan: Plan, cause: str) -> Plan | None:
    """The next smaller plan after a death for want of memory, or ``None`` when nothing is left to give up.

    Cheapest first: a smaller micro-batch costs prefill speed, a quantized KV cache a little quality, a shorter context
    what the person can say. Layers leave the device last.
    """
    if cause not in _SMALLER_HELPS:
        return None
    if plan.n_ubatch > MIN_N_UBATCH:
        return replace(plan, n_ubatch=max(MIN_N_UBATCH, plan.n_ubatch // 4))
    if plan.kv_type == "f16":
        return replace(plan, kv_type="q8_0", devices=_scaled(plan, _KV_BLOCK_BYTES["q8_0"], _KV_BLOCK_BYTES["f16"]))
    if plan.n_ctx > MIN_N_CTX:
        n_ctx = max(MIN_N_CTX, plan.n_ctx // 2 // _CTX_STEP * _CTX_STEP)
        return replace(plan, n_ctx=n_ctx, devices=_scaled(plan, n_ctx, plan.n_ctx))
    if plan.n_gpu_layers > 0:
        return replace(plan, n_gpu_layers=plan.n_gpu_layers // 2)
    return None


def _scaled(plan: Plan, numerator: int, denominator: int) -> tuple[DeviceBytes, ...]:
    """The devices with their KV bytes scaled; compute stays, as an upper bound."""
    return tuple(replace(device, kv_bytes=-(-device.kv_bytes * numerator // denominator)) for device in plan.devices)
