"""The unified KV cache as the scheduler sees it: slots that hold token prefixes, and cells that slots may share.

llama.cpp keeps one pool of cells; a cell belongs to every sequence that shares its prefix. It does not tell how many
are in use, so the count is mirrored here exactly. A slot (a llama.cpp sequence id) is *free*, *live* (a sequence works
in it) or *idle* (its prefix is kept warm for whoever begins the same way). Who is admitted when is the scheduler's
decision.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Protocol


class SequenceMemory(Protocol):
    """The part of ``engine.llama.context.Context`` that moves sequences about."""

    def share(self, source: int, target: int, n_tokens: int) -> None: ...
    def truncate(self, sequence: int, n_tokens: int) -> bool: ...
    def first_position(self, sequence: int) -> int: ...


class _Span:
    """Consecutive cells with the same holders. ``refs`` counts the slots that end here and the spans that go on."""

    __slots__ = ("length", "parent", "refs")

    def __init__(self, parent: _Span | None, length: int) -> None:
        self.parent = parent
        self.length = length
        self.refs = 1


class CellCount:
    """How many cells are in use, when prefixes share theirs. A chain of spans ends in what a holder holds."""

    def __init__(self) -> None:
        self.used = 0

    def extend(self, end: _Span | None, n: int) -> _Span:
        """Append ``n`` cells to a holder's chain; returns its new end."""
        self.used += n
        if end is not None and end.refs == 1:
            end.length += n
            return end
        return _Span(end, n)  # the holder's reference to ``end`` becomes the new span's

    def share(self, end: _Span, held: int, n: int) -> _Span:
        """A second holder for the first ``n`` of ``held`` cells; returns where its chain ends. ``0 < n <= held``."""
        span, stop = end, held
        while n <= stop - span.length:
            stop -= span.length
            assert span.parent is not None
            span = span.parent
        surplus = stop - n
        if surplus:
            upper = _Span(span.parent, span.length - surplus)
            span.parent, span.length = upper, surplus
            span = upper
        span.refs += 1
        return span

    def release(self, end: _Span | None) -> None:
        """A holder lets go of its chain."""
        while end is not None:
            end.refs -= 1
            if end.refs:
                return
            self.used -= end.length
            end = end.parent

    def sole(self, end: _Span | None) -> int:
        """Cells that would become free if this holder let go."""
        total = 0
        while end is not None and end.refs == 1:
            total += end.length
            end = end.parent
        return total


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
    end: _Span | None = None
    used_at: int = 0
    """A counter that grows with each use; the smallest idle one is evicted first."""


@dataclass(frozen=True, slots=True)
class Match:
    """The longest usable common prefix of a prompt with a slot."""

    slot: int
    n_tokens: int


NO_MATCH = Match(-1, 0)


