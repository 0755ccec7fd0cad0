"""Copies of states: where they are taken, how long they are kept, and that they go with their slots."""

from __future__ import annotations

import numpy as np
import pytest

from engine.llama.context import MemoryKind
from engine.serving.checkpoints import Checkpoints, marks
from engine.serving.kv import NO_MATCH, KvCache
from tests.engine.serving.cache.test_kv import Cells


@pytest.mark.parametrize(
    ("n_held", "n_tokens", "n_common", "expected"),
    [
        (0, 1000, 0, [996]),  # for the same question again
        (0, 1000, 400, [400, 996]),  # and where it parts from another's
        (0, 50, 0, []),  # sooner computed than copied
        (950, 1000, 960, []),
        (0, 1000, 990, [990]),  # close together: one of the two
        (0, 1000, 999, [996]),
    ],
)
def test_where_copies_are_taken(n_held: int, n_tokens: int, n_common: int, expected: list[int]) -> None:
    assert marks(n_held, n_tokens, n_common) == expected


def state(n_bytes: int = 100) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    return np.zeros(n_bytes, np.uint8)


def test_the_budget_is_kept_by_forgetting_what_was_used_longest_ago() -> None:
    kept = Checkpoints(250)
    kept.keep(0, 100, state())
    kept.keep(1, 200, state())
    first = kept.latest(0, 1000)
    assert first is not None
    kept.touch(first)
    kept.keep(2, 300, state())
    assert kept.used_bytes == 200
    assert kept.latest(1, 1000) is None
    assert kept.latest(0, 1000) is first
    kept.keep(3, 400, state(251))
    assert kept.latest(3, 1000) is None
    assert len(kept) == 2


def test_a_copy_lives_as_long_as_anyone_begins_with_it() -> None:
    kept = Checkpoints(1000)
    kept.keep(0, 100, state())
    kept.inherit(0, 1, 150)
    kept.inherit(0, 2, 50)  # shorter than the copy
    kept.cut(0, 0)
    assert kept.latest(1, 150) is not None
    assert kept.latest(2, 150) is None
    kept.cut(1, 120)
    assert kept.used_bytes == 100
    kept.cut(1, 99)
    assert kept.used_bytes == 0


def test_a_running_state_is_gone_back_to_where_a_copy_was_taken() -> None:
    cache = KvCache(Cells(), n_cells=1000, n_slots=2, kind=MemoryKind.STATE)
    slot, _ = cache.claim(NO_MATCH)
    cache.extend(slot, list(range(100)))
    cache.checkpoint(slot)
    cache.extend(slot, list(range(100, 200)))
    cache.retire(slot)
    match = cache.match([*range(150), 7])
    assert (match.n_tokens, match.n_common) == (100, 150)
    branch, held = cache.claim(match)
    assert (branch != slot, held, cache.used_cells) == (True, 100, 200)
    cache.drop(branch)
    cache.drop_idle()
    assert (cache.used_cells, cache.checkpoints.used_bytes) == (0, 0)


def test_where_a_state_cannot_be_put_back_everything_is_computed() -> None:
    memory = Cells()
    cache = KvCache(memory, n_cells=1000, n_slots=2, kind=MemoryKind.STATE)
    slot, _ = cache.claim(NO_MATCH)
    cache.extend(slot, list(range(100)))
    cache.checkpoint(slot)
    cache.extend(slot, [1])
    cache.retire(slot)
    memory.loads = False
    branch, held = cache.claim(cache.match([*range(100), 7]))
    assert held == 0
    cache.drop(branch)
    cache.drop_idle()
    assert cache.used_cells == 0


def test_a_slot_is_adopted_with_what_was_put_into_it_or_not_at_all() -> None:
    cache = KvCache(Cells(), n_cells=100, n_slots=2)
    assert cache.adopt([1, 2, 3], lambda slot: False) == -1
    assert cache.used_cells == 0
    slot = cache.adopt([1, 2, 3], lambda slot: True)
    assert cache.match([1, 2, 3, 4]).slot == slot
    assert cache.adopt(list(range(101)), lambda slot: True) == -1
