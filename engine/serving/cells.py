"""How many cells of the unified KV cache are in use. llama.cpp does not tell, so the count is mirrored here exactly.

A cell belongs to every holder that shares the prefix it is in. Pure bookkeeping: nothing here touches a context.
"""

from __future__ import annotations


class Span:
    """Consecutive cells with the same holders. ``refs`` counts the holders that end here and the spans that go on."""

    __slots__ = ("length", "parent", "refs")

    def __init__(self, parent: Span | None, length: int) -> None:
        self.parent = parent
        self.length = length
        self.refs = 1


class CellCount:
    """Cells in use, when prefixes share theirs. A chain of spans ends in what a holder holds."""

    def __init__(self) -> None:
        self.used = 0

    def extend(self, end: Span | None, n: int) -> Span:
        """Append ``n`` cells to a holder's chain; returns its new end."""
        self.used += n
        if end is not None and end.refs == 1:
            end.length += n
            return end
        return Span(end, n)  # the holder's reference to ``end`` becomes the new span's

    def share(self, end: Span, held: int, n: int) -> Span:
        """A second holder for the first ``n`` of ``held`` cells; returns where its chain ends. ``0 < n <= held``."""
        span, stop = end, held
        while n <= stop - span.length:
            stop -= span.length
            assert span.parent is not None
            span = span.parent
        surplus = stop - n
        if surplus:
            upper = Span(span.parent, span.length - surplus)
            span.parent, span.length = upper, surplus
            span = upper
        span.refs += 1
        return span

    def release(self, end: Span | None) -> None:
        """A holder lets go of its chain."""
        while end is not None:
            end.refs -= 1
            if end.refs:
                return
            self.used -= end.length
            end = end.parent

    def sole(self, end: Span | None) -> int:
        """Cells that would become free if this holder let go."""
        total = 0
        while end is not None and end.refs == 1:
            total += end.length
            end = end.parent
        return total
