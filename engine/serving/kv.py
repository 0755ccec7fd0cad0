"""The KV cache as the scheduler sees it: slots that hold token prefixes, and cells that slots may share.

In a unified cache a cell belongs to every sequence that shares its prefix; in one of parts each has its own. A slot
(a llama.cpp sequence id) is *free*, *live* (a sequence works in it) or *idle* (its prefix is kept warm for whoever
begins the same way). How much of a prefix can be taken over is ruled by the model's kind of memory; the rule is
:meth:`KvCache.match`. Who is admitted when is the scheduler's decision.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Protocol

from engine.llama.context import MemoryKind, State
from engine.serving.cells import CellCount, Span
from engine.serving.checkpoints import BUDGET_BYTES, Checkpoint, Checkpoints


class SequenceMemory(Protocol):
    """The part of ``engine.llama.context.Context`` that moves sequences about."""

    def share(self, source: int, target: int, n_tokens: int, state: State | None = None) -> bool: ...
    def truncate(self, sequence: int, n_tokens: int) -> bool: ...
    def first_position(self, sequence: int) -> int: ...
    def save_state(self, sequence: int) -> State: ...
    def load_state(self, sequence: int, state: State) -> bool: ...


class SlotState(Enum):
    """What a slot is used for."""

    FREE = auto()
    LIVE = auto()
    IDLE = auto()


@dataclass(slots=True)
class Slot:
    """One llama.cpp sequence id."""

    index: int
    state: SlotState = SlotState.FREE
    tokens: list[int] = field(default_factory=list)
    """Exactly what its cells hold."""
    end: Span | None = None
    used_at: int = 0
    """A counter that grows with each use; the smallest idle one is evicted first."""
    owner: str = ""
    """The conversation whose prefix it is, if anybody said."""


@dataclass(frozen=True, slots=True)
class Match:
    """The longest usable common prefix of a prompt with a slot."""

    slot: int
    n_tokens: int
    checkpoint: Checkpoint | None = None
    """The state to begin with, where the slot's own has moved on."""
    n_common: int = 0
    """The longest common prefix with any slot, usable or not."""
    in_place: bool = False
    """The idle slot itself is cut and gone on with, because there is no room for its rest."""


NO_MATCH = Match(-1, 0)


