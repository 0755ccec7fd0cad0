"""Machines in a line of text."""

from __future__ import annotations

import pytest

from engine.errors import GatehouseError
from engine.fit.budget import budgets
from engine.fit.described import SCREEN_BYTES, SYSTEM_BYTES, describe_machine
from engine.hardware.profile import DeviceKind

GIB = 1 << 30


def test_the_line_of_the_issue() -> None:
    found = describe_machine("ram=16GiB,gpu=8GiB:448GB/s,cpu=50GB/s")
    assert found.memory.total_bytes == 16 * GIB
    assert found.memory.available_bytes == 16 * GIB - SYSTEM_BYTES
    (card,) = found.gpus
    assert (card.total_bytes, card.free_bytes) == (8 * GIB, 8 * GIB - SCREEN_BYTES)
    assert card.bandwidth_bytes_s == 448e9
    assert card.link_bytes_s is None
    assert found.bandwidth is not None
    assert found.bandwidth.read_bytes_s == 50e9


def test_several_cards_links_cores_and_free_memory() -> None:
    found = describe_machine(" ram=64GB , free=60GB, gpu=24GiB:1008GB/s:25GB/s, gpu=8GiB, cores=16")
    assert found.memory.available_bytes == 60_000_000_000
    assert [card.backend for card in found.gpus] == ["CUDA0", "CUDA1"]
    assert found.gpus[0].link_bytes_s == 25e9
    assert found.processor.usable_threads == 16
    assert found.bandwidth is None


def test_shared_graphics_are_one_pool() -> None:
    found = describe_machine("ram=32GiB,unified=24GiB:400GB/s")
    assert found.gpus[0].kind is DeviceKind.INTEGRATED
    memories = budgets(found)
    assert memories.shared
    assert memories.usable_bytes == memories.host.usable_bytes


NOTHING = ["", "gpu=8GiB", "ram", "ram=", "ram=-1", "ram=0", "ram=1e400", "ram=16GiB/s", "ram=nan", "ram=99999TiB"]
NOTHING += [
    "ram=16GiB,gpu=",
    "ram=16GiB,gpu=8GiB:1:2:3",
    "ram=16GiB,cores=0",
    "ram=16GiB,cores=x",
    "ram=16GiB,disk=1TB",
]


@pytest.mark.parametrize("text", NOTHING)
def test_what_says_nothing_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(GatehouseError) as caught:
        describe_machine(text)
    assert caught.value.code == "bad_machine"
    assert "ram=16GiB" in caught.value.hint
