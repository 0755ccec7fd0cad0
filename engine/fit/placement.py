"""Which layers go to the card, and what every memory then holds. Pure: compute buffers are passed in.

First form: one card, whole layers, the last ones first, as llama.cpp itself places them.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.fit.budget import Budget, Budgets
from engine.fit.footprint import CacheShape, Weights, first_device_layer, kv_bytes, recurrent_bytes
from engine.fit.layers import ModelMemory
from engine.fit.plan import DeviceBytes


@dataclass(frozen=True, slots=True)
class Compute:
    """Compute and output buffers, and cache that arithmetic did not know of, by side."""

    host_bytes: int
    device_bytes: int
    unknown_kv_bytes: int = 0
    """What llama.cpp allocates for the cache beyond the formulas; 0 for every architecture the tables know."""
    unknown_recurrent_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Model:
    """What placing needs to know of a model."""

    weights: Weights
    memory: ModelMemory

    @property
    def n_layer(self) -> int:
        return len(self.weights.layers)


@dataclass(frozen=True, slots=True)
class Placement:
    """A model laid out on the memories of the machine."""

    n_gpu_layers: int
    devices: tuple[DeviceBytes, ...]
    missing_bytes: int
    """By how much the tightest memory is too small; 0 when everything fits."""
    short_of: Budget
    needed_bytes: int
    """On the memory that is ``short_of``, or on the host."""


def place(model: Model, shape: CacheShape, budgets: Budgets, compute: Compute) -> Placement:
    """Put as many layers on the card as it holds, the rest in main memory."""
    if budgets.card is None:
        return place_layers(model, shape, budgets, compute, 0)
    for n_gpu_layers in range(model.n_layer + 1, 0, -1):
        placement = place_layers(model, shape, budgets, compute, n_gpu_layers)
        if placement.missing_bytes == 0 or placement.short_of is budgets.host:
            return placement
    return place_layers(model, shape, budgets, compute, 0)


def place_layers(model: Model, shape: CacheShape, budgets: Budgets, compute: Compute, n_gpu_layers: int) -> Placement:
    """Lay the model out with exactly ``n_gpu_layers`` on the card (one more than layers: everything)."""
    split = model.weights.split(n_gpu_layers)
    first = first_device_layer(model.n_layer, n_gpu_layers)
    on_card = n_gpu_layers > 0
    host = DeviceBytes(
        name=budgets.host.name,
        kind=budgets.host.kind,
        free_bytes=budgets.host.free_bytes,
        weights_bytes=split.host_bytes,
        kv_bytes=kv_bytes(model.memory, shape, end_layer=first) + (0 if on_card else compute.unknown_kv_bytes),
        recurrent_bytes=recurrent_bytes(model.memory, shape, end_layer=first)
        + (0 if on_card else compute.unknown_recurrent_bytes),
        compute_bytes=compute.host_bytes,
    )
    if budgets.card is None or not on_card:
        return _weigh(n_gpu_layers, budgets, host, None)
    card = DeviceBytes(
        name=budgets.card.name,
        kind=budgets.card.kind,
        free_bytes=budgets.card.free_bytes,
        weights_bytes=split.device_bytes,
        kv_bytes=kv_bytes(model.memory, shape, first_layer=first) + compute.unknown_kv_bytes,
        recurrent_bytes=recurrent_bytes(model.memory, shape, first_layer=first) + compute.unknown_recurrent_bytes,
        compute_bytes=compute.device_bytes,
    )
    return _weigh(n_gpu_layers, budgets, host, card)


def _weigh(n_gpu_layers: int, budgets: Budgets, host: DeviceBytes, card: DeviceBytes | None) -> Placement:
    devices = (host,) if card is None else (card, host)
    if card is not None and budgets.card is not None:
        missing = card.needed_bytes - budgets.card.usable_bytes
        if missing > 0:
            return Placement(n_gpu_layers, devices, missing, budgets.card, card.needed_bytes)
    needed = host.needed_bytes
    if card is not None and budgets.shared:
        needed += card.needed_bytes
    missing = max(0, needed - budgets.host.usable_bytes)
    return Placement(n_gpu_layers, devices, missing, budgets.host, needed)
