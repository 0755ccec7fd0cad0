"""Text from tokens: whole characters, stop strings across tokens, nothing lost, nothing shown that should not be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.serving.stop import StopMatcher, TextStream


def _run(pieces: list[str], stops: list[str]) -> tuple[str, bool]:
    matcher = StopMatcher(stops)
    shown = ""
    for piece in pieces:
        text, stopped = matcher.feed(piece)
        shown += text
        if stopped:
            return shown, True
    return shown + matcher.finish(), False


@pytest.mark.parametrize(
    ("pieces", "stops", "expected"),
    [
        (["Hello", " wor", "ld"], [], ("Hello world", False)),
        (["Hello", " wor", "ld"], [" world"], ("Hello", True)),
        (["a", "b", "c", "d"], ["bcd"], ("a", True)),
        (["ab", "ab", "c"], ["abc"], ("ab", True)),
        (["x END y"], ["y", "END"], ("x ", True)),
        (["almost EN", "Dless"], ["END."], ("almost ENDless", False)),
        (["\n", "\n"], ["\n\n"], ("", True)),
    ],
)
def test_stops_are_found_across_pieces(pieces: list[str], stops: list[str], expected: tuple[str, bool]) -> None:
    assert _run(pieces, stops) == expected


def test_text_that_may_become_a_stop_is_held_back_and_only_that() -> None:
    matcher = StopMatcher(["STOP"])
    assert matcher.feed("go on ST") == ("go on ", False)
    assert matcher.feed("ILL") == ("STILL", False)


@given(st.text(alphabet="ab\n", max_size=40), st.lists(st.text(alphabet="ab\n", min_size=1, max_size=4), max_size=3))
def test_any_cutting_gives_the_text_up_to_the_first_stop(text: str, stops: list[str]) -> None:
    shown, stopped = _run(list(text), stops)
    assert stopped == any(stop in text for stop in stops)
    assert text.startswith(shown)
    assert not any(stop in shown for stop in stops)
    if not stopped:
        assert shown == text


def test_a_character_in_two_tokens_is_shown_when_it_is_whole() -> None:
    stream = TextStream()
    first, second = "é".encode()[:1], "é".encode()[1:]
    assert stream.feed(b"caf" + first) == ("caf", False)
    assert stream.feed(second) == ("é", False)


def test_a_character_that_never_becomes_whole_is_replaced_at_the_end() -> None:
    stream = TextStream(["never"])
    assert stream.feed("€".encode()[:2]) == ("", False)
    assert stream.finish() == "\ufffd"
