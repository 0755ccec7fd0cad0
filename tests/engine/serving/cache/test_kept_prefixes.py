"""Which prefixes are kept and which kept ones are brought back, on a memory that only counts."""

from __future__ import annotations

import threading
import time
from array import array
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engine.llama.context import MemoryKind, State
from engine.serving.kept.form import Binding
from engine.serving.kept.lane import KeptLane
from engine.serving.kept.prefixes import KeptPrefixes
from engine.serving.kept.shelf import Kept, KeptShelf
from engine.serving.kv import KvCache

ROW_S = 0.01


class CountingMemory:
    """Sequences as lengths; a state is a thousand bytes a token, of which the first tell the length."""

    def __init__(self, kind: MemoryKind = MemoryKind.CELLS) -> None:
        self.memory_kind = kind
        self.lengths: dict[int, int] = {}
        self.refuses = False

    def share(self, source: int, target: int, n_tokens: int, state: State | None = None) -> bool:
        self.lengths[target] = n_tokens
        return True

    def truncate(self, sequence: int, n_tokens: int) -> bool:
        self.lengths[sequence] = n_tokens
        return True

    def first_position(self, sequence: int) -> int:
        return 0

    def state_bytes(self, sequence: int) -> int:
        return 1000 * self.lengths.get(sequence, 0)

    def save_state(self, sequence: int, *, whole: bool = False) -> State:
        return np.full(self.state_bytes(sequence), 7, np.uint8)

    def load_state(self, sequence: int, state: State, *, whole: bool = False) -> bool:
        self.lengths[sequence] = state.nbytes // 1000
        return not self.refuses


class House:
    """A cache, its memory, and what is kept of it."""

    def __init__(
        self, folder: Path, *, kind: MemoryKind = MemoryKind.CELLS, slots: int = 3, budget: int = 1 << 30
    ) -> None:
        self.memory = CountingMemory(kind)
        self.cache = KvCache(self.memory, n_cells=8000, n_slots=slots, kind=kind)
        self.lane = KeptLane(KeptShelf(folder, b"k" * 32, Binding("b", "m", "c"), budget), idle_s=5.0)
        self.kept = KeptPrefixes(self.cache, self.memory, self.lane)
        self.lane.start()

    def rest(self, tokens: list[int], owner: str = "") -> int:
        """A sequence came, computed its tokens, and ended."""
        slot, held = self.cache.claim(self.cache.match(tokens))
        self.cache.extend(slot, tokens[held:])
        self.memory.lengths[slot] = len(tokens)
        self.cache.retire(slot, self.kept.owner(owner) if owner else "")
        return slot

    def pass_idle(self) -> None:
        """As the engine does when it has nothing to do for a minute."""
        now = time.monotonic()
        self.kept.rest_s(now)
        while self.kept.keep_one(now + 60, busy=False):
            pass

    def wait_for_entries(self) -> None:
        """Until the lane has looked into the folder and written what it was given."""
        done = threading.Event()
        deadline = time.monotonic() + 10
        while not self.lane.entries or self.lane.pending_bytes:
            assert time.monotonic() < deadline
            done.wait(0.001)

    def written(self) -> list[array[int]]:
        """What is on disk once everything is."""
        assert self.lane.close(10)
        return sorted((kept.tokens for kept in self.lane.entries), key=list)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    assert made.lane.close(10)


def text(start: int, length: int) -> list[int]:
    return list(range(start, start + length))


def test_a_prefix_at_rest_is_kept_after_its_time_and_short_ones_never(house: House) -> None:
    house.rest(text(0, 500))
    house.rest(text(1000, 100))
    now = time.monotonic()
    wait_s = house.kept.rest_s(now)
    assert wait_s is not None
    assert 4.0 < wait_s <= 5.0
    assert not house.kept.keep_one(now, busy=False)
    house.pass_idle()
    assert house.kept.rest_s(now) is None
    assert house.written() == [array("i", text(0, 500))]