class KvCache:
    """Slots and cells of one context. The engine's thread only."""

    def __init__(
        self, memory: SequenceMemory, *, n_cells: int, n_slots: int, recurrent: bool = False, window_tokens: int = 0
    ) -> None:
        """``recurrent``: a state that cannot be cut back, so only a whole idle prefix can be continued.
        ``window_tokens``: reach of sliding-window layers, which forget what lies further back; 0 for none."""
        self._memory = memory
        self._recurrent = recurrent
        self._window = window_tokens
        self._slots = [Slot(index) for index in range(n_slots)]
        self._cells = CellCount()
        self._clock = itertools.count(1)
        self.n_cells = n_cells

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

    def match(self, tokens: list[int]) -> Match:
        """The best prefix to begin with; at least one token is always left to compute, for its logits."""
        best = NO_MATCH
        for slot in self._slots:
            if slot.tokens:
                n = self._usable(slot, common_prefix(slot.tokens, tokens, len(tokens) - 1))
                idle_tie = n == best.n_tokens and n > 0 and slot.state is SlotState.IDLE
                if n > best.n_tokens or idle_tie:
                    best = Match(slot.index, n)
        return best

    def _usable(self, slot: Slot, n: int) -> int:
        """How much of a common prefix of ``n`` tokens the model's kind of memory lets us take over."""
        if n == 0:
            return 0
        if self._recurrent:
            return n if slot.state is SlotState.IDLE and n == len(slot.tokens) else 0
        return 0 if self._lost(slot, n) else n

    def _lost(self, slot: Slot, n: int) -> bool:
        """Whether windowed layers have overwritten what token ``n`` would look back at."""
        return self._window > 0 and not 0 <= self._memory.first_position(slot.index) <= max(0, n - self._window)

    def can_claim(self) -> bool:
        """Whether a slot is free or can be made free."""
        return any(slot.state is not SlotState.LIVE for slot in self._slots)

    def claim(self, match: Match) -> int:
        """Make a slot live that begins with the match; only when :meth:`can_claim`."""
        source = self._slots[match.slot] if match.n_tokens else None
        whole = source is not None and source.state is SlotState.IDLE and len(source.tokens) == match.n_tokens
        target = source if whole else self._vacant(spare=source)
        if target is None or target is source:
            assert source is not None
            self._cut(source, match.n_tokens)
            target = source
        elif source is not None:
            self._memory.share(source.index, target.index, match.n_tokens)
            assert source.end is not None
            target.end = self._cells.share(source.end, len(source.tokens), match.n_tokens)
            target.tokens = source.tokens[: match.n_tokens]
            source.used_at = next(self._clock)
        target.state = SlotState.LIVE
        target.used_at = next(self._clock)
        return target.index

    def _vacant(self, spare: Slot | None) -> Slot | None:
        """A free slot, or the idle one used longest ago; not ``spare`` if there is any other."""
        for slot in self._slots:
            if slot.state is SlotState.FREE:
                return slot
        idle = [slot for slot in self._slots if slot.state is SlotState.IDLE and slot is not spare]
        if not idle:
            return None
        oldest = min(idle, key=lambda slot: slot.used_at)
        self._empty(oldest)
        return oldest

    def extend(self, index: int, tokens: list[int]) -> None:
        """Note that a decode has stored these tokens behind a live slot's content."""
        slot = self._slots[index]
        slot.tokens += tokens
        slot.end = self._cells.extend(slot.end, len(tokens))

    def restore(self, index: int) -> bool:
        """Bring the memory back to what the slot is noted to hold, after a decode that was broken off.

        ``False``: it could not be, and the slot is empty and free now.
        """
        slot = self._slots[index]
        if self._memory.truncate(index, len(slot.tokens)):
            return True
        self._empty(slot)
        return False

    @property
    def can_rewind(self) -> bool:
        """Whether the tail of a live slot can be taken back: not where part of the memory is one running state."""
        return not self._recurrent

    def rewind(self, index: int, n_tokens: int) -> bool:
        """Forget a live slot's tokens from ``n_tokens`` on. ``False``: it could not be, and the slot is empty and free.

        Windowed layers may have forgotten what the earlier end would look back at; then it cannot be either.
        """
        slot = self._slots[index]
        if self._recurrent or not n_tokens or not self._memory.truncate(index, n_tokens) or self._lost(slot, n_tokens):
            self._empty(slot)
            return False
        self._forget_tail(slot, n_tokens)
        return True

    def retire(self, index: int) -> None:
        """A live slot becomes idle: its prefix stays warm."""
        slot = self._slots[index]
        slot.used_at = next(self._clock)
        slot.state = SlotState.IDLE if slot.tokens else SlotState.FREE

    def drop(self, index: int) -> None:
        """Forget a slot's content; it is free then."""
        self._empty(self._slots[index])

    def evict_idle(self, *, spare: int = -1) -> bool:
        """Forget the idle prefix used longest ago whose end frees cells; ``False`` when there is none."""
        candidates = [
            slot
            for slot in self._slots
            if slot.state is SlotState.IDLE and slot.index != spare and self._cells.sole(slot.end) > 0
        ]
        if not candidates:
            return False
        self._empty(min(candidates, key=lambda slot: slot.used_at))
        return True

    def drop_idle(self) -> int:
        """Forget every idle prefix; returns how many there were."""
        idle = [slot for slot in self._slots if slot.state is SlotState.IDLE]
        for slot in idle:
            self._empty(slot)
        return len(idle)

    def _cut(self, slot: Slot, n: int) -> None:
        if n == len(slot.tokens):
            return
        if not self._memory.truncate(slot.index, n):
            raise AssertionError("a prefix was matched that the memory cannot be cut to")
        self._forget_tail(slot, n)

    def _forget_tail(self, slot: Slot, n: int) -> None:
        assert slot.end is not None
        end = self._cells.share(slot.end, len(slot.tokens), n) if n else None
        self._cells.release(slot.end)
        slot.end = end
        del slot.tokens[n:]

    def _empty(self, slot: Slot) -> None:
        self._memory.truncate(slot.index, 0)
        self._cells.release(slot.end)
        slot.end = None
        slot.tokens = []
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
