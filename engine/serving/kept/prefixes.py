"""Which idle prefixes are worth a place on disk, and when a kept one is worth bringing back. The engine's thread only.

Copying a state out of the context and into it happens here, between two steps, and holds up everybody: when somebody
is being served, only a copy that is expected to be short is made. Files and encryption are ``kept_lane``'s.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from engine.llama.context import MemoryKind, State
from engine.serving.kept.form import UNOWNED
from engine.serving.kept.lane import KeptLane
from engine.serving.kept.shelf import Kept, ShelfCounts, continues
from engine.serving.kv import KvCache

LEAST_TOKENS: Final = 256
"""Shorter prefixes are computed again as fast."""
LEAST_GROWTH_TOKENS: Final = 64
"""A conversation that has grown by less since it was kept is not written again."""
BUSY_COPY_S: Final = 0.150
"""A copy takes no longer while anyone waits for tokens; the same as a step."""
_LOOK_S: Final = 1.0
"""While busy, idle prefixes are looked at no more often."""
_MARGIN: Final = 1.25
"""Bringing back must be expected to take so many times less than computing."""
_UNKNOWN_ROW_S: Final = 0.0005
"""Taken for a prompt's token before any was computed: quick for a processor, slow for a card."""


class StateMemory(Protocol):
    """The part of ``engine.llama.context.Context`` that copies sequences."""

    memory_kind: MemoryKind

    def state_bytes(self, sequence: int) -> int: ...
    def save_state(self, sequence: int, *, whole: bool = False) -> State: ...
    def load_state(self, sequence: int, state: State, *, whole: bool = False) -> bool: ...


@dataclass(slots=True)
class CopyPace:
    """Seconds a byte takes, from guesses at first and then from what was seen."""

    save_s: float = 1e-9
    load_s: float = 2e-9
    """From asking the lane to the state being in the context."""

    def saved(self, n_bytes: int, elapsed_s: float) -> None:
        self.save_s = (self.save_s + elapsed_s / n_bytes) / 2

    def loaded(self, n_bytes: int, elapsed_s: float) -> None:
        self.load_s = (self.load_s + elapsed_s / n_bytes) / 2


@dataclass(frozen=True, slots=True)
class IdlePrefix:
    """An idle slot as it was when it was looked at."""

    slot: int
    tokens: array[int]
    owner: str


