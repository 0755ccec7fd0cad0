"""Who runs in the next step. Decoding rows first, then slices of prompts within a time budget.

A step of the engine is *schedule, run, postprocess*; this is the first word, and what to do when the cache is full.
Nothing here computes, samples or talks to a client. The budget arithmetic is pure and stands at the end.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from engine.serving.kv import NO_MATCH, KvCache, Match, common_prefix
from engine.serving.sequence import Sequence

STEP_BUDGET_S: Final = 0.150
"""A step takes no longer while anyone decodes."""
ALONE_BUDGET_S: Final = 1.0
"""A step of prompts alone takes no longer, so that newcomers and hang-ups are heard."""
HEADROOM_TOKENS: Final = 256
"""Cells promised to an admitted sequence beyond its prompt, at most; more are taken as it grows."""
LEADER_TOKENS: Final = 32
"""A newcomer waits for a prompt being computed that will give it at least so many more tokens."""
AGEING_TOKENS_PER_S: Final = 512.0
"""Short prompts go first, but waiting counts as being shorter."""
_LEAST_SLICE: Final = 16


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


@dataclass(slots=True)
class Pace:
    """How fast steps have been lately, to turn seconds into rows."""

    row_s: float = 0.0
    """Seconds a row of prompt costs; 0 until measured."""
    decode_s: float = 0.0
    """Seconds of a step that only decodes."""

    def note(self, step: Step, elapsed_s: float) -> None:
        """Learn from a step. Slow starts are forgotten within a few steps."""
        n_prompt = step.n_rows - step.n_decoding
        if n_prompt == 0:
            self.decode_s = _blend(self.decode_s, elapsed_s)
        elif n_prompt >= _LEAST_SLICE:
            own = max(0.0, elapsed_s - (self.decode_s if step.n_decoding else 0.0))
            self.row_s = _blend(self.row_s, own / n_prompt)


class Scheduler:
    """Waiting and active sequences of one context. The engine's thread only."""

    def __init__(self, cache: KvCache, *, n_batch: int, n_ubatch: int, n_outputs_max: int) -> None:
        self._cache = cache
        self._n_batch = n_batch
        self._n_ubatch = n_ubatch
        self._n_outputs_max = n_outputs_max
        self._headroom = min(HEADROOM_TOKENS, cache.n_cells // 8)
        self._row_cap = n_batch
        """Smaller for a while after the cache was full."""
        self._admitting = True
        """Not while the cache has less room than it should: until somebody ends."""
        self.waiting: deque[Sequence] = deque()
        self.active: list[Sequence] = []
        self.pace = Pace()
        self.preemptions = 0

    def add(self, sequences: Iterable[Sequence]) -> None:
        """Put new sequences at the end of the queue."""
        self.waiting.extend(sequences)

    def remove(self, sequence: Sequence) -> None:
        """Take out a sequence that has ended; its prefix stays warm."""
        self._admitting = True
        if sequence.slot >= 0:
            self.active.remove(sequence)
            self._cache.retire(sequence.slot)
            sequence.slot = -1
        else:
            self.waiting.remove(sequence)

    def schedule(self) -> Step | None:
        """Admit who fits, then fill a step; ``None`` when there is nothing to do."""
        if self._admitting or not self.active:
            self._admit()
        if not self.active:
            return None
        rows = self._make_room()
        return self._fill(rows)

    # Admission

    def _admit(self) -> None:
        passed: list[Sequence] = []
        while self.waiting and self._cache.can_claim() and len(self.active) < self._n_outputs_max:
            sequence = self.waiting.popleft()
            match = self._cache.match(sequence.tokens) if sequence.ticket.request.reuse_prefix else NO_MATCH
            if self._follows_leader(sequence, match):
                passed.append(sequence)
            elif self._has_cells(sequence, match):
                self._start(sequence, match)
            else:
                passed.append(sequence)
                break  # whoever cannot fit yet is not overtaken for ever by smaller ones
        self.waiting.extendleft(reversed(passed))

    def _follows_leader(self, sequence: Sequence, match: Match) -> bool:
        """Whether a prompt in the making will soon offer a longer prefix than there is now."""
        if not sequence.ticket.request.reuse_prefix:
            return False
        for leader in self.active:
            if not leader.decoding:
                shared = common_prefix(leader.tokens, sequence.tokens, len(sequence.tokens) - 1)
                if shared > leader.n_past and shared >= match.n_tokens + LEADER_TOKENS:
                    return True
        return False

    def _has_cells(self, sequence: Sequence, match: Match) -> bool:
        promised = sum(max(0, self._promise(other) - other.n_past) for other in self.active)
        needed = self._promise(sequence) - match.n_tokens
        while self._cache.free_cells - promised < needed:
            if not self._cache.evict_idle(spare=match.slot):
                return not self.active  # alone it may try: its length is bounded by the context
        return True

    def _promise(self, sequence: Sequence) -> int:
        return min(len(sequence.tokens) + self._headroom, sequence.limit_tokens)

    def _start(self, sequence: Sequence, match: Match) -> None:
        sequence.slot = self._cache.claim(match)
        sequence.n_past = match.n_tokens
        if not sequence.started_at:
            sequence.started_at = time.monotonic()
            sequence.cached_tokens = match.n_tokens
        self.active.append(sequence)

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
        """Send the sequence that was admitted last back to the head of the queue; its tokens are computed again."""
        sequence = max(self.active, key=lambda candidate: candidate.started_at)
        self._cache.drop(sequence.slot)
        self._send_back(sequence)
        self.preemptions += 1

    def _send_back(self, sequence: Sequence) -> None:
        """To the head of the queue, with all its tokens to compute again; its slot is empty already."""
        self.active.remove(sequence)
        sequence.drop_draft()
        sequence.slot, sequence.n_past = -1, 0
        self.waiting.appendleft(sequence)

    def on_full(self, step: Step) -> bool:
        """The cache had no place for a step after all: evict, then halve, then preempt.

        ``False``: a single row of a single sequence has no place, so trying again is no use.
        """
        if self._cache.evict_idle():
            return True
        if step.n_rows > max(1, step.n_decoding):
            self._row_cap = max(1, step.n_decoding, step.n_rows // 2)
            return True
        if len(self.active) > 1:
            self._preempt_youngest()
            self._admitting = False
            return True
        return False

    def on_broken_off(self, step: Step) -> None:
        """A decode was interrupted: bring every sequence in it back to where it was, or to the queue."""
        for part in step.slices:
            sequence = part.sequence
            if not self._cache.restore(sequence.slot):
                self._send_back(sequence)

    def rewind(self, sequence: Sequence) -> None:
        """Take out of the cache what is no longer among the tokens; the last token is left to compute.

        For guesses that turned out wrong. Where the memory cannot be cut, the sequence goes back to the queue.
        """
        n = min(sequence.n_past, len(sequence.tokens) - 1)
        if n == sequence.n_past:
            return
        if self._cache.rewind(sequence.slot, n):
            sequence.n_past = n
        else:
            self._send_back(sequence)

    def on_done(self, step: Step, elapsed_s: float) -> None:
        """Note that a step's rows are in the cache now."""
        self._row_cap = min(self._n_batch, self._row_cap * 2)
        self.pace.note(step, elapsed_s)
        for part in step.slices:
            sequence = part.sequence
            self._cache.extend(sequence.slot, sequence.tokens[part.start : part.start + part.count])
            sequence.n_past += part.count

    # Rows

    def _fill(self, rows: int) -> Step:
        slices = self._decoding_slices(rows)
        n_decoding = n_rows = sum(part.count for part in slices)
        outputs = self._n_outputs_max - sum(part.n_logits for part in slices)
        prompts = self._prompts()
        # A micro-batch is computed best whole, and cut only where somebody waits for the cut.
        least = self._n_ubatch if len(prompts) == 1 and not (n_decoding or self.waiting) else _LEAST_SLICE
        budget = min(rows - n_rows, prompt_rows(self.pace, n_decoding, self._n_batch, least))
        for sequence in prompts:
            if budget <= 0:
                break
            part = cut_slice(sequence, budget, outputs)
            if part.count:
                slices.append(part)
                n_rows += part.count
                budget -= part.count
                outputs -= part.n_logits
        return Step(tuple(slices), n_rows, n_decoding)

    def _decoding_slices(self, rows: int) -> list[Slice]:
        """A slice for everyone who decodes: one row each, and what is left over for forced text and guesses."""
        decoding = [sequence for sequence in self.active if sequence.decoding]
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

    def _prompts(self) -> list[Sequence]:
        """Sequences with a prompt to compute, shortest first, those that wait long as if they were shorter."""
        now = time.monotonic()
        prompts = [sequence for sequence in self.active if not sequence.decoding]
        if len(prompts) > 1:
            prompts.sort(key=lambda s: s.pending - AGEING_TOKENS_PER_S * (now - s.ticket.submitted_at))
        return prompts


def cut_slice(sequence: Sequence, rows: int, outputs: int) -> Slice:
    """What a sequence computes next, with at most so many rows and rows of logits; may be empty."""
    without = max(0, sequence.pending - sequence.n_logits)
    count = min(sequence.pending, rows, without + outputs)
    return Slice(sequence, sequence.n_past, count, max(0, count - without))


def prompt_rows(pace: Pace, n_decoding: int, n_batch: int, least: int = _LEAST_SLICE) -> int:
    """How many rows of prompts a step may take, so that it keeps its time; but at least ``least``."""
    budget_s = STEP_BUDGET_S - pace.decode_s if n_decoding else ALONE_BUDGET_S
    if pace.row_s <= 0.0:
        return min(n_batch, 128) if n_decoding else n_batch
    return min(n_batch, max(least, int(budget_s / pace.row_s)))


def _blend(known: float, seen: float) -> float:
    return seen if known == 0.0 else known * 0.7 + seen * 0.3
