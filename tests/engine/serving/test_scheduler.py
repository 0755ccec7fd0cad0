"""Who runs when: decisions as tables, and a full cache survived, with a memory that only remembers lengths."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from engine.llama.context import MemoryKind, State
from engine.llama.sampler import Sampler, SamplingSettings
from engine.serving.kv import KvCache
from engine.serving.policy import Pace, prompt_rows
from engine.serving.scheduler import Scheduler, Step
from engine.serving.sequence import GenerationRequest, Sequence, Ticket
from engine.serving.stop import TextStream

Make = Callable[..., Scheduler]


class Memory:
    """Agrees to everything, unless it is told that it cannot be cut."""

    def __init__(self, *, cuttable: bool = True) -> None:
        self._cuttable = cuttable

    def share(self, source: int, target: int, n_tokens: int, state: State | None = None) -> bool:
        return True

    def truncate(self, sequence: int, n_tokens: int) -> bool:
        return self._cuttable or n_tokens == 0

    def first_position(self, sequence: int) -> int:
        return 0

    def save_state(self, sequence: int) -> State:
        return np.zeros(10, np.uint8)

    def load_state(self, sequence: int, state: State) -> bool:
        return True


def scheduler(
    *, n_cells: int = 1000, n_slots: int = 4, n_batch: int = 64, n_ubatch: int = 0, cuttable: bool = True
) -> Scheduler:
    kind = MemoryKind.CELLS if cuttable else MemoryKind.STATE
    cache = KvCache(Memory(cuttable=cuttable), n_cells=n_cells, n_slots=n_slots, kind=kind)
    return Scheduler(cache, n_batch=n_batch, n_ubatch=n_ubatch or n_batch, n_outputs_max=8)


def sequence(tokens: list[int], *, submitted_at: float | None = None, reuse_prefix: bool = True) -> Sequence:
    ticket = Ticket(GenerationRequest(tuple(tokens), SamplingSettings(), reuse_prefix=reuse_prefix), lambda delta: None)
    if submitted_at is not None:
        ticket.submitted_at = submitted_at
    return Sequence(ticket, 0, list(tokens), Sampler(SamplingSettings()), TextStream(), len(tokens), 10_000)


def advance(made: Scheduler, elapsed_s: float = 0.01) -> Step:
    """One step as the engine does it, each finished slice getting token 7."""
    step = made.schedule()
    assert step is not None
    made.on_done(step, elapsed_s)
    for part in step.slices:
        if part.wants_logits:
            part.sequence.tokens.append(7)
    return step


def rows(step: Step) -> list[tuple[int, int, bool]]:
    return [(part.start, part.count, part.wants_logits) for part in step.slices]


def test_a_prompt_is_cut_into_batches_and_only_its_end_has_logits() -> None:
    made = scheduler(n_batch=64)
    made.add([sequence(list(range(150)))])
    assert [rows(advance(made)) for _ in range(4)] == [
        [(0, 64, False)],
        [(64, 64, False)],
        [(128, 22, True)],
        [(150, 1, True)],
    ]


def test_those_who_decode_go_first_and_prompts_fill_up() -> None:
    made = scheduler(n_batch=64)
    made.add([sequence([1, 2, 3])])
    advance(made)
    made.add([sequence(list(range(100, 300)))])
    step = advance(made)
    assert rows(step)[0] == (3, 1, True)
    assert step.n_decoding == 1
    assert step.n_rows == 64


@pytest.mark.parametrize(
    ("pace", "n_decoding", "expected"),
    [
        (Pace(), 0, 512),  # nothing known, nobody disturbed
        (Pace(), 2, 128),  # nothing known, somebody disturbed
        (Pace(row_s=0.001, decode_s=0.02), 1, 130),  # (150 - 20) ms at 1 ms a row
        (Pace(row_s=0.001), 0, 512),
        (Pace(row_s=0.01), 0, 100),  # a slow model alone: one second
        (Pace(row_s=0.1, decode_s=0.2), 1, 16),  # slower than the budget: a little all the same
    ],
)
def test_prompts_keep_to_their_time(pace: Pace, n_decoding: int, expected: int) -> None:
    assert prompt_rows(pace, n_decoding, 512) == expected


def test_a_micro_batch_is_cut_only_for_others() -> None:
    made = scheduler(n_batch=256, n_ubatch=128)
    made.pace.row_s = 0.02  # 50 rows a second
    made.add([sequence(list(range(1000, 1300)))])
    assert advance(made, 0.02 * 128).n_rows == 128
    made.add([sequence(list(range(3000, 3200)))])
    assert advance(made, 0.02 * 50).n_rows == 50


def test_the_pace_is_learnt_from_steps() -> None:
    pace = Pace()
    pace.note(0, 1, 0.02)
    pace.note(100, 1, 0.12)
    assert pace.decode_s == pytest.approx(0.02)
    assert pace.row_s == pytest.approx(0.001)
    for _ in range(30):
        pace.note(100, 0, 0.2)
    assert pace.row_s == pytest.approx(0.002, rel=0.01)


def test_the_shorter_prompt_goes_first_unless_the_longer_one_has_waited() -> None:
    made = scheduler(n_batch=16)
    long, short = sequence([1] * 200), sequence([2] * 20)
    made.add([long, short])
    step = made.schedule()
    assert step is not None
    assert step.slices[0].sequence is short
    made.on_done(step, 0.01)
    long.ticket.submitted_at -= 60.0
    step = made.schedule()
    assert step is not None
    assert step.slices[0].sequence is long


def test_who_begins_like_a_prompt_in_the_making_waits_and_shares_it() -> None:
    made = scheduler(n_batch=64)
    document = list(range(1000, 1100))
    leader, follower = sequence([*document, 1]), sequence([*document, 2])
    made.add([leader, follower])
    assert [part.sequence for part in advance(made).slices] == [leader]
    assert [part.sequence for part in advance(made).slices] == [leader]
    step = advance(made)
    assert follower in [part.sequence for part in step.slices]
    assert follower.cached_tokens == 100


def test_who_does_not_want_to_share_computes_everything() -> None:
    made = scheduler(n_batch=64)
    document = list(range(1000, 1040))
    made.add([sequence(document), alone := sequence(document, reuse_prefix=False)])
    assert len(advance(made).slices) == 2
    assert alone.cached_tokens == 0


def test_idle_prefixes_make_way() -> None:
    made = scheduler(n_cells=400, n_batch=512)
    first = sequence(list(range(300)))
    made.add([first])
    advance(made)
    made.remove(first)
    made.add([sequence(list(range(500, 700)))])
    step = advance(made)
    assert step.n_rows == 200


def test_a_newcomer_without_room_waits_for_the_running_one() -> None:
    made = scheduler(n_cells=400, n_batch=512)
    first, second = sequence(list(range(300)), submitted_at=0.0), sequence(list(range(500, 700)))
    made.add([first, second])
    assert len(advance(made).slices) == 1
    assert list(made.waiting) == [second]
    made.remove(first)
    advance(made)
    assert made.active == [second]


def test_the_youngest_is_sent_back_when_cells_run_out_and_loses_nothing() -> None:
    # Both fit with the headroom promised to them, and then grow beyond it.
    made = scheduler(n_cells=400, n_batch=64)
    first, second = sequence([1] * 40), sequence([2] * 40)
    made.add([first])
    advance(made)
    made.add([second])
    while not made.preemptions:
        advance(made)
    assert made.active == [first]
    assert list(made.waiting) == [second]
    assert second.slot == -1
    grown = list(second.tokens)
    made.remove(first)
    while second.pending != 1:
        advance(made)
    assert second.tokens[: len(grown)] == grown


def test_a_full_cache_is_met_by_evicting_then_halving_then_preempting() -> None:
    made = scheduler(n_cells=2000, n_batch=64)
    made.add([gone := sequence([9] * 10)])
    advance(made)
    made.remove(gone)
    made.add([sequence([1] * 200), sequence([2] * 300)])
    step = made.schedule()
    assert step is not None
    assert made.on_full(step)  # the idle prefix went
    step = made.schedule()
    assert step is not None
    assert made.on_full(step)
    halved = made.schedule()
    assert halved is not None
    assert halved.n_rows == step.n_rows // 2
    while halved.n_rows > 1:
        assert made.on_full(halved)
        halved = made.schedule()
        assert halved is not None
    assert made.on_full(halved)
    assert made.preemptions == 1
    last = made.schedule()
    assert last is not None
    assert len(made.active) == 1  # the preempted one waits until somebody ends
    assert not made.on_full(last)  # one row of one sequence: there is nothing left to give


def test_a_step_broken_off_is_done_again() -> None:
    made = scheduler()
    made.add([sequence(list(range(50)))])
    step = made.schedule()
    assert step is not None
    made.on_broken_off(step)
    assert rows(advance(made)) == [(0, 50, True)]


def test_a_state_that_cannot_be_cut_is_computed_anew_after_breaking_off() -> None:
    made = scheduler(n_batch=32, cuttable=False)
    one = sequence(list(range(50)))
    made.add([one])
    advance(made)
    step = made.schedule()
    assert step is not None
    made.on_broken_off(step)
    assert one.n_past == 0
    assert rows(advance(made)) == [(0, 32, False)]


def test_no_more_run_than_there_are_slots() -> None:
    made = scheduler(n_slots=2)
    made.add([sequence([index, 1, 2]) for index in range(5)])
    advance(made)
    assert len(made.active) == 2
    assert len(made.waiting) == 3
