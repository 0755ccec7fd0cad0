"""What a prefix needs besides its cells, where memory cannot be cut back: copies of the state at chosen tokens.

Recurrent layers know only the state after the last token, windowed ones only the last few cells. Whoever begins with
a part of what a slot holds needs the state as it was there. Copies live in main memory under one budget of bytes; slots
with the same prefix share a copy. When copies are taken and used is the cache's business; where, is :func:`marks`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from engine.llama.context import State

BUDGET_BYTES: Final = 512 << 20
"""Of all copies together. A state is a few MB in small models and some 60 MB in a hybrid of 35 billion parameters."""
LEAST_TOKENS: Final = 64
"""Nearer to the start of the prompt or to another copy, computing again is cheaper than a copy."""
TAIL_TOKENS: Final = 4
"""A copy so far before a prompt's end serves those who ask the same again, or the same up to the role that answers."""


@dataclass(slots=True, eq=False)
class Checkpoint:
    """The state after a slot's first ``n_tokens``."""

    n_tokens: int
    state: State
    holders: set[int] = field(default_factory=set)
    """Slots that begin with the same tokens."""
    used_at: int = 0


class Checkpoints:
    """The copies of one context, by slot."""

    def __init__(self, budget_bytes: int = BUDGET_BYTES) -> None:
        self._budget_bytes = budget_bytes
        self._kept: list[Checkpoint] = []
        self._clock = 0
        self.used_bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def latest(self, slot: int, limit: int) -> Checkpoint | None:
        """The copy of a slot that is nearest to ``limit`` tokens and not beyond."""
        found = [kept for kept in self._kept if slot in kept.holders and kept.n_tokens <= limit]
        return max(found, key=lambda kept: kept.n_tokens, default=None)

    def wanted(self, slot: int, n_tokens: int) -> bool:
        """Whether a copy at ``n_tokens`` would save anybody enough."""
        before = self.latest(slot, n_tokens)
        return n_tokens - (before.n_tokens if before else 0) >= LEAST_TOKENS

    def keep(self, slot: int, n_tokens: int, state: State) -> None:
        """Take a copy in, for which those used longest ago make way."""
        if state.nbytes > self._budget_bytes:
            return
        while self.used_bytes + state.nbytes > self._budget_bytes:
            self._forget(min(self._kept, key=lambda checkpoint: checkpoint.used_at))
        checkpoint = Checkpoint(n_tokens, state, {slot})
        self._kept.append(checkpoint)
        self.used_bytes += state.nbytes
        self.touch(checkpoint)

    def touch(self, checkpoint: Checkpoint) -> None:
        """Note that a copy has been used."""
        self._clock += 1
        checkpoint.used_at = self._clock

    def inherit(self, source: int, target: int, n_tokens: int) -> None:
        """``target`` begins with the first ``n_tokens`` of ``source``."""
        for checkpoint in self._kept:
            if source in checkpoint.holders and checkpoint.n_tokens <= n_tokens:
                checkpoint.holders.add(target)

    def cut(self, slot: int, n_tokens: int) -> None:
        """A slot holds no more than its first ``n_tokens`` from now on."""
        for checkpoint in list(self._kept):
            if slot in checkpoint.holders and checkpoint.n_tokens > n_tokens:
                checkpoint.holders.discard(slot)
                if not checkpoint.holders:
                    self._forget(checkpoint)

    def _forget(self, checkpoint: Checkpoint) -> None:
        self._kept.remove(checkpoint)
        self.used_bytes -= checkpoint.state.nbytes


def marks(n_held: int, n_tokens: int, n_common: int) -> list[int]:
    """Where a prompt of ``n_tokens``, of which ``n_held`` are there already, should leave a copy behind.

    Where it parts from a prefix that somebody else has (``n_common``), because a third may come along there; and
    shortly before its end, for the same question again.
    """
    places = []
    last = n_held
    for place in sorted({n_common, n_tokens - TAIL_TOKENS}):
        if place - last >= LEAST_TOKENS and place < n_tokens:
            places.append(place)
            last = place
    return places
