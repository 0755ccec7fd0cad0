"""Who runs in the next step: admission, room in the cache, and rows. The first word of *schedule, run, postprocess*.

A step takes decoding rows first, then slices of prompts within a time budget. When the cache is full, idle prefixes
make way, then the step is halved, then the youngest sequence goes back to the queue with its tokens. The order of the
waiting and the arithmetic of the budget are in ``policy.py``, what prefixes may be shared in ``kv.py``. Nothing here
computes, samples or talks to a client. The engine's thread only.
"""

from __future__ import annotations

import time
from bisect import bisect_right, insort
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from engine.serving.checkpoints import marks
from engine.serving.kv import NO_MATCH, KvCache, Match, common_prefix
from engine.serving.policy import (
    BATCH_SHARE,
    LEAST_SLICE,
    LEAST_TILED,
    Manner,
    Pace,
    Turns,
    go_ahead,
    how_together,
    is_batch,
    is_watched,
    prompt_rows,
    prompt_steps,
    who_yields,
    youngest,
)
from engine.serving.sequence import Sequence

HEADROOM_TOKENS: Final = 256
"""Cells promised to an admitted sequence beyond its prompt, at most; more are taken as it grows."""
LEADER_TOKENS: Final = 32
"""A newcomer waits for a prompt being computed that will give it at least so many more tokens."""
ADMISSION_PATIENCE_S: Final = 30.0
SLICE_PATIENCE_S: Final = 2.0
"""Batch work gets a slot, and a slice of its prompt, at least so often while interactive requests wait."""


@dataclass(frozen=True, slots=True)
class Slice:
    """Consecutive tokens of one sequence in one step.

    A slice that ends before its sequence's last token has logits only where the sequence asked for more rows than fit.
    """

    sequence: Sequence
    start: int
    count: int
    n_logits: int
    """Logits are wanted for the last so many rows; 0 for a slice in the middle of a prompt."""

    @property
    def wants_logits(self) -> bool:
        """Whether any row wants logits."""
        return self.n_logits > 0


@dataclass(frozen=True, slots=True)
class Step:
    """What one decode call computes."""

    slices: tuple[Slice, ...]
    n_rows: int
    n_decoding: int
    """Rows that go on with an answer; the others are prompts."""