class KeptPrefixes:
    """Between the cache and the lane."""

    def __init__(self, cache: KvCache, memory: StateMemory, lane: KeptLane) -> None:
        self._cache = cache
        self._memory = memory
        self._lane = lane
        self._idle_s = lane.idle_s
        self._unwanted: set[str] = set()
        """Owners that were forgotten and have not spoken since."""
        self._since: dict[int, tuple[int, float]] = {}
        """Of each idle slot worth keeping: its length, and since when it was seen so."""
        self._looked_at = 0.0
        self._pace = CopyPace()
        self.restored_tokens = 0
        cache.on_evict = self._before_eviction

    @property
    def counts(self) -> ShelfCounts:
        """What the shelf has done, for any thread."""
        return self._lane.counts

    # Bringing back

    def offer(self, tokens: tuple[int, ...], row_s: float) -> Kept | None:
        """The kept state that a prompt should begin with, if it beats what is in memory by enough.

        ``row_s``: seconds that a token of a prompt takes to compute; 0 when nobody knows.
        """
        entries = self._lane.entries
        if not entries or len(tokens) <= LEAST_TOKENS:
            return None
        prompt = array("i", tokens)
        best = max(entries, key=lambda kept: self._usable(kept, prompt))
        gain = self._usable(best, prompt) - self._cache.match(list(tokens)).n_tokens
        cost_s = best.state_bytes * self._pace.load_s * _MARGIN
        return best if gain >= LEAST_GROWTH_TOKENS and gain * (row_s or _UNKNOWN_ROW_S) > cost_s else None

    def _usable(self, kept: Kept, prompt: array[int]) -> int:
        """How many tokens of a prompt a state holds, at least one being left to compute."""
        limit = len(prompt) - 1
        if len(kept.tokens) <= limit and continues(prompt, kept.tokens):
            return len(kept.tokens)
        if self._memory.memory_kind is not MemoryKind.CELLS:
            return 0
        return _common(kept.tokens, prompt, limit)

    def fetch(self, kept: Kept, fetched: Callable[[State | None], None]) -> None:
        """Have a state read; ``fetched`` gets it on the lane's thread."""
        self._lane.fetch(kept, fetched)

    def restore(self, kept: Kept, state: State, asked_at: float) -> bool:
        """Put a state into an idle slot, from which whoever begins like it takes it. ``asked_at``: of the fetch."""
        tokens = list(kept.tokens)
        if self._cache.match([*tokens, 0]).n_tokens == len(tokens):
            return True  # somebody else has brought it meanwhile
        refused = False

        def load(slot: int) -> bool:
            nonlocal refused
            refused = not self._memory.load_state(slot, state, whole=True)
            return not refused

        slot = self._cache.adopt(tokens, load, kept.owner)
        if refused:
            self._lane.reject(kept)  # llama.cpp cannot read it, though there were cells enough
        if slot < 0:
            return False
        self._pace.loaded(state.nbytes, time.monotonic() - asked_at)
        self.restored_tokens += len(tokens)
        self.counts.restored += 1
        return True

    # Keeping

    def rest_s(self, now: float) -> float | None:
        """How long the engine may rest until :meth:`keep_one` has something to do; ``None``: for ever."""
        self._note_idle(now)
        due = [since for _, since in self._since.values()]
        return max(0.0, min(due) + self._idle_s - now) if due else None

    def keep_one(self, now: float, *, busy: bool) -> bool:
        """Copy the idle prefix that is due longest, if one is; while ``busy`` only now and then, and a short one."""
        if busy:
            if now - self._looked_at < _LOOK_S:
                return False
            self._looked_at = now
            self._note_idle(now)
        due = [(since, slot) for slot, (_, since) in self._since.items() if since + self._idle_s <= now]
        if not due:
            return False
        _, slot = min(due)
        del self._since[slot]
        prefix = next((prefix for prefix in self._idle() if prefix.slot == slot), None)
        return prefix is not None and self._keep(prefix, BUSY_COPY_S if busy else None)

    def keep_all(self, deadline: float) -> None:
        """Copy what is not kept yet, those used last first, until a moment of the monotonic clock."""
        for prefix in reversed(list(self._idle())):
            if prefix.owner in self._unwanted:
                continue
            left = deadline - time.monotonic()
            if left > 0 and self._worth(prefix.tokens):
                self._keep(prefix, left)

    def close(self, timeout_s: float) -> None:
        """At an orderly end: copy and write as much as there is time for."""
        deadline = time.monotonic() + timeout_s
        self.keep_all(deadline - timeout_s / 2)
        self._lane.close(max(0.1, deadline - time.monotonic()))

    def forget(self, cache_key: str | None) -> int:
        """Forget a conversation, or everything (``None``), in memory and soon on disk; returns how many prefixes.

        One that is being gone on with is forgotten when it comes to rest.
        """
        owner = None if cache_key is None else self._lane.owner(cache_key)
        if owner is not None:
            self._unwanted.add(owner)
        self._since.clear()
        self._lane.forget(owner)
        return self._cache.drop_idle(owner)

    def owner(self, cache_key: str) -> str:
        """How a slot's owner is named; whoever speaks again is wanted again."""
        owner = self._lane.owner(cache_key)
        self._unwanted.discard(owner)
        return owner

    def lines(self) -> Iterable[str]:
        """Prometheus' text."""
        counts = self.counts
        totals = {
            "written": counts.written,
            "restored": counts.restored,
            "rejected": counts.rejected,
            "evicted": counts.evicted,
        }
        for name, value in totals.items():
            yield f"# TYPE gatehouse_kept_states_{name}_total counter"
            yield f"gatehouse_kept_states_{name}_total {value}"
        yield "# TYPE gatehouse_kept_states_bytes gauge"
        yield f"gatehouse_kept_states_bytes {counts.used_bytes}"

    def _note_idle(self, now: float) -> None:
        """Bring :attr:`_since` up to date."""
        for owner in self._unwanted:
            self._cache.drop_idle(owner)
        seen: dict[int, tuple[int, float]] = {}
        for prefix in self._idle():
            known = self._since.get(prefix.slot)
            if known is not None and known[0] == len(prefix.tokens):
                seen[prefix.slot] = known
            elif self._worth(prefix.tokens):
                seen[prefix.slot] = (len(prefix.tokens), now)
        self._since = seen

    def _worth(self, tokens: array[int]) -> bool:
        """Whether a prefix is long enough, and no kept one holds nearly as much of it."""
        if len(tokens) < LEAST_TOKENS:
            return False
        held = [*(kept.tokens for kept in self._lane.entries), *self._lane.pending()]
        return not any(
            continues(other, tokens) or (len(tokens) - len(other) < LEAST_GROWTH_TOKENS and continues(tokens, other))
            for other in held
        )

    def _keep(self, prefix: IdlePrefix, limit_s: float | None) -> bool:
        """Copy a prefix and hand it to the lane, unless it is too large or expected to take too long."""
        n_bytes = self._memory.state_bytes(prefix.slot)
        if n_bytes == 0 or not self._lane.fits(n_bytes):
            return False
        if limit_s is not None and n_bytes * self._pace.save_s > limit_s:
            return False
        began = time.monotonic()
        state = self._memory.save_state(prefix.slot, whole=True)
        self._pace.saved(n_bytes, time.monotonic() - began)
        self._lane.keep(prefix.owner or UNOWNED, prefix.tokens, state)
        return True

    def _before_eviction(self, slot: int, tokens: list[int], owner: str) -> None:
        """The cache is about to forget an idle prefix, because somebody needs its room."""
        self._since.pop(slot, None)
        prefix = IdlePrefix(slot, array("i", tokens), owner)
        if owner not in self._unwanted and self._worth(prefix.tokens):
            self._keep(prefix, BUSY_COPY_S)

    def _idle(self) -> Iterable[IdlePrefix]:
        for slot, tokens, owner in self._cache.idle():
            yield IdlePrefix(slot, array("i", tokens), owner)


def _common(a: array[int], b: array[int], limit: int) -> int:
    """Length of the common prefix, at most ``limit``."""
    low, high = 0, min(len(a), len(b), limit)
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
