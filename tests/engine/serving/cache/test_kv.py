"""The cache's bookkeeping, against a memory that does what llama.cpp's does: cells with sets of sequences."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from engine.llama.context import MemoryKind, State
from engine.serving.kv import NO_MATCH, KvCache, Match, common_prefix


class Cells:
    """llama.cpp's unified cache in the small: every cell has a position and the sequences that see it."""

    def __init__(self, first: int = 0) -> None:
        self.cells: list[tuple[int, set[int]]] = []
        self._first = first
        self.loads = True

    def append(self, sequence: int, positions: range) -> None:
        self.cells += [(position, {sequence}) for position in positions]

    def share(self, source: int, target: int, n_tokens: int, state: State | None = None) -> bool:
        for position, holders in self.cells:
            if source in holders and position < n_tokens:
                holders.add(target)
        return self.loads or state is None

    def truncate(self, sequence: int, n_tokens: int) -> bool:
        for position, holders in self.cells:
            if position >= n_tokens:
                holders.discard(sequence)
        self.cells = [cell for cell in self.cells if cell[1]]
        return True

    def first_position(self, sequence: int) -> int:
        return self._first

    def save_state(self, sequence: int) -> State:
        return np.zeros(10, np.uint8)

    def load_state(self, sequence: int, state: State) -> bool:
        return self.loads

    def length(self, sequence: int) -> int:
        return sum(sequence in holders for _, holders in self.cells)


class Parts(Cells):
    """llama.cpp's cache of parts: whoever begins like another has cells of its own."""

    def share(self, source: int, target: int, n_tokens: int, state: State | None = None) -> bool:
        self.cells += [(at, {target}) for at, holders in self.cells if source in holders and at < n_tokens]
        return True


class CacheMachine(RuleBasedStateMachine):
    """Whatever is claimed, extended, retired and evicted, the count of cells is the memory's own."""

    unified = True

    def __init__(self) -> None:
        super().__init__()
        self.memory = Cells() if self.unified else Parts()
        self.cache = KvCache(self.memory, n_cells=10_000, n_slots=4, unified=self.unified)
        self.live: dict[int, list[int]] = {}

    @precondition(lambda self: self.cache.vacant_slots > 0)
    @rule(tokens=st.lists(st.integers(0, 1), min_size=2, max_size=12))
    def begin(self, tokens: list[int]) -> None:
        match = self.cache.match(tokens)
        assert match.n_tokens < len(tokens)
        slot, held = self.cache.claim(match)
        assert held == match.n_tokens
        assert slot not in self.live
        self.live[slot] = tokens[: match.n_tokens]
        self._grow(slot, tokens[match.n_tokens :])

    def _grow(self, slot: int, tokens: list[int]) -> None:
        held = self.live[slot]
        self.memory.append(slot, range(len(held), len(held) + len(tokens)))
        self.cache.extend(slot, tokens)
        self.live[slot] = held + tokens

    @precondition(lambda self: self.live)
    @rule(data=st.data(), tokens=st.lists(st.integers(0, 1), min_size=1, max_size=5))
    def go_on(self, data: st.DataObject, tokens: list[int]) -> None:
        self._grow(data.draw(st.sampled_from(sorted(self.live))), tokens)

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        slot = data.draw(st.sampled_from(sorted(self.live)))
        self.cache.retire(slot)
        del self.live[slot]

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        slot = data.draw(st.sampled_from(sorted(self.live)))
        self.cache.drop(slot)
        del self.live[slot]

    @rule()
    def evict(self) -> None:
        before = self.cache.used_cells
        if self.cache.evict_idle():
            assert self.cache.used_cells < before

    @invariant()
    def cells_are_counted(self) -> None:
        assert self.cache.used_cells == len(self.memory.cells)

    @invariant()
    def live_sequences_hold_their_tokens(self) -> None:
        for slot, tokens in self.live.items():
            assert self.memory.length(slot) == len(tokens)

    def teardown(self) -> None:
        for slot in self.live:
            self.cache.retire(slot)
        self.cache.drop_idle()
        assert self.cache.used_cells == 0
        assert not self.memory.cells


class PartsMachine(CacheMachine):
    """The same where prefixes are copied."""

    unified = False


CacheMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestCacheMachine = CacheMachine.TestCase
PartsMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestPartsMachine = PartsMachine.TestCase


def _idle(cache: KvCache, tokens: list[int]) -> int:
    slot, _ = cache.claim(NO_MATCH)
    cache.extend(slot, tokens)
    cache.retire(slot)
    return slot


def test_one_token_is_always_left_to_compute() -> None:
    cache = KvCache(Cells(), n_cells=100, n_slots=2)
    _idle(cache, [1, 2, 3])
    assert cache.match([1, 2, 3]).n_tokens == 2


def test_a_conversation_goes_on_in_its_own_slot() -> None:
    cache = KvCache(Cells(), n_cells=100, n_slots=2)
    slot = _idle(cache, [1, 2, 3])
    match = cache.match([1, 2, 3, 4])
    assert match == Match(slot, 3, n_common=3)
    assert cache.claim(match) == (slot, 3)
    assert cache.used_cells == 3


def test_a_branch_shares_cells_and_leaves_the_other_branch_whole() -> None:
    cache = KvCache(Cells(), n_cells=100, n_slots=2)
    first = _idle(cache, [1, 2, 3, 4])
    second, _ = cache.claim(cache.match([1, 2, 9]))
    cache.extend(second, [9])
    assert second != first
    assert cache.used_cells == 5
    cache.retire(second)
    assert cache.match([1, 2, 3, 4, 5]).n_tokens == 4


def test_a_state_that_cannot_be_cut_is_reused_whole_or_not_at_all() -> None:
    cache = KvCache(Cells(), n_cells=100, n_slots=2, kind=MemoryKind.STATE)
    _idle(cache, [1, 2, 3])
    assert cache.match([1, 2, 9, 9]).n_tokens == 0
    assert cache.match([1, 2, 3]).n_tokens == 0
    assert cache.match([1, 2, 3, 4]).n_tokens == 3


def test_a_window_that_has_moved_on_is_not_reused_from_before_it() -> None:
    cache = KvCache(Cells(first=6), n_cells=100, n_slots=2, kind=MemoryKind.WINDOWED, window_tokens=4)
    _idle(cache, list(range(10)))
    assert cache.match([*range(10), 99]).n_tokens == 10
    assert cache.match([*range(9), 99]).n_tokens == 0


def test_the_prefix_used_longest_ago_goes_first() -> None:
    cache = KvCache(Cells(), n_cells=100, n_slots=3)
    _idle(cache, [1, 1])
    _idle(cache, [2, 2])
    cache.retire(cache.claim(cache.match([1, 1, 1]))[0])
    assert cache.evict_idle()
    assert cache.match([2, 2, 2]) == NO_MATCH
    assert cache.match([1, 1, 1]).n_tokens == 2


_BITS = st.lists(st.integers(0, 1), max_size=20)


@given(_BITS, _BITS, st.integers(-1, 25))
def test_the_common_prefix_is_the_longest(a: list[int], b: list[int], limit: int) -> None:
    n = common_prefix(a, b, limit)
    assert a[:n] == b[:n]
    assert n <= max(0, limit)
    assert n in (len(a), len(b), max(0, limit)) or a[n] != b[n]
