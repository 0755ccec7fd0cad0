"""Finding the largest context for which something holds. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from engine.fit.footprint import CONTEXT_STEP
from engine.fit.placement import Compute


def largest_that(holds: Callable[[int], bool], least: int, most: int) -> int | None:
    """The largest multiple of 256 from ``least`` to ``most`` for which a falling condition holds."""
    low, high = -(-least // CONTEXT_STEP), most // CONTEXT_STEP
    if low > high or not holds(low * CONTEXT_STEP):
        return None
    while low < high:
        middle = (low + high + 1) // 2
        if holds(middle * CONTEXT_STEP):
            low = middle
        else:
            high = middle - 1
    return low * CONTEXT_STEP


@dataclass(frozen=True, slots=True)
class Chord:
    """Compute buffers between two measured contexts, never below the truth: they grow as a maximum of lines."""

    start: int
    small: Compute
    end: int
    large: Compute

    def at(self, n_ctx: int) -> Compute:
        """Of a context from ``start`` to ``end``."""
        ratio = (n_ctx - self.start) / (self.end - self.start)

        def between(low: int, high: int) -> int:
            return low + max(0, round((high - low) * ratio))

        small, large = self.small, self.large
        return replace(
            small,
            host_bytes=between(small.host_bytes, large.host_bytes),
            host_beside_bytes=between(small.host_beside_bytes, large.host_beside_bytes),
            cards=tuple(between(low, high) for low, high in zip(small.cards, large.cards, strict=True)),
            unknown_kv_bytes=between(small.unknown_kv_bytes, large.unknown_kv_bytes),
            unknown_recurrent_bytes=between(small.unknown_recurrent_bytes, large.unknown_recurrent_bytes),
        )
