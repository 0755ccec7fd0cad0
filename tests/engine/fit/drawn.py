"""Drawn models and machines for tests of the planner: small, odd, and of every kind."""

from __future__ import annotations

from pathlib import Path

from hypothesis import strategies as st

from engine.fit.budget import Budgets, budgets
from engine.fit.facts import ModelFacts
from engine.fit.footprint import CacheShape, Size, Weights
from engine.fit.layers import LayerMemory, ModelMemory
from engine.fit.placement import Compute, Layout
from engine.fit.rates import machine_rates
from engine.fit.speed import Pace, task_of
from engine.hardware.profile import Bandwidth, DeviceKind, Gpu, Machine, Memory, Processor

MB = 1_000_000


@st.composite
def models(draw: st.DrawFn, most_layers: int = 6) -> ModelFacts:
    """Up to a few layers of uneven size; dense, mixture-of-experts, or with some dense layers first."""
    n_layer = draw(st.integers(1, most_layers))
    size = st.integers(1, 60).map(lambda count: Size(count * MB, count * 2 * MB))
    layers = tuple(draw(st.lists(size, min_size=n_layer, max_size=n_layer)))
    n_expert = draw(st.sampled_from([0, 4, 8, 64]))
    leading = draw(st.integers(0, n_layer))
    big = st.integers(10, 400).map(lambda count: Size(count * MB, count * 2 * MB))
    routed = tuple(draw(big) if n_expert and layer >= leading else Size() for layer in range(n_layer))
    tied = draw(st.booleans())
    embedding, output = draw(size), draw(size)
    weights = Weights(layers, routed, embedding, output, embedding if tied else Size(), Size(256, 64))
    keeps = st.builds(
        LayerMemory, st.integers(0, 2_048), st.integers(0, 2_048), st.booleans(), st.sampled_from([0, 9_000])
    )
    memory = ModelMemory(
        tuple(draw(st.lists(keeps, min_size=n_layer, max_size=n_layer))), draw(st.sampled_from([0, 128]))
    )
    used = draw(st.integers(1, n_expert)) if n_expert else 0
    return ModelFacts("Drawn", Path("drawn.gguf"), 8_192, 512, 32_000, n_expert, used, weights, memory)


@st.composite
def machines(draw: st.DrawFn, most_cards: int = 3) -> Machine:
    """With up to so many unequal cards, or graphics that share main memory, or neither."""
    free = draw(st.integers(400, 4_000)) * MB
    kind = draw(st.sampled_from(["cards", "shared", "none"]))
    gpus: tuple[Gpu, ...] = ()
    if kind == "shared":
        gpus = (gpu(0, draw(st.integers(300, 3_000)) * MB, 60e9, unified=True),)
    elif kind == "cards":
        sizes = draw(st.lists(st.integers(260, 1_500), min_size=1, max_size=most_cards))
        rates = st.sampled_from([15e9, 60e9, 250e9, 900e9])
        gpus = tuple(gpu(number, size * MB, draw(rates)) for number, size in enumerate(sizes))
    return machine(free, gpus)


def gpu(number: int, free_bytes: int, bandwidth_bytes_s: float, *, unified: bool = False) -> Gpu:
    """A card with a quarter more memory than is free."""
    kind = DeviceKind.INTEGRATED if unified else DeviceKind.GPU
    name = f"{'MTL' if unified else 'CUDA'}{number}"
    total = free_bytes * 5 // 4
    return Gpu("Drawn card", kind, name, None, total, free_bytes, unified, ("test",), bandwidth_bytes_s, 12e9)


def machine(free_bytes: int, gpus: tuple[Gpu, ...]) -> Machine:
    """Four cores that read 30 GB a second."""
    processor = Processor("Drawn", "x86_64", 4, 4, 8, 8, None, ("avx2",))
    memory = Memory(8_000 * MB, free_bytes, None)
    return Machine("Drawn", processor, memory, (), gpus, Bandwidth(30e9, 4, 0.0), ())


COMPUTES = st.tuples(st.integers(1, 60), st.integers(0, 40))


def layout(
    facts: ModelFacts, here: Machine, buffers: tuple[int, int], shape: CacheShape
) -> tuple[Layout, Budgets, Pace]:
    """Ready to place, with compute buffers of so many megabytes."""
    memories = budgets(here)
    pace = Pace(facts, shape, machine_rates(here, memories, 4), task_of("chat", 1))
    plain, copied = (size * MB for size in buffers)
    compute = Compute(plain, plain // 2, tuple(plain for _ in memories.cards), copied)
    return Layout(facts, shape, memories, compute, pace), memories, pace
