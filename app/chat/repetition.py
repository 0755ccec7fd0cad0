"""Notices an answer that says the same thing over and over, as small models do. Pure; what follows is the caller's.

Works on characters, so that it holds for every language and every tokenizer: a token is about four of them. Only an
exact repetition counts; what changes by a word each time is left to the longest answer's limit.
"""

from __future__ import annotations

from typing import Final

from engine.errors import GatehouseError

BLOCK_CHARS: Final = 160
"""A repeated block is at least so long, about 40 tokens."""
BLOCKS: Final = 3
"""So often in a row it stands there before it counts."""
SHORT_CHARS: Final = 1_600
"""A shorter block may be meant, as a row of zeros or a chorus: it counts once it fills so much without a break."""
_EVERY_CHARS: Final = 80
"""Looked at so often."""
_LOOK_BACK_CHARS: Final = 12_000
_MOST_PERIODS: Final = 16
"""A block that holds a shorter repetition gives several lengths to try; so many are tried."""


def repeated_chars(text: str) -> int:
    """Length of the block that ``text`` ends in, several times in a row; 0 when it does not."""
    end = text[-_LOOK_BACK_CHARS:]
    if len(end) < BLOCK_CHARS * BLOCKS or not end[-BLOCK_CHARS:].strip():
        return 0  # blank lines are no sentence
    anchor, at = end[-BLOCK_CHARS:], len(end) - BLOCK_CHARS
    for _ in range(_MOST_PERIODS):
        at = end.rfind(anchor, 0, at + BLOCK_CHARS - 1)
        if at < 0:
            return 0
        period = len(end) - BLOCK_CHARS - at
        needed = BLOCKS * period if period >= BLOCK_CHARS else SHORT_CHARS
        if len(end) >= needed and end[-needed + period :] == end[-needed:-period]:
            return period
    return 0


def repeating() -> GatehouseError:
    """Why such an answer ended."""
    return GatehouseError(
        "repeating", "It was repeating itself, so it was stopped.", "Try again, or ask a larger model."
    )


class RepetitionWatch:
    """Looks at one answer while it grows."""

    def __init__(self) -> None:
        self._text = ""
        self._fresh_chars = 0

    def take(self, piece: str) -> bool:
        """The next piece; true when the answer repeats itself."""
        self._text = (self._text + piece)[-_LOOK_BACK_CHARS:]
        self._fresh_chars += len(piece)
        if self._fresh_chars < _EVERY_CHARS:
            return False
        self._fresh_chars = 0
        return repeated_chars(self._text) > 0
