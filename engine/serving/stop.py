"""Tokens become text that may be shown: characters whole, stop strings found across tokens, nothing shown twice.

What a token means (end of text, length) is the scheduler's decision; here is only text.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Mapping, Sequence


class StopMatcher:
    """Finds the first of several stop strings in a stream, and holds back what may become one."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._beginnings = frozenset(stop[:length] for stop in stops for length in range(1, len(stop)))
        self._longest = max((len(stop) for stop in stops), default=0)
        self._held = ""
        self.found: str | None = None
        """The stop string that was reached."""

    def feed(self, text: str) -> tuple[str, bool]:
        """Text that is safe to show, and whether a stop string was reached; after that nothing more comes."""
        if not self._stops:
            return text, False
        pending = self._held + text
        first = min(((at, stop) for stop in self._stops if (at := pending.find(stop)) >= 0), default=None)
        if first is not None:
            self._held = ""
            at, self.found = first
            return pending[:at], True
        keep = self._doubtful(pending)
        self._held = pending[len(pending) - keep :]
        return pending[: len(pending) - keep], False

    def _doubtful(self, text: str) -> int:
        """Length of the longest end of ``text`` that begins a stop string."""
        for length in range(min(len(text), self._longest - 1), 0, -1):
            if text[-length:] in self._beginnings:
                return length
        return 0

    def finish(self) -> str:
        """What was held back, once the stream is over."""
        held, self._held = self._held, ""
        return held


class TextStream:
    """The visible text of one sequence, from the bytes of its tokens."""

    def __init__(self, stops: Sequence[str] = ()) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._matcher = StopMatcher(stops)

    @property
    def found_stop(self) -> str | None:
        """The stop string that was reached."""
        return self._matcher.found

    def feed(self, piece: bytes) -> tuple[str, bool]:
        """Newly visible text, and whether a stop string was reached."""
        return self._matcher.feed(self._decoder.decode(piece))

    def feed_tokens(
        self, tokens: Sequence[int], piece: Callable[[int], bytes], controls: Mapping[int, str]
    ) -> tuple[str, bool]:
        """As :meth:`feed`, for tokens. ``controls`` are shown by their spelling, in which no stop string is sought."""
        if not controls or controls.keys().isdisjoint(tokens):
            return self.feed(b"".join(map(piece, tokens)))
        parts: list[str] = []
        for token in tokens:
            if token in controls:
                text, stopped = self._matcher.feed(self._decoder.decode(b"", True))
                text += "" if stopped else self._matcher.finish() + controls[token]
            else:
                text, stopped = self.feed(piece(token))
            parts.append(text)
            if stopped:
                return "".join(parts), True
        return "".join(parts), False

    def finish(self) -> str:
        """The rest: held-back text, and a replacement character for a broken one."""
        text, stopped = self._matcher.feed(self._decoder.decode(b"", True))
        return text if stopped else text + self._matcher.finish()
