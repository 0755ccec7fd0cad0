"""What is to be found in the text of a message: searched words, numbers of sources, addresses. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ui.widgets.leaves import Leaf, Prose, Table

CITED = "cited:"
"""Begins the address of a number in brackets that points to a source."""
_NUMBERS = re.compile(r"\[\d{1,5}(?:\s*[,;]\s*\d{1,5})*\]")


@dataclass(frozen=True, slots=True)
class Found:
    """A searched word in a message: block and span within the block's text."""

    block: int
    start: int
    end: int


def find_words(texts: Sequence[str], words: str) -> list[Found]:
    """Where the words occur in the blocks' texts, upper and lower case alike."""
    needle = words.casefold()
    found = []
    for index, text in enumerate(texts) if needle else ():
        folded = text.casefold()
        at = folded.find(needle)
        while at >= 0:
            found.append(Found(index, at, at + len(needle)))
            at = folded.find(needle, at + len(needle))
    return found


def numbers_in(text: str, known: Mapping[int, str]) -> list[tuple[int, int, int]]:
    """``[2]`` and ``[2, 5]`` where the number is known: (start, end, number) of each."""
    if not known:
        return []
    return [
        (group.start() + number.start(), group.start() + number.end(), int(number[0]))
        for group in _NUMBERS.finditer(text)
        for number in re.finditer(r"\d+", group[0])
        if int(number[0]) in known
    ]


def addresses_in(leaves: Iterable[Leaf]) -> tuple[str, ...]:
    """The addresses of links, each once, in order."""
    addresses: dict[str, None] = {}
    for leaf in leaves:
        runs = [leaf.run] if isinstance(leaf, Prose) else []
        if isinstance(leaf, Table):
            runs = [run for row in (leaf.header, *leaf.rows) for run in row]
        addresses.update((span.address, None) for run in runs for span in run.spans if span.address)
    return tuple(addresses)
