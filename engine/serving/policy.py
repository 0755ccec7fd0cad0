"""Who comes next and how much: the scheduler's decisions as pure functions.

Interactive requests before batch ones, users in turn, within a user the shortest remaining prompt first. Nobody
starves: waiting counts as being shorter, a user's turn comes round, and batch work that was passed over for too long
goes first once. Room in the cache is not known here.
"""

from __future__ import annotations

from collections.abc import Sequence as Items
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

from engine.serving.sequence import Sequence

STEP_BUDGET_S: Final = 0.150
"""A step takes no longer while anyone decodes whose tokens are watched."""
BATCH_SHARE: Final = 0.5
"""Prompts of batch work get so much of it while an interactive answer is being written."""
ALONE_BUDGET_S: Final = 1.0
"""A step of prompts alone takes no longer, so that newcomers and hang-ups are heard."""
MOST_PROMPT_STEPS: Final = 3
"""So many steps of prompts at most between two of answers, while so many wait for their first word."""
MOST_AHEAD: Final = 8
"""Prompts go ahead of answers while no more sequences are at work. Among twenty it costs more than it brings: 1.08 of
llama-server's tokens a second instead of 1.21, 0.69 of its time a token instead of 0.41 (measured once each)."""
LEAST_SLICE: Final = 16
AGEING_TOKENS_PER_S: Final = 512.0
"""Short prompts go first, but waiting counts as being shorter."""
LEAST_TILED: Final = 32
"""A prompt shorter than this is computed in a small step, where attention works on tiles."""
MOST_YIELDS: Final = 2
"""So often a batch sequence gives its slot to an interactive one; after that it stays."""
_MOST_USERS: Final = 1000


@dataclass(slots=True)
class Pace:
    """How fast steps have been lately, to turn seconds into rows."""

    row_s: float = 0.0
    """Seconds a row of prompt costs; 0 until measured."""
    decode_s: float = 0.0
    """Seconds of a step that only decodes."""

    def note(self, n_prompt: int, n_decoding: int, elapsed_s: float) -> None:
        """Learn from a step of so many rows. Slow starts are forgotten within a few steps."""
        if n_prompt == 0:
            self.decode_s = _blend(self.decode_s, elapsed_s)
        elif n_prompt >= LEAST_SLICE:
            own = max(0.0, elapsed_s - (self.decode_s if n_decoding else 0.0))
            self.row_s = _blend(self.row_s, own / n_prompt)


def _blend(known: float, seen: float) -> float:
    return seen if known == 0.0 else known * 0.7 + seen * 0.3


def prompt_rows(pace: Pace, n_watched: int, n_batch: int, least: int = LEAST_SLICE, *, apart: bool = False) -> int:
    """How many rows of prompts a step may take beside ``n_watched`` rows of answers that somebody reads as they are
    written, so that it keeps its time; but at least ``least``. ``apart``: the answers wait for the next step."""
    budget_s = STEP_BUDGET_S - (0.0 if apart else pace.decode_s) if n_watched else ALONE_BUDGET_S
    if pace.row_s <= 0.0:
        return min(n_batch, 128) if n_watched else n_batch
    return min(n_batch, max(least, int(budget_s / pace.row_s)))


class Manner(Enum):
    """How the decoding rows and the prompts of a step go together."""

    TOGETHER = auto()
    SMALL = auto()
    """Together, but fewer than a tile of attention."""
    APART = auto()
    """By turns, each in steps of its own."""


def how_together(n_decoding: int, prompts: Items[int], budget: int, tile_rows: int) -> Manner:
    """For so many decoding rows and prompts of these lengths, the first of which comes first.

    llama.cpp's attention on the processor works on tiles of 64 rows, and a tile looks at every cell that any of its
    rows looks at. Twenty decoding rows of twenty sequences among a hundred of a prompt take twice as long as both apart
    (measured: 2.2 s and 1.0 s). ``tile_rows`` is 0 where that is not so. Several prompts have steps of their own in any
    case where few are at work: the sooner all are answers, the more answers share a step; see :func:`prompt_steps`.
    """
    small = n_decoding + min(budget, sum(prompts)) < tile_rows
    if not prompts or not tile_rows or (small and not go_ahead(n_decoding, len(prompts))):
        return Manner.TOGETHER
    if prompts[0] < LEAST_TILED and n_decoding < tile_rows - LEAST_TILED:
        return Manner.SMALL
    return Manner.APART


def go_ahead(n_decoding: int, n_prompts: int) -> bool:
    """Whether several prompts are computed before answers that are being written go on."""
    return n_decoding > 0 and n_prompts > 1 and n_decoding + n_prompts <= MOST_AHEAD


def prompt_steps(pace: Pace, n_prompts: int, n_decoding: int) -> int:
    """How many steps of prompts come before the answers go on, when so many interactive prompts wait.

    Each step keeps its time, so a pause stays below half a second; where not even the smallest slice does, it is one.
    Answers go on quicker afterwards, because more of them share a step.
    """
    if pace.row_s * LEAST_SLICE > STEP_BUDGET_S or n_prompts + n_decoding > MOST_AHEAD:
        return 1
    return max(1, min(n_prompts, MOST_PROMPT_STEPS))


@dataclass(slots=True)
class Turns:
    """Who was served when, of one good that is given out: slots, or slices of prompts."""

    batch_patience_s: float
    """Batch work that got nothing for so long goes first once."""
    _turns: int = 0
    _last: dict[str, int] = field(default_factory=dict)
    _batch_served_at: float = 0.0

    def served(self, sequence: Sequence, now: float) -> None:
        """Note that a sequence was given something."""
        if len(self._last) > _MOST_USERS:
            self._last.clear()  # everybody is as good as new
        self._turns += 1
        self._last[sequence.ticket.request.user] = self._turns
        if is_batch(sequence):
            self._batch_served_at = now

    def order(self, sequences: list[Sequence], now: float) -> list[Sequence]:
        """All of them, whoever comes first at the head."""
        return sequences if len(sequences) < 2 else sorted(sequences, key=lambda sequence: self.key(sequence, now))

    def key(self, sequence: Sequence, now: float) -> tuple[bool, bool, int, float]:
        """What the order goes by: class, whether its work was taken from it once, its user's turn, what is left."""
        submitted_at = sequence.ticket.submitted_at
        since = max(self._batch_served_at, submitted_at)
        behind = is_batch(sequence) and now - since < self.batch_patience_s
        remaining = sequence.pending - AGEING_TOKENS_PER_S * (now - submitted_at)
        turn = self._last.get(sequence.ticket.request.user, 0)
        return behind, not sequence.sent_back, turn, remaining


def is_batch(sequence: Sequence) -> bool:
    """Whether nobody sits and waits for it."""
    return sequence.ticket.request.priority == "batch"


def is_watched(sequence: Sequence) -> bool:
    """Whether somebody reads its tokens as they come: a pause between two is felt."""
    return sequence.ticket.request.streamed and not is_batch(sequence)


def youngest(active: list[Sequence]) -> Sequence:
    """Who is sent back when cells run out: batch work first, then whoever was admitted last."""
    return max(active, key=lambda sequence: (is_batch(sequence), sequence.started_at))


def who_yields(active: list[Sequence]) -> Sequence | None:
    """The batch sequence that gives its slot to an interactive one, if any may."""
    candidates = [sequence for sequence in active if is_batch(sequence) and sequence.yields < MOST_YIELDS]
    return max(candidates, key=lambda sequence: sequence.started_at, default=None)
