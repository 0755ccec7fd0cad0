"""Text from tokens: what a reader of prose, of columns and of other scripts expects; and where characters stand."""

from __future__ import annotations

import math

import pytest

from app.documents.draft import DraftPage, Token
from app.documents.layout import lay_out
from app.documents.records import Box, DocumentKind, Page, Reading, Word


def token(x: float, y: float, text: str, letter: float = 5.0, height: float = 10.0) -> Token:
    return Token(text, Box(x, y, x + letter * len(text), y + height))


def text_of(*tokens: Token, rotation: int = 0, skew: float = 0.0) -> str:
    laid = lay_out(DraftPage(600.0, 800.0, "text", list(tokens), rotation, skew))
    for word, start in zip(laid.tokens, laid.starts, strict=True):
        assert laid.text[start : start + len(word.text)] == word.text
    return laid.text


def test_labels_and_amounts_stay_side_by_side_however_many_lines() -> None:
    rows = [(token(50, 100 + 12 * n, f"item{n}"), token(400, 100 + 12 * n, f"{n}.50")) for n in range(20)]
    lines = text_of(*(word for row in rows for word in row)).splitlines()
    assert [line.split() for line in lines] == [[f"item{n}", f"{n}.50"] for n in range(20)]
    assert len({line.index(".50") - len(str(n)) for n, line in enumerate(lines)}) == 1


def test_a_gap_is_an_empty_line_and_order_on_the_page_wins_over_order_in_the_file() -> None:
    assert text_of(token(50, 300, "last"), token(90, 100, "two"), token(50, 101, "one")) == "one     two\n\nlast"


def test_right_to_left_lines_keep_numbers_and_foreign_words_in_order() -> None:
    line = [token(400, 100, "שלום"), token(360, 100, "עולם"), token(300, 100, "New"), token(320, 100, "York")]
    assert text_of(*line).split() == ["שלום", "עולם", "New", "York"]


@pytest.mark.parametrize("skew", [-6.0, 3.0])
def test_lines_of_a_skewed_scan_are_put_together(skew: float) -> None:
    def at(x: float, y: float, text: str) -> Token:
        return token(x, y + math.tan(math.radians(skew)) * x, text)

    words = [at(40 + 60 * column, 100 + 16 * row, f"r{row}c{column}") for row in range(6) for column in range(9)]
    lines = text_of(*words, skew=skew).splitlines()
    assert [line.split() for line in lines if line] == [[f"r{row}c{c}" for c in range(9)] for row in range(6)]


def test_characters_that_steer_are_taken_out() -> None:
    assert text_of(token(0, 0, "a\x1b[2Jb\u202e"), token(100, 0, "\x07")) == "a[2Jb"
    assert text_of(token(0, 0, "o\ufb03ce")) == "office"


def test_places_are_one_box_a_line_and_parts_of_words() -> None:
    words = (
        Word("Invoice", Box(10, 10, 80, 20), 1.0, 0, 7),
        Word("4711", Box(90, 10, 130, 20), 1.0, 8, 12),
        Word("next", Box(10, 30, 50, 40), 1.0, 13, 17),
    )
    page = Page(1, 200, 100, "text", words, 0, 17)
    reading = Reading(DocumentKind.TEXT, "0" * 64, "Invoice 4711\nnext", (page,))
    assert [place.box for place in reading.places(0, 17)] == [Box(10, 10, 130, 20), Box(10, 30, 50, 40)]
    assert reading.places(8, 10)[0].box == Box(90, 10, 110, 20)
    assert reading.locate(7).box == Box(10, 10, 80, 20)  # a space is its word's
    assert reading.places(5, 5) == ()
    with pytest.raises(IndexError):
        reading.locate(17)
