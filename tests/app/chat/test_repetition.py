"""When an answer repeats itself, and when it only looks so."""

from __future__ import annotations

import random

import pytest

from app.chat.repetition import BLOCK_CHARS, SHORT_CHARS, RepetitionWatch, repeated_chars

_OPENING = "The keeper climbed the stairs of the lighthouse, as on every other evening of that long winter. "
_PARAGRAPH = (
    "As the sun sets over the bay, the lighthouse stands as a beacon of hope. Its light guides the sailors home through"
    " the storm, and the keeper, who has been there for forty years, writes one more line into his book.\n\n"
)


def _story(sentences: int) -> str:
    """Text without a repetition, from few words, as a small model writes it."""
    chance = random.Random(7)
    words = ("light", "sea", "storm", "keeper", "stairs", "night", "book", "wind", "stone", "bay", "ship", "home")
    return " ".join(" ".join(chance.choices(words, k=9)).capitalize() + "." for _ in range(sentences))


def test_three_of_the_same_paragraph_count_and_two_do_not() -> None:
    assert repeated_chars(_OPENING + _PARAGRAPH * 2) == 0
    assert repeated_chars(_OPENING + _PARAGRAPH * 3) == len(_PARAGRAPH)
    assert repeated_chars(_OPENING + _PARAGRAPH * 3 + _PARAGRAPH[:50]) == len(_PARAGRAPH)


def test_a_paragraph_with_a_repetition_of_its_own_inside() -> None:
    refrain = "And the light went round, and the light went round, and the sea was dark and the night was long. "
    verse = refrain * 2 + "Then a ship came in. " + refrain * 2
    assert repeated_chars(_OPENING + verse * 3) == len(verse)


def test_a_short_block_counts_once_it_fills_a_page() -> None:
    assert repeated_chars("0, " * (SHORT_CHARS // 6)) == 0
    assert repeated_chars("0, " * SHORT_CHARS) == 3


@pytest.mark.parametrize(
    "text",
    [
        _story(300),
        "".join(
            f"| {row} | Berlin | 12.50 | paid on the first of the month, by transfer, in full |\n" for row in range(99)
        ),
        _PARAGRAPH + "\n" * 500,
        "".join(
            f"def test_{name}() -> None:\n    assert parse({name!r}) == {name!r}\n\n\n" for name in _story(9).split()
        ),
    ],
)
def test_what_only_looks_alike_goes_on(text: str) -> None:
    watch = RepetitionWatch()
    assert not any(watch.take(text[at : at + 5]) for at in range(0, len(text), 5))


@pytest.mark.parametrize("step", [1, 7, 400])
def test_a_growing_answer_is_ended_soon_however_it_arrives(step: int) -> None:
    text = _story(200) + _PARAGRAPH * 9
    watch = RepetitionWatch()
    end = next(at for at in range(0, len(text), step) if watch.take(text[at : at + step]))
    assert len(text) - 9 * len(_PARAGRAPH) < end < len(text) - 5 * len(_PARAGRAPH)
    assert end + step - len(_story(200)) >= 3 * BLOCK_CHARS