class KvCache:
    """Slots and cells of one context. The engine's thread only."""

    def __init__(
        self,
        memory: SequenceMemory,
        *,
        n_cells: int,
        n_slots: int,
        kind: MemoryKind = MemoryKind.CELLS,
        window_tokens: int = 0,
        unified: bool = True,
        checkpoint_bytes: int = BUDGET_BYTES,
    ) -> None:
        """``window_tokens``: how far windowed layers look back; 0 for none. ``unified``: slots that begin alike share
        cells; otherwise each has ``n_cells / n_slots`` of its own and begins with a copy."""
        self._memory = memory
        self._kind = kind
        self._window = window_tokens
        self._unified = unified
        self._slots = [Slot(index) for index in range(n_slots)]
        self._cells = CellCount()
        self._clock = itertools.count(1)
        self.checkpoints = Checkpoints(checkpoint_bytes)
        self.n_cells = n_cells
        self.on_evict: Callable[[int, list[int], str], None] | None = None
        """Hears slot, tokens and owner of an idle prefix just before it makes way for another."""

    @property
    def used_cells(self) -> int:
        """Cells that hold something, idle prefixes included."""
        return self._cells.used

    @property
    def free_cells(self) -> int:
        """Cells that hold nothing."""
        return self.n_cells - self._cells.used

    @property
    def idle_slots(self) -> int:
        """Prefixes kept warm."""
        return sum(slot.state is SlotState.IDLE for slot in self._slots)

    @property
    def keeps_checkpoints(self) -> bool:
        """Whether the memory needs copies of its state to be shared or cut."""
        return self._kind in (MemoryKind.WINDOWED, MemoryKind.STATE)

    @property
    def rewindable_tokens(self) -> int:
        """A live slot can give back its tail for sure while it holds no more than so many tokens."""
        if self._kind is MemoryKind.CELLS:
            return self.n_cells
        return self._window if self._kind is MemoryKind.WINDOWED else 0

    # Prefixes

    def match(self, tokens: list[int]) -> Match:
        """The best prefix to begin with; at least one token is always left to compute, for its logits."""
        best, n_common = NO_MATCH, 0
        for slot in self._slots:
            if not slot.tokens:
                continue
            common = common_prefix(slot.tokens, tokens, len(tokens) - 1)
            n_common = max(n_common, common)
            n, checkpoint = self._usable(slot, common)
            idle_tie = n == best.n_tokens and n > 0 and slot.state is SlotState.IDLE
            if n > best.n_tokens or idle_tie:
                best = Match(slot.index, n, checkpoint)
        return Match(best.slot, best.n_tokens, best.checkpoint, n_common)

    def _usable(self, slot: Slot, n: int) -> tuple[int, Checkpoint | None]:
        """How much of a common prefix of ``n`` tokens can be taken over, and from which copy of the state."""
        if n == 0 or self._kind is MemoryKind.CELLS:
            return n, None
        whole = n == len(slot.tokens)
        if self._kind is MemoryKind.WHOLE:
            return (n, None) if whole and slot.state is SlotState.IDLE else (0, None)
        if whole or (self._kind is MemoryKind.WINDOWED and not self._lost(slot, n)):
            return n, None
        checkpoint = self.checkpoints.latest(slot.index, n)
        return (checkpoint.n_tokens, checkpoint) if checkpoint else (0, None)

    def _lost(self, slot: Slot, n: int) -> bool:
        """Whether windowed layers have overwritten what token ``n`` would look back at."""
        return self._window > 0 and not 0 <= self._memory.first_position(slot.index) <= max(0, n - self._window)

    @property
    def vacant_slots(self) -> int:
        """Slots that are free or can be made free."""
        return sum(slot.state is not SlotState.LIVE for slot in self._slots)

    def claim(self, match: Match) -> tuple[int, int]:
        """Make a slot live that begins with the match; only when there are :attr:`vacant_slots`.

        Returns the slot and how many tokens it holds: none when the memory had no room for a copy of its state.
        """
        source = self._slots[match.slot] if match.n_tokens else None
        if source is None:
            target = self._vacant(spare=None)
        elif source.state is SlotState.IDLE and (match.in_place or match.n_tokens == len(source.tokens)):
            target = source
        else:
            target = self._vacant(spare=source)
        if target is None:
            assert source is not None
            target = source
        if source is not None and target is source:
            self._go_on(source, match)
        elif source is not None:
            self._branch(source, target, match)
        target.state = SlotState.LIVE
        target.used_at = next(self._clock)
        self.checkpoint(target.index)
        return target.index, len(target.tokens)

    def _vacant(self, spare: Slot | None) -> Slot | None:
        """A free slot, or the idle one used longest ago; not ``spare``, which is returned by nobody."""
        for slot in self._slots:
            if slot.state is SlotState.FREE:
                return slot
        idle = [slot for slot in self._slots if slot.state is SlotState.IDLE and slot is not spare]
        if not idle:
            return None
        oldest = min(idle, key=lambda slot: slot.used_at)
        self._evict(oldest)
        return oldest

    def _go_on(self, slot: Slot, match: Match) -> None:
        """Cut an idle slot to the match."""
        if match.checkpoint is not None:
            self._return_to(slot, match.checkpoint)
        elif match.n_tokens < len(slot.tokens):
            if self._memory.truncate(slot.index, match.n_tokens):
                self._forget_tail(slot, match.n_tokens)
            else:
                self._empty(slot)

    def _branch(self, source: Slot, target: Slot, match: Match) -> None:
        """Begin a vacant slot with what the match offers."""
        n, checkpoint = match.n_tokens, match.checkpoint
        source.used_at = next(self._clock)
        if checkpoint is not None:
            self.checkpoints.touch(checkpoint)
        if not self._memory.share(source.index, target.index, n, checkpoint.state if checkpoint else None):
            self._memory.truncate(target.index, 0)
            return
        assert source.end is not None
        shares = self._unified
        target.end = self._cells.share(source.end, len(source.tokens), n) if shares else self._cells.extend(None, n)
        target.tokens = source.tokens[:n]
        self.checkpoints.inherit(source.index, target.index, n)

    def checkpoint(self, index: int) -> None:
        """Keep a copy of the state of a slot as it is now, where the memory needs one and the place is worth it."""
        slot = self._slots[index]
        if self.keeps_checkpoints and slot.tokens and self.checkpoints.wanted(index, len(slot.tokens)):
            self.checkpoints.keep(index, len(slot.tokens), self._memory.save_state(index))

    # Live slots

    def extend(self, index: int, tokens: list[int]) -> None:
        """Note that a decode has stored these tokens behind a live slot's content."""
        slot = self._slots[index]
        slot.tokens += tokens
        slot.end = self._cells.extend(slot.end, len(tokens))

    def rewind(self, index: int, n_tokens: int) -> bool:
        """Forget a live slot's tokens from ``n_tokens`` on. ``False``: it could not be, and the slot is empty and free.

        Windowed layers may have forgotten what the earlier end would look back at; then it cannot be either.
        """
        slot = self._slots[index]
        cut = self.rewindable_tokens and n_tokens > 0 and self._memory.truncate(index, n_tokens)
        if not cut or self._lost(slot, n_tokens):
            self._empty(slot)
            return False
        self._forget_tail(slot, n_tokens)
        return True

    def restore(self, index: int) -> int:
        """Bring the memory back to what the slot is noted to hold, after a decode that was broken off.

        Returns how many tokens it holds now: fewer where only an older copy of the state could be put back. -1: nothing
        could, and the slot is free.
        """
        slot = self._slots[index]
        n = len(slot.tokens)
        if self._memory.truncate(index, n) and not (n and self._lost(slot, n)):
            return n
        checkpoint = self.checkpoints.latest(index, n)
        if checkpoint is None:
            self._empty(slot)
        else:
            self._return_to(slot, checkpoint)
        return len(slot.tokens) or -1

    def _return_to(self, slot: Slot, checkpoint: Checkpoint) -> None:
        """Cut a slot to where a copy of its state was taken."""
        n = checkpoint.n_tokens
        self.checkpoints.touch(checkpoint)
        if self._memory.load_state(slot.index, checkpoint.state) and self._memory.truncate(slot.index, n):
            self._forget_tail(slot, n)
        else:
            self._empty(slot)

    def retire(self, index: int, owner: str = "") -> None:
        """A live slot becomes idle: its prefix stays warm, under the name of its ``owner``."""
        slot = self._slots[index]
        slot.owner = owner
        slot.used_at = next(self._clock)
        slot.state = SlotState.IDLE if slot.tokens else SlotState.FREE

    def drop(self, index: int) -> None:
        """Forget a slot's content; it is free then."""
        self._empty(self._slots[index])

    # Idle slots

    def idle(self) -> Iterator[tuple[int, tuple[int, ...], str]]:
        """The idle slots with the tokens they hold and their owners, those used longest ago first."""
        slots = [slot for slot in self._slots if slot.state is SlotState.IDLE]
        for slot in sorted(slots, key=lambda slot: slot.used_at):
            yield slot.index, tuple(slot.tokens), slot.owner

    def adopt(self, tokens: list[int], load: Callable[[int], bool], owner: str = "") -> int:
        """An idle slot for tokens whose memory ``load`` puts into it, or -1.

        Free cells and a free slot are needed, or those of idle prefixes, which make way. ``load`` is given the slot
        and says whether it went well.
        """
        while self.free_cells < len(tokens) and self.evict_idle():
            pass
        slot = self._vacant(spare=None) if self.free_cells >= len(tokens) > 0 else None
        if slot is None:
            return -1
        if not load(slot.index):
            self._memory.truncate(slot.index, 0)
            return -1
        self.extend(slot.index, tokens)
        self.retire(slot.index, owner)
        return slot.index

    def evict_idle(self, *, spare: int = -1) -> bool:
        """Forget the idle prefix used longest ago whose end frees cells; ``False`` when there is none."""
        candidates = [
            slot
            for slot in self._slots
            if slot.state is SlotState.IDLE and slot.index != spare and self._cells.sole(slot.end) > 0
        ]
        if not candidates:
            return False
        self._evict(min(candidates, key=lambda slot: slot.used_at))
        return True

    def tail_cells(self, match: Match) -> int:
        """Cells that cutting the matched slot to the match would free; 0 unless it is idle."""
        if not match.n_tokens or self._slots[match.slot].state is not SlotState.IDLE:
            return 0
        slot = self._slots[match.slot]
        return min(len(slot.tokens) - match.n_tokens, self._cells.sole(slot.end))

    def drop_idle(self, owner: str | None = None) -> int:
        """Forget every idle prefix, or those of one owner; returns how many there were."""
        idle = [slot for slot in self._slots if slot.state is SlotState.IDLE and owner in (None, slot.owner)]
        for slot in idle:
            self._empty(slot)
        return len(idle)

    def _forget_tail(self, slot: Slot, n: int) -> None:
        if n == len(slot.tokens):
            return
        assert slot.end is not None
        end = self._cells.share(slot.end, len(slot.tokens), n) if n else None
        self._cells.release(slot.end)
        slot.end = end
        del slot.tokens[n:]
        self.checkpoints.cut(slot.index, n)

    def _evict(self, slot: Slot) -> None:
        if self.on_evict is not None:
            self.on_evict(slot.index, slot.tokens, slot.owner)
        self._empty(slot)

    def _empty(self, slot: Slot) -> None:
        self._memory.truncate(slot.index, 0)
        self._cells.release(slot.end)
        self.checkpoints.cut(slot.index, 0)
        slot.end = None
        slot.tokens = []
        slot.owner = ""
        slot.state = SlotState.FREE


def common_prefix(a: list[int], b: list[int], limit: int) -> int:
    """Length of the longest common prefix, at most ``limit``. Compares slices, which costs no Python per token."""
    high = min(len(a), len(b), max(0, limit))
    if high == 0 or a[0] != b[0]:
        return 0
    if a[:high] == b[:high]:
        return high
    low = 1
    while high - low > 1:
        middle = (low + high) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle
    return low