class Scheduler:
    """Waiting and active sequences of one context."""

    def __init__(
        self,
        cache: KvCache,
        *,
        n_batch: int,
        n_ubatch: int,
        n_outputs_max: int,
        tile_rows: int = 0,
        parts: bool = False,
    ) -> None:
        """``tile_rows``: from so many rows on, attention works on tiles of them; 0 where that makes no difference.
        ``parts``: each slot has its own part of the cache."""
        self._cache = cache
        self._tile_rows = tile_rows
        self._parts = parts
        self._prompt_steps = 0
        """Where decoding rows and prompts take turns: so many steps of prompts since the last of decoding rows."""
        self._n_batch = n_batch
        self._n_ubatch = n_ubatch
        self._n_outputs_max = n_outputs_max
        self._headroom = min(HEADROOM_TOKENS, cache.n_cells // 8)
        self._row_cap = n_batch
        """Smaller for a while after the cache was full."""
        self._admitting = True
        """Not while the cache has less room than it should: until somebody ends."""
        self._slots_given = Turns(ADMISSION_PATIENCE_S)
        self._slices_given = Turns(SLICE_PATIENCE_S)
        self.waiting: list[Sequence] = []
        self.active: list[Sequence] = []
        self.pace = Pace()
        self.preemptions = 0

    def add(self, sequences: Iterable[Sequence]) -> None:
        """Put new sequences into the queue."""
        self.waiting.extend(sequences)

    def remove(self, sequence: Sequence, *, keep: bool = True) -> None:
        """Take out a sequence that has ended. Its prefix stays warm, unless its content cannot be trusted."""
        self._admitting = True
        if sequence.slot < 0:
            self.waiting.remove(sequence)
            return
        self.active.remove(sequence)
        if keep:
            self._cache.retire(sequence.slot, sequence.ticket.owner)
        else:
            self._cache.drop(sequence.slot)
        sequence.slot = -1

    def schedule(self) -> Step | None:
        """Admit who fits, then fill a step; ``None`` when there is nothing to do."""
        if self.waiting and (self._admitting or not self.active):
            self._admit(time.monotonic())
        if not self.active:
            return None
        rows = self._make_room()
        return self._fill(rows, time.monotonic())

    # Admission

    def _admit(self, now: float) -> None:
        """Give slots to those who wait, the most urgent first; whoever cannot fit yet is not overtaken for ever."""
        followers: list[Sequence] = []
        while self.waiting:
            has_slot = self._has_slot(len(followers))
            if not has_slot and who_yields(self.active) is None:
                break
            sequence = min(self.waiting, key=lambda candidate: self._slots_given.key(candidate, now))
            if not has_slot:
                if is_batch(sequence):
                    break
                self._yield_slot()
                continue
            match = self._cache.match(sequence.tokens) if sequence.ticket.request.reuse_prefix else NO_MATCH
            if self._follows_leader(sequence, match):
                self.waiting.remove(sequence)
                followers.append(sequence)
                continue
            fitting = self._fitted(sequence, match)
            if fitting is not None:
                self.waiting.remove(sequence)
                self._start(sequence, fitting, now)
            elif is_batch(sequence) or not self._yield_slot():
                break
        self.waiting += followers

    def _has_slot(self, n_promised: int) -> bool:
        return len(self.active) + n_promised < self._n_outputs_max and self._cache.vacant_slots > n_promised

    def _follows_leader(self, sequence: Sequence, match: Match) -> bool:
        """Whether a prompt in the making will soon offer a longer prefix than there is now."""
        if not sequence.ticket.request.reuse_prefix:
            return False
        for leader in self.active:
            if leader.decoding or is_batch(leader) > is_batch(sequence):
                continue
            shared = common_prefix(leader.tokens, sequence.tokens, len(sequence.tokens) - 1)
            if shared > leader.n_past and shared >= match.n_tokens + LEADER_TOKENS:
                if self._cache.keeps_checkpoints and shared not in leader.marks:
                    insort(leader.marks, shared)  # such a memory is shared where it stands, or from a copy
                return True
        return False

    def _fitted(self, sequence: Sequence, match: Match) -> Match | None:
        """The match with which the sequence fits, idle prefixes making way; ``None`` when it has to wait."""
        promised = sum(max(0, self._promise(other) - other.n_past) for other in self.active)
        needed = self._promise(sequence) - match.n_tokens + promised
        while self._cache.free_cells < needed:
            if self._cache.evict_idle(spare=match.slot):
                continue
            if self._cache.free_cells + self._cache.tail_cells(match) >= needed or not self.active:
                return replace(match, in_place=True)  # alone it may try: its length is bounded by the context
            return None
        return match

    def _promise(self, sequence: Sequence) -> int:
        return min(len(sequence.tokens) + self._headroom, sequence.limit_tokens)

    def _start(self, sequence: Sequence, match: Match, now: float) -> None:
        sequence.slot, sequence.n_past = self._cache.claim(match)
        if self._cache.keeps_checkpoints and sequence.ticket.request.reuse_prefix:
            sequence.marks = marks(sequence.n_past, len(sequence.tokens), match.n_common)
        if not sequence.started_at:
            sequence.started_at = now
            sequence.cached_tokens = sequence.n_past
        self._slots_given.served(sequence, now)
        self.active.append(sequence)

    def _yield_slot(self) -> bool:
        """Let a batch sequence make way for an interactive one. Its prefix stays warm as long as there is room."""
        sequence = who_yields(self.active)
        if sequence is None:
            return False
        sequence.yields += 1
        self._cache.retire(sequence.slot, sequence.ticket.owner)
        self._send_back(sequence)
        return True

    # Room

    def _make_room(self) -> int:
        """Free cells, at least one for each decoding sequence; returns the rows there is room for.

        Idle prefixes make way for any row, running sequences only for decoding ones.
        """
        wanted = min(self._n_batch, sum(sequence.pending for sequence in self.active))
        while self._cache.free_cells < wanted and self._cache.evict_idle():
            pass
        while True:
            least = max(1, sum(sequence.decoding for sequence in self.active))
            if self._cache.free_cells >= least or len(self.active) == 1:
                return max(1, min(self._n_batch, self._cache.free_cells, max(self._row_cap, least)))
            self._preempt_youngest()

    def _preempt_youngest(self) -> None:
        """Send a sequence back to the queue and empty its slot; its tokens are computed again."""
        sequence = youngest(self.active)
        self._cache.drop(sequence.slot)
        self._send_back(sequence)
        self.preemptions += 1

    def _send_back(self, sequence: Sequence) -> None:
        """Into the queue with all its tokens. It has no slot any more."""
        self.active.remove(sequence)
        sequence.drop_draft()
        sequence.slot, sequence.n_past, sequence.sent_back = -1, 0, True
        self.waiting.append(sequence)

    def on_full(self, step: Step) -> bool:
        """The cache had no place for a step after all: evict, then halve, then preempt.

        ``False``: a single row of a single sequence has no place, so trying again is no use.
        """
        if self._cache.evict_idle():
            return True
        least = max(1, sum(part.sequence.decoding for part in step.slices))
        if step.n_rows > least:
            self._row_cap = max(least, step.n_rows // 2)
            return True
        if len(self.active) > 1:
            self._preempt_youngest()
            self._admitting = False
            return True
        return False

    # What a step has done

    def on_broken_off(self, step: Step) -> None:
        """A decode was interrupted: bring every sequence in it back to where it was, or to the queue."""
        for part in step.slices:
            sequence = part.sequence
            sequence.n_past = self._cache.restore(sequence.slot)
            if sequence.n_past < 0:
                self._send_back(sequence)

    def on_done(self, step: Step, elapsed_s: float) -> None:
        """Note that a step's rows are in the cache now."""
        self._row_cap = min(self._n_batch, self._row_cap * 2)
        self.pace.note(step.n_rows - step.n_decoding, step.n_decoding, elapsed_s)
        for part in step.slices:
            sequence = part.sequence
            self._cache.extend(sequence.slot, sequence.tokens[part.start : part.start + part.count])
            sequence.n_past += part.count
            if sequence.n_past in sequence.marks:
                self._cache.checkpoint(sequence.slot)

    def rewind(self, sequence: Sequence, n_tokens: int) -> None:
        """Keep only the first ``n_tokens`` in the cache, because guesses behind them turned out wrong.

        Where the memory could not be cut after all, the sequence goes back to the queue.
        """
        if n_tokens >= sequence.n_past:
            return
        if self._cache.rewind(sequence.slot, n_tokens):
            sequence.n_past = n_tokens
        else:
            self._send_back(sequence)

    # Rows

    def _fill(self, rows: int, now: float) -> Step:
        slices = self._decoding_slices(rows)
        n_decoding = n_rows = sum([part.count for part in slices])
        if len(slices) == len(self.active):  # most steps, so nothing is weighed up that only prompts need
            return Step(tuple(slices), n_rows, n_decoding)
        prompts = self._slices_given.order([sequence for sequence in self.active if not sequence.decoding], now)
        # A micro-batch is computed best whole, and cut only where somebody waits for the cut.
        least = self._n_ubatch if len(prompts) == 1 and not (n_decoding or self.waiting) else LEAST_SLICE
        n_watched = sum(part.count for part in slices if is_watched(part.sequence))
        budget = min(rows - n_rows, prompt_rows(self.pace, n_watched, self._n_batch, least))
        kept_free = budget - max(LEAST_SLICE, int(budget * BATCH_SHARE)) if self._disturbs(prompts) else 0
        manner = how_together(n_rows, [sequence.pending for sequence in prompts], budget, self._tile_rows)
        if manner is Manner.SMALL:
            budget = min(budget, self._tile_rows - 1 - n_rows)
        elif manner is Manner.APART:
            n_waiting = len(prompts) - sum(map(is_batch, prompts))
            if not slices or self._prompt_steps < prompt_steps(self.pace, n_waiting, n_rows):
                self._prompt_steps += 1
                apart = go_ahead(n_rows, len(prompts))
                budget = min(rows, prompt_rows(self.pace, n_watched, self._n_batch, least, apart=apart))
                slices, n_decoding, n_rows = [], 0, 0
                prompts = prompts[:1] + [sequence for sequence in prompts[1:] if sequence.pending >= LEAST_TILED]
            else:
                self._prompt_steps, prompts = 0, []
        outputs = self._n_outputs_max - sum(part.n_logits for part in slices)
        for sequence in prompts:
            part = cut_slice(sequence, budget - (kept_free if is_batch(sequence) else 0), outputs)
            if part.count > 0:
                slices.append(part)
                self._slices_given.served(sequence, now)
                n_rows += part.count
                budget -= part.count
                outputs -= part.n_logits
        return Step(tuple(in_parts(slices) if self._parts else slices), n_rows, n_decoding)

    def _disturbs(self, prompts: list[Sequence]) -> bool:
        """Whether batch prompts would be computed while interactive answers are being written."""
        return any(map(is_batch, prompts)) and any(s.decoding and not is_batch(s) for s in self.active)

    def _decoding_slices(self, rows: int) -> list[Slice]:
        """A slice for everyone who decodes: one row each, and what is left over for forced text and guesses."""
        decoding = [sequence for sequence in self.active if sequence.decoding]
        if self._parts:
            decoding.sort(key=lambda sequence: sequence.slot)
        rows -= len(decoding)
        outputs = self._n_outputs_max - len(decoding)
        slices = []
        for sequence in decoding:
            if sequence.pending > 1 + rows or sequence.n_logits > 1 + outputs:
                sequence.drop_draft()
            part = cut_slice(sequence, 1 + rows, 1 + outputs)
            rows -= part.count - 1
            outputs -= max(0, part.n_logits - 1)
            slices.append(part)
        return slices


def in_parts(slices: list[Slice]) -> list[Slice]:
    """The order in which a cache of parts computes them best.

    llama.cpp takes the rows of rising neighbours together, as many of each as the one with the fewest has. Single rows
    of answers gain by that. Prompts would leave remainders for passes of their own, so they stand in falling order.
    """
    return sorted(
        slices, key=lambda part: (True, -part.sequence.slot) if part.count > 1 else (False, part.sequence.slot)
    )


def cut_slice(sequence: Sequence, rows: int, outputs: int) -> Slice:
    """What a sequence computes next, with at most so many rows and rows of logits; may be empty."""
    without = max(0, sequence.pending - sequence.n_logits)
    count = max(0, min(sequence.pending, rows, without + outputs))
    if sequence.marks:
        following = bisect_right(sequence.marks, sequence.n_past)
        if following < len(sequence.marks):
            count = min(count, sequence.marks[following] - sequence.n_past)
    return Slice(sequence, sequence.n_past, count, max(0, count - without))
