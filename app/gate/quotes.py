"""Knowing a text again in another one: keyed fingerprints of its parts. Pure.

A restricted text is cut into blocks of its letters and digits, without spaces, signs, accents and case; of each a keyed
hash is kept. A text that would leave is looked at from every one of its letters. So a quote is known whatever stands
around it and however it was broken into lines, once it holds a whole block: from :data:`CERTAIN_CHARS` letters and
digits on that is certain. What was said in other words is not known again: for that there are labels.
"""

from __future__ import annotations

import hashlib
import struct
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Final

from app.gate.leaks import squeeze

BLOCK_CHARS: Final = 24
"""About five words: long enough not to be everybody's, short enough to find a sentence."""
CERTAIN_CHARS: Final = 2 * BLOCK_CHARS - 1
_HASH_BYTES: Final = 8
_AT_ONCE: Final = 100_000
"""Hashes that are in memory together."""


def blocks(text: str, key: bytes) -> bytes:
    """The fingerprints of a text that must not leave: 8 bytes for every :data:`BLOCK_CHARS` letters and digits.

    A block within a single word of plain letters has none: an address or a name in code is no sentence; many have it.
    """
    words = [squeeze(word) for word in text.split()]
    squeezed = "".join(words)
    ends = list(accumulate(map(len, words)))
    starts = range(0, len(squeezed) - BLOCK_CHARS + 1, BLOCK_CHARS)
    return b"".join(_hashes(squeezed, (start for start in starts if _is_telling(squeezed, start, ends)), key))


def windows(texts: Iterable[str], key: bytes) -> Iterator[frozenset[int]]:
    """The fingerprints of everything in ``texts``, from every letter on; a bounded number at a time."""
    for squeezed in dict.fromkeys(form for text in map(squeeze, texts) for form in (text, text[::-1])):
        last = len(squeezed) - BLOCK_CHARS + 1
        for start in range(0, last, _AT_ONCE):
            joined = b"".join(_hashes(squeezed, range(start, min(start + _AT_ONCE, last)), key))
            yield numbers(joined)


def is_quoted(printed: bytes, window: frozenset[int]) -> bool:
    """Whether one of the blocks is among what was looked at."""
    return not window.isdisjoint(numbers(printed))


def numbers(printed: bytes) -> frozenset[int]:
    """Joined fingerprints, apart."""
    return frozenset(struct.unpack(f"<{len(printed) // _HASH_BYTES}Q", printed))


def _is_telling(squeezed: str, start: int, ends: Sequence[int]) -> bool:
    """Scripts without spaces have no words to count."""
    next_end = ends[bisect_right(ends, start)]
    return next_end < start + BLOCK_CHARS or not squeezed[start : start + BLOCK_CHARS].isascii()


def _hashes(squeezed: str, starts: Iterable[int], key: bytes) -> Iterator[bytes]:
    keyed = hashlib.blake2b(key=key, digest_size=_HASH_BYTES)
    for start in starts:
        one = keyed.copy()
        one.update(squeezed[start : start + BLOCK_CHARS].encode("utf-8", "surrogatepass"))
        yield one.digest()
