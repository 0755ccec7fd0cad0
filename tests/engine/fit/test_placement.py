"""What every placement keeps to, whatever the model and the machine; and that none that is allowed would be quicker."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from engine.fit.budget import Budgets
from engine.fit.facts import ModelFacts
from engine.fit.footprint import CacheShape, Size, Weights
from engine.fit.layers import LayerMemory, ModelMemory
from engine.fit.placement import ALL_IN_RAM, Choice
from engine.hardware.profile import Machine
from tests.engine.fit.drawn import COMPUTES, MB, gpu, layout, machine, machines, models

SHAPE = CacheShape(2_048, 4, 512, "f16")
thorough = settings(max_examples=100, deadline=None)


def _every_choice(facts: ModelFacts, memories: Budgets) -> Iterator[Choice]:
    """All that llama.cpp can carry out without moving KV before experts, one by one."""
    n_item, routed = facts.n_layer + 1, facts.weights.expert_layers
    yield ALL_IN_RAM
    spreads = [(n_item, routed[len(routed) - count :]) for count in range(len(routed) + 1)]
    spreads += [(count, tuple(layer for layer in routed if layer >= n_item - count)) for count in range(1, n_item)]
    for order in itertools.permutations(range(len(memories.cards))):
        for count, in_ram in spreads:
            for counts in itertools.product(range(count + 1), repeat=len(order)):
                if sum(counts) == count:
                    used = tuple((card, own) for card, own in zip(order, counts, strict=True) if own)
                    yield Choice(used, in_ram)


@thorough
@given(models(), machines(), COMPUTES)
def test_no_budget_is_exceeded(facts: ModelFacts, here: Machine, buffers: tuple[int, int]) -> None:
    planner, memories, _ = layout(facts, here, buffers, SHAPE)
    found = planner.place()
    assume(found.fits)
    usable = {one.name: one.usable_bytes for one in (*memories.cards, memories.host)}
    for device in found.devices:
        assert device.needed_bytes <= usable[device.name]
    if memories.shared:
        # One pool, counted once: all together fit into main memory.
        assert sum(device.needed_bytes for device in found.devices) <= memories.host.usable_bytes


@thorough
@given(models(), machines(), COMPUTES)
def test_every_weight_and_every_key_lies_somewhere_once(
    facts: ModelFacts, here: Machine, buffers: tuple[int, int]
) -> None:
    planner, _, _ = layout(facts, here, buffers, SHAPE)
    found = planner.place()
    alone = planner.lay_out(ALL_IN_RAM)
    copies = facts.weights.tied.bytes if found.choice.cards else 0
    weights = sum(device.weights_bytes for device in found.devices)
    everywhere = facts.weights.everywhere.bytes * len(found.devices)
    assert 0 <= weights - copies - (alone.devices[0].weights_bytes - facts.weights.everywhere.bytes) <= everywhere
    assert sum(device.kv_bytes for device in found.devices) == alone.devices[0].kv_bytes
    assert sum(device.recurrent_bytes for device in found.devices) == alone.devices[0].recurrent_bytes
    routed = sum(size.bytes for size in facts.weights.experts)
    assert sum(device.experts_bytes for device in found.devices) == routed


@thorough
@given(models(), machines(), COMPUTES)
def test_kv_never_leaves_before_experts_do(facts: ModelFacts, here: Machine, buffers: tuple[int, int]) -> None:
    choice = layout(facts, here, buffers, SHAPE)[0].place().choice
    first = facts.n_layer + 1 - choice.n_gpu_layers
    on_cards = tuple(layer for layer in facts.weights.expert_layers if layer >= first)
    if choice.n_gpu_layers <= facts.n_layer:
        assert choice.experts_in_ram == on_cards
    # It is the last ones that stay.
    assert choice.experts_in_ram == on_cards[len(on_cards) - len(choice.experts_in_ram) :]


@settings(max_examples=80, deadline=None)
@given(models(most_layers=4), machines(most_cards=2), COMPUTES)
def test_no_other_placement_is_quicker(facts: ModelFacts, here: Machine, buffers: tuple[int, int]) -> None:
    # Tables that every device copies are a few bytes, for which the search leaves room also where none is needed.
    facts = replace(facts, weights=replace(facts.weights, everywhere=Size()))
    planner, memories, pace = layout(facts, here, buffers, SHAPE)
    found = planner.place()
    possible = [planner.lay_out(choice) for choice in _every_choice(facts, memories)]
    best = min((pace.seconds(one.step) for one in possible if one.fits), default=None)
    assert found.fits == (best is not None)
    if best is not None:
        assert pace.seconds(found.step) <= best * 1.01


@thorough
@given(models(), machines(), COMPUTES, st.data())
@pytest.mark.slow
def test_more_memory_is_never_slower(
    facts: ModelFacts, here: Machine, buffers: tuple[int, int], data: st.DataObject
) -> None:
    planner, memories, pace = layout(facts, here, buffers, SHAPE)
    before = planner.place()
    more = data.draw(st.integers(0, 600)) * MB
    where = data.draw(st.integers(0, len(here.gpus)))
    gpus = list(here.gpus)
    memory = here.memory
    if where < len(gpus):
        grown = gpus[where].free_bytes + more
        gpus[where] = replace(gpus[where], free_bytes=grown, total_bytes=max(grown, gpus[where].total_bytes))
    else:
        memory = replace(memory, available_bytes=memory.available_bytes + more)
    after = layout(facts, replace(here, gpus=tuple(gpus), memory=memory), buffers, SHAPE)[0].place()
    assume(before.fits)
    # A larger card keeps more back for the system; only what may be used counts.
    usable = [one.usable_bytes for one in layout(facts, here, buffers, SHAPE)[1].cards]
    assume(all(a >= b for a, b in zip(_usable(facts, replace(here, gpus=tuple(gpus))), usable, strict=True)))
    assert after.fits
    assert pace.seconds(after.step) <= pace.seconds(before.step) * (1 + 1e-9)
    assert memories.shared == any(one.unified for one in here.gpus)


def _usable(facts: ModelFacts, here: Machine) -> list[int]:
    return [one.usable_bytes for one in layout(facts, here, (1, 0), SHAPE)[1].cards]


@thorough
@given(models(), machines(), COMPUTES, st.integers(0, 6))
@pytest.mark.slow
def test_experts_kept_by_hand_are_kept(facts: ModelFacts, here: Machine, buffers: tuple[int, int], asked: int) -> None:
    planner, _, _ = layout(facts, here, buffers, SHAPE)
    found = planner.place(asked)
    assume(found.fits and found.choice.n_gpu_layers == facts.n_layer + 1)
    routed = facts.weights.expert_layers
    least = min(asked, len(routed))
    assert len(found.choice.experts_in_ram) >= least
    if len(found.choice.experts_in_ram) > least:
        fewer = planner.lay_out(replace(found.choice, experts_in_ram=routed[len(routed) - least :]))
        assert not fewer.fits or len(here.gpus) > 1


@pytest.mark.parametrize("sizes", [(1_400, 600), (600, 1_400)])
def test_the_quicker_of_two_cards_is_filled_first(sizes: tuple[int, int]) -> None:
    facts = _even_model(10)
    quick, slow = gpu(0, sizes[0] * MB, 900e9), gpu(1, sizes[1] * MB, 60e9)
    planner, memories, _ = layout(facts, machine(4_000 * MB, (quick, slow)), (10, 0), SHAPE)
    found = planner.place()
    assert found.fits
    held = {device.name: device.weights_bytes for device in found.devices}
    one_layer = 100 * MB
    assert held["CUDA0"] + one_layer > min(memories.cards[0].usable_bytes - 20 * MB, 1_000 * MB)


def _even_model(n_layer: int) -> ModelFacts:
    layer, small = Size(100 * MB, 200 * MB), Size(5 * MB, 10 * MB)
    weights = Weights((layer,) * n_layer, (Size(),) * n_layer, small, small, Size())
    memory = ModelMemory((LayerMemory(128, 128, False, 0),) * n_layer, 0)
    return ModelFacts("Even", Path("even.gguf"), 8_192, 512, 32_000, 0, 0, weights, memory)
