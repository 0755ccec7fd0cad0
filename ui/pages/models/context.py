"""The stops of the context slider. Pure."""

from __future__ import annotations

_CELL = 256
"""The KV cache grows in steps of this many tokens."""


def stops(n_ctx_train: int | None) -> list[int | None]:
    """``None`` (automatic), then growing contexts up to what the model was trained for, which is always the last."""
    largest = n_ctx_train or 8192
    found: list[int | None] = [None]
    size = 1024
    while size < largest:
        found.append(size)
        half = size * 3 // 2
        if half < largest and half % _CELL == 0 and size >= 4096:
            found.append(half)
        size *= 2
    found.append(largest)
    return found


def nearest(values: list[int | None], n_ctx: int | None) -> int:
    """The place of the largest stop that is not above ``n_ctx``; 0 for automatic."""
    if n_ctx is None:
        return 0
    fitting = [place for place, value in enumerate(values) if value is not None and value <= n_ctx]
    return fitting[-1] if fitting else min(1, len(values) - 1)
