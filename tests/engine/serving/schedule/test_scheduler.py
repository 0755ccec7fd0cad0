"""Who runs when: decisions as tables, and a full cache survived, with a memory that only remembers lengths."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from engine.llama.context import MemoryKind, State
from engine.llama.sampler import Sampler, SamplingSettings
from engine.serving.kv import KvCache
from engine.serving.policy import MOST_YIELDS, Manner, Pace, Turns, how_together, prompt_rows, prompt_steps
from engine.serving.scheduler import Scheduler, Step
from engine.serving.sequence import GenerationRequest, Priority, Sequence, Ticket
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
    *,
    n_cells: int = 1000,
    n_slots: int = 4,
    n_batch: int = 64,
    n_ubatch: int = 0,
    cuttable: bool = True,
    tile_rows: int = 0,
    parts: bool = False,
) -> Scheduler:
    kind = MemoryKind.CELLS if cuttable else MemoryKind.STATE
    cache = KvCache(Memory(cuttable=cuttable), n_cells=n_cells, n_slots=n_slots, kind=kind, unified=not parts)
    n_ubatch = n_ubatch or n_batch
    return Scheduler(cache, n_batch=n_batch, n_ubatch=n_ubatch, n_outputs_max=8, tile_rows=tile_rows, parts=parts)


def sequence(
    tokens: list[int],
    *,
    submitted_at: float | None = None,
    reuse_prefix: bool = True,
    priority: Priority = "interactive",
    user: str = "",
    streamed: bool = True,
) -> Sequence:
    request = GenerationRequest(
        tuple(tokens),
        SamplingSettings(),
        reuse_prefix=reuse_prefix,
        priority=priority,
        user=user,
        streamed=streamed,
    )
    ticket = Ticket(request, lambda delta: None)
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


def distinct(seed: int, n: int) -> list[int]:
    """A prompt that begins like no other."""
    return [1000 * seed + index for index in range(n)]


def numbered(sequences: list[Sequence], ordered: list[Sequence]) -> list[int]:
    return [sequences.index(one) for one in ordered]


NOW = 1000.0


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        # (priority, user, prompt, seconds waited)
        ([("interactive", "", 300, 0.0), ("interactive", "", 100, 0.0)], [1, 0]),
        ([("interactive", "", 3000, 6.0), ("interactive", "", 100, 0.0)], [0, 1]),  # six seconds are 3,072 tokens
        ([("batch", "", 10, 0.0), ("interactive", "", 3000, 0.0)], [1, 0]),
        ([("batch", "", 10, 31.0), ("interactive", "", 3000, 0.0)], [0, 1]),  # batch work was passed over too long
        ([("batch", "", 10, 29.0), ("interactive", "", 3000, 0.0)], [1, 0]),
    ],
)
def test_who_comes_first(kinds: list[tuple[Priority, str, int, float]], expected: list[int]) -> None:
    made = [sequence(distinct(1, n), priority=p, user=u, submitted_at=NOW - waited) for p, u, n, waited in kinds]
    assert numbered(made, Turns(30.0).order(made, NOW)) == expected


def test_users_take_turns_however_much_one_of_them_asks() -> None:
    made = scheduler(n_slots=4, n_batch=64, n_cells=10_000)
    greedy = [sequence(distinct(n, 40), user="greedy") for n in range(1, 7)]
    modest = sequence(distinct(9, 400), user="modest")
    made.add([*greedy, modest])
    advance(made)
    assert modest in made.active
    assert sum(one in made.active for one in greedy) == 3


def test_slices_of_prompts_go_round_the_users() -> None:
    made = scheduler(n_slots=4, n_batch=64, n_cells=10_000)
    first, second = sequence(distinct(1, 200), user="first"), sequence(distinct(2, 400), user="second")
    made.add([first, second])
    heads = [advance(made).slices[0].sequence for _ in range(4)]
    assert heads == [first, second, first, second]


def test_a_batch_sequence_gives_its_slot_to_an_interactive_one_and_goes_on_later() -> None:
    made = scheduler(n_slots=2, n_batch=64, n_cells=10_000)
    batch = [sequence(distinct(n, 20), priority="batch") for n in (1, 2)]
    made.add(batch)
    advance(made)
    advance(made)
    urgent = sequence(distinct(3, 20))
    made.add([urgent])
    advance(made)
    assert urgent in made.active
    assert len(made.waiting) == 1
    (yielded,) = made.waiting
    grown = list(yielded.tokens)
    made.remove(urgent)
    advance(made)
    assert yielded in made.active
    assert yielded.tokens[: len(grown)] == grown


def test_batch_work_is_not_driven_from_its_slot_for_ever() -> None:
    made = scheduler(n_slots=1, n_batch=64, n_cells=10_000)
    batch = sequence(distinct(1, 20), priority="batch")
    made.add([batch])
    advance(made)
    for n in range(MOST_YIELDS):
        urgent = sequence(distinct(n + 2, 20))
        made.add([urgent])
        advance(made)
        assert made.active == [urgent]
        made.remove(urgent)
        advance(made)
        assert made.active == [batch]
    made.add([sequence(distinct(9, 20))])
    advance(made)
    assert made.active == [batch]


def test_batch_prompts_take_half_of_the_time_while_somebody_reads_along() -> None:
    made = scheduler(n_slots=2, n_batch=512, n_cells=10_000)
    made.add([reader := sequence(distinct(1, 20))])
    advance(made)
    made.pace.row_s, made.pace.decode_s = 0.001, 0.0499
    made.add([sequence(distinct(2, 3000), priority="batch")])
    step = advance(made)
    assert [part.count for part in step.slices] == [1, 50]
    made.remove(reader)
    assert advance(made, 0.512).n_rows == 512


def test_nobody_waits_for_a_batch_prompt_to_share_it() -> None:
    made = scheduler(n_batch=64, n_cells=10_000)
    document = distinct(1, 300)
    made.add([slow := sequence([*document, 1], priority="batch")])
    advance(made)
    made.add([urgent := sequence([*document, 2])])
    step = advance(made)
    assert [part.sequence for part in step.slices] == [urgent]
    assert slow.n_past == 64


def test_no_more_wait_to_share_than_there_are_slots() -> None:
    made = scheduler(n_slots=4, n_batch=64, n_cells=10_000)
    document = distinct(1, 200)
    others = [sequence([*document, n]) for n in range(50)]
    made.add(others)
    for _ in range(6):
        advance(made)
    assert len(made.active) == 4
    assert sorted(one.cached_tokens for one in made.active) == [0, 192, 192, 192]  # eight more are not worth a wait


def decoding(made: Scheduler, tokens: list[int]) -> Sequence:
    """A sequence whose prompt is computed, with one token to go on from."""
    one = sequence(tokens)
    made.add([one])
    while one.n_past < len(tokens):
        advance(made)
    return one


def test_forced_text_and_guesses_run_in_one_step_with_logits_at_the_end() -> None:
    made = scheduler()
    one = decoding(made, distinct(1, 20))
    one.tokens += [1, 2, 3, 4, 5]
    one.n_draft, one.n_logits = 2, 3
    step = made.schedule()
    assert step is not None
    assert [(part.start, part.count, part.n_logits) for part in step.slices] == [(20, 6, 3)]
    made.on_done(step, 0.01)
    del one.tokens[-2:]
    one.n_draft, one.n_logits = 0, 1
    made.rewind(one, 23)
    assert one.n_past == 23
    assert [part.count for part in advance(made).slices] == [1]


def test_guesses_are_dropped_where_there_are_no_rows_of_logits_for_them() -> None:
    made = scheduler()
    one, other = decoding(made, distinct(1, 20)), decoding(made, distinct(2, 20))
    one.tokens += list(range(10))
    one.n_draft, one.n_logits = 10, 11  # there are eight rows, and the other needs one
    step = made.schedule()
    assert step is not None
    assert {part.sequence: part.count for part in step.slices} == {one: 1, other: 1}
    assert one.n_draft == 0


@pytest.mark.parametrize(
    ("n_decoding", "prompts", "budget", "tile_rows", "expected"),
    [
        (4, [500], 50, 64, Manner.TOGETHER),  # few rows: each row for itself
        (4, [500, 500], 50, 64, Manner.APART),  # several wait for their first word
        (0, [500, 500], 50, 64, Manner.TOGETHER),
        (4, [500, 500], 100, 0, Manner.TOGETHER),  # no tiles
        (4, [500], 100, 64, Manner.APART),
        (0, [500], 500, 64, Manner.APART),
        (4, [10, 500], 100, 64, Manner.SMALL),  # the short one comes first, and does not wait for a turn
        (40, [10, 500], 100, 64, Manner.APART),
        (70, [], 100, 64, Manner.TOGETHER),
    ],
)
def test_tiles_do_not_span_many_sequences(
    n_decoding: int, prompts: list[int], budget: int, tile_rows: int, expected: Manner
) -> None:
    assert how_together(n_decoding, prompts, budget, tile_rows) is expected


def test_large_prompts_and_decoding_rows_take_turns() -> None:
    made = scheduler(n_batch=128, n_cells=10_000, tile_rows=64)
    decoding(made, distinct(1, 20))
    made.pace.row_s = made.pace.decode_s = 0.001
    made.add([sequence(distinct(2, 600)), sequence(distinct(3, 5))])
    steps = [advance(made, 0.1) for _ in range(6)]
    # A short prompt rides along; then steps of prompts alternate with steps that only decode.
    assert [step.n_decoding for step in steps] == [1, 0, 2, 0, 2, 0]
    assert steps[0].n_rows == 63
    assert [step.n_rows - step.n_decoding >= 64 for step in steps[1:]] == [True, False, True, False, True]


def test_several_who_wait_for_their_first_word_get_several_steps_of_three() -> None:
    made = scheduler(n_batch=128, n_cells=10_000, tile_rows=64)
    decoding(made, distinct(1, 20))
    made.pace.row_s = made.pace.decode_s = 0.001
    made.add([sequence(distinct(2, 600)), sequence(distinct(3, 600)), sequence(distinct(4, 600), priority="batch")])
    assert [advance(made, 0.1).n_decoding for _ in range(6)] == [0, 0, 1, 0, 0, 1]


@pytest.mark.parametrize(
    ("row_s", "n_prompts", "n_decoding", "expected"),
    [(0.001, 0, 1, 1), (0.001, 2, 1, 2), (0.001, 6, 2, 3), (0.001, 6, 3, 1), (0.1, 6, 1, 1)],
)
def test_a_pause_of_answers_is_three_steps_at_most_and_one_where_steps_are_long_or_many_are_at_work(
    row_s: float, n_prompts: int, n_decoding: int, expected: int
) -> None:
    assert prompt_steps(Pace(row_s=row_s), n_prompts, n_decoding) == expected


def test_parts_of_a_cache_are_computed_answers_up_and_prompts_down() -> None:
    made = scheduler(parts=True, n_cells=4000)
    decoding(made, distinct(1, 20))
    decoding(made, distinct(2, 20))
    made.add([sequence(distinct(3, 20)), sequence(distinct(4, 20))])
    made.active.reverse()
    step = made.schedule()
    assert step is not None
    assert [(part.sequence.slot, part.count) for part in step.slices] == [(0, 1), (1, 1), (3, 20), (2, 20)]


def test_prompts_alone_take_every_step() -> None:
    made = scheduler(n_batch=128, n_cells=10_000, tile_rows=64)
    made.add([sequence(distinct(2, 300))])
    assert [advance(made, 0.1).n_rows for _ in range(3)] == [128, 128, 44]


@pytest.mark.parametrize(
    ("answer", "rows_of_prompt"),
    [({}, 16), ({"streamed": False}, 90), ({"priority": "batch"}, 90)],
)
def test_a_prompt_takes_small_steps_only_beside_an_answer_that_somebody_watches(
    answer: dict[str, Any], rows_of_prompt: int
) -> None:
    made = scheduler(n_batch=512)
    made.add([sequence(list(range(20)), **answer)])
    advance(made)
    made.add([sequence(list(range(500, 900)))])
    made.pace.row_s, made.pace.decode_s = 1.0 / 90.5, 0.1
    step = made.schedule()
    assert step is not None
    assert step.n_rows - step.n_decoding == rows_of_prompt
