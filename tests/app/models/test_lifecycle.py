"""Desired against observed, as a table; and which model is chosen when none was asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.models.lifecycle import (
    Action,
    Begin,
    Discard,
    Nothing,
    Observed,
    Target,
    choose_model,
    next_action,
    usual_n_ctx,
)
from app.models.planner import device_words, reclaimable_bytes
from engine.fit.plan import DeviceBytes, LoadMode, Plan, Wish
from engine.hardware.profile import DeviceKind


def _plan(n_ctx: int = 4096, load_mode: LoadMode = "mmap", *devices: DeviceBytes) -> Plan:
    return Plan(Path("m.gguf"), "m", n_ctx, 8192, 8, 512, 512, 8, "f16", 0, load_mode, 2, devices)


def _device(kind: DeviceKind, name: str, weights_bytes: int) -> DeviceBytes:
    return DeviceBytes(name, kind, 10**9, weights_bytes, 7, 0, 3)


A, B = Target("a", Wish(), _plan()), Target("b", Wish(), _plan())
A_LARGER = Target("a", Wish(n_ctx=8192), _plan(8192))
A_REPLANNED = Target("a", Wish(), _plan(2048))


@pytest.mark.parametrize(
    ("desired", "observed", "action"),
    [
        (None, Observed(None, False), Nothing()),
        (A, Observed(None, False), Begin(A)),
        (A, Observed(A, True), Nothing()),
        (A, Observed(A_REPLANNED, True), Nothing()),
        (A, Observed(A, False), Discard()),
        (A, Observed(B, True), Discard()),
        (A, Observed(A_LARGER, True), Discard()),
        (None, Observed(A, True), Discard()),
        (None, Observed(A, False), Discard()),
    ],
)
def test_next_action(desired: Target | None, observed: Observed, action: Action) -> None:
    assert next_action(desired, observed) == action


@pytest.mark.parametrize(
    ("asked", "last_used", "usable", "chosen"),
    [
        ("x", "y", ("x", "y", "starter"), "x"),
        ("gone", "y", ("x", "y", "starter"), "y"),
        (None, "gone", ("x", "starter"), "starter"),
        (None, None, ("x",), "x"),
        (None, None, (), None),
    ],
)
def test_choice(asked: str | None, last_used: str | None, usable: tuple[str, ...], chosen: str | None) -> None:
    assert choose_model(asked, last_used, usable, ("starter",)) == chosen


def test_mapped_weights_are_not_counted_twice() -> None:
    cpu = _device(DeviceKind.CPU, "CPU", 100)
    card = _device(DeviceKind.GPU, "Card", 1000)
    assert reclaimable_bytes(_plan(4096, "mmap", cpu, card)) == 10
    assert reclaimable_bytes(_plan(4096, "read", cpu, card)) == 110


def test_devices_in_words() -> None:
    cpu, card = _device(DeviceKind.CPU, "AMD EPYC", 100), _device(DeviceKind.GPU, "Radeon", 5)
    assert device_words(_plan(4096, "mmap", cpu)) == "CPU"
    assert device_words(_plan(4096, "mmap", cpu, card)) == "Radeon + CPU"
    assert device_words(_plan()) == "CPU"


@pytest.mark.parametrize(
    ("model_id", "last_n_ctx", "n_ctx", "expected"),
    [
        ("last", 1024, None, 1024),
        ("last", 1024, 4096, 1024),
        ("last", None, 4096, 4096),
        ("other", 1024, 4096, 4096),
        ("other", 1024, None, None),
    ],
)
def test_the_context_of_last_time_is_the_models_own(
    model_id: str, last_n_ctx: int | None, n_ctx: int | None, expected: int | None
) -> None:
    assert usual_n_ctx(model_id, "last", last_n_ctx, n_ctx) == expected