def test_a_conversation_is_written_again_only_when_it_has_grown(house: House) -> None:
    house.rest(text(0, 500))
    house.pass_idle()
    house.rest(text(0, 530))
    assert house.kept.rest_s(time.monotonic()) is None
    house.rest(text(0, 700))
    house.pass_idle()
    assert house.written() == [array("i", text(0, 700))]


def test_while_others_are_served_only_a_short_copy_is_made(house: House) -> None:
    house.rest(text(0, 500))
    now = time.monotonic()
    house.kept._pace.save_s = 1.0  # seconds a byte
    assert house.kept.keep_one(now + 10, busy=True) is False
    assert house.kept.keep_one(now + 20, busy=True) is False
    house.kept._pace.save_s = 1e-9
    assert house.kept.keep_one(now + 30, busy=True) or house.kept.keep_one(now + 40, busy=True)
    assert len(house.written()) == 1


def test_what_makes_way_is_kept_first(house: House) -> None:
    for start in (0, 1000, 2000, 3000):  # three slots
        house.rest(text(start, 400))
    assert house.written() == [array("i", text(0, 400))]


def test_an_end_in_order_keeps_everything(house: House) -> None:
    for start in (0, 1000):
        house.rest(text(start, 400))
    house.kept.close(5.0)
    assert len(house.written()) == 2


def test_a_forgotten_conversation_is_not_kept_although_it_was_still_speaking(house: House) -> None:
    slot, _ = house.cache.claim(house.cache.match(text(0, 500)))
    house.cache.extend(slot, text(0, 500))
    house.memory.lengths[slot] = 500
    owner = house.kept.owner("talk")
    assert house.kept.forget("talk") == 0
    house.cache.retire(slot, owner)
    house.pass_idle()
    house.kept.close(5.0)
    assert house.written() == []


def bring(house: House, tokens: list[int]) -> Kept | None:
    return house.kept.offer(tuple(tokens), ROW_S)


@pytest.mark.parametrize("kind", [MemoryKind.CELLS, MemoryKind.STATE])
def test_a_kept_prefix_is_offered_as_far_as_its_memory_can_be_cut(tmp_path: Path, kind: MemoryKind) -> None:
    before = House(tmp_path, kind=kind)
    before.rest(text(0, 500))
    before.kept.close(5.0)
    assert before.lane.close(10)
    after = House(tmp_path, kind=kind)
    after.wait_for_entries()
    try:
        assert bring(after, text(0, 600)) is not None
        assert (bring(after, [*text(0, 450), *text(9000, 100)]) is not None) == (kind is MemoryKind.CELLS)
        assert (bring(after, text(0, 500)) is not None) == (kind is MemoryKind.CELLS)  # one must be left to compute
        assert bring(after, text(0, 300)) is None or kind is MemoryKind.CELLS
        assert bring(after, text(7000, 600)) is None
        assert after.kept.offer(tuple(text(0, 600)), 1e-9) is None  # computing is quicker than reading
    finally:
        assert after.lane.close(10)


def test_what_is_brought_back_is_taken_over_and_not_brought_twice(house: House) -> None:
    house.rest(text(0, 500), "talk")
    house.pass_idle()
    house.cache.drop_idle()
    house.wait_for_entries()
    (kept,) = house.lane.entries
    state = np.full(500_000, 7, np.uint8)
    assert house.kept.restore(kept, state, time.monotonic())
    assert house.kept.restore(kept, state, time.monotonic())
    assert (house.kept.counts.restored, house.cache.used_cells) == (1, 500)
    assert house.cache.match(text(0, 600)).n_tokens == 500
    assert bring(house, text(0, 600)) is None  # it is in memory now
    assert house.kept.forget("talk") == 1


def test_a_state_that_llama_cpp_refuses_is_deleted(house: House) -> None:
    house.rest(text(0, 500))
    house.pass_idle()
    house.cache.drop_idle()
    house.wait_for_entries()
    house.memory.refuses = True
    assert not house.kept.restore(house.lane.entries[0], np.full(500_000, 7, np.uint8), time.monotonic())
    assert house.written() == []
    assert house.kept.counts.rejected == 1
    assert house.cache.used_cells == 0
