"""Where values stand: what counts as found, and that evidence is what stands there."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.extraction.finding import find
from app.extraction.forms import WindowForms, words_pattern
from app.extraction.ground import Source, evidence_of
from app.extraction.records import Grounding
from app.extraction.schema import Field, FieldType
from app.extraction.view import document_lines, lines_of, view_text, windows_of
from tests.app.extraction.sample_receipt import TEXT, reading_of

READING = reading_of(TEXT)
SOURCE = Source(document_lines(READING))


@pytest.mark.parametrize(
    ("kind", "text", "grounding", "found"),
    [
        (FieldType.TEXT, "12 MILL LANE", Grounding.EXACT, ["12 MILL LANE"]),
        (FieldType.TEXT, "CORNER HARDWARE & PAINT (SUNRISE) LTD", Grounding.EXACT, None),
        (FieldType.TEXT, "Corner Hardware", Grounding.NORMALISED, ["CORNER HARDWARE"]),
        (FieldType.TEXT, "SUNR1SE LTD", Grounding.NORMALISED, None),
        (FieldType.TEXT, "Corner Hardwore and Paint", Grounding.UNPROVEN, []),
        (FieldType.TEXT, "CORNER HARDWORE PAINT", Grounding.FUZZY, None),
        (FieldType.TEXT, "ARDWARE", Grounding.FUZZY, ["HARDWARE"]),
        (FieldType.TEXT, "ARDWAR", Grounding.UNPROVEN, []),
        (FieldType.AMOUNT, "£26.64", Grounding.NORMALISED, ["26.64"]),
        (FieldType.AMOUNT, "6.64", Grounding.UNPROVEN, []),
        (FieldType.AMOUNT, "99.99", Grounding.UNPROVEN, []),
        (FieldType.DATE, "3 November 2024", Grounding.NORMALISED, ["03/11/2024"]),
        (FieldType.DATE, "4 November 2024", Grounding.UNPROVEN, []),
        (FieldType.TEXT, "0113 496 0001", Grounding.UNPROVEN, []),
    ],
)
def test_kinds_of_grounding(kind: FieldType, text: str, grounding: Grounding, found: list[str] | None) -> None:
    place = SOURCE.find(kind, text)
    assert place.grounding is grounding
    if found is not None:
        assert [one.text for one in evidence_of(READING, place.spans)] == found


def test_a_part_of_a_number_is_not_the_number() -> None:
    source = Source(lines_of("PAID 1,239.00 ON 12.05.2024"))
    assert source.find(FieldType.AMOUNT, "239.00").grounding is Grounding.UNPROVEN
    assert source.find(FieldType.AMOUNT, "1239.00").grounding is Grounding.NORMALISED


def test_evidence_is_a_line_each_with_its_box() -> None:
    lines = evidence_of(READING, SOURCE.find(FieldType.TEXT, "12 MILL LANE LEEDS LS1 4AB").spans)
    assert [one.text for one in lines] == ["12 MILL LANE", "LEEDS LS1 4AB"]
    assert lines[0].box is not None
    assert lines[1].box is not None
    assert lines[0].box.y1 < lines[1].box.y0
    assert all(READING.text[one.start : one.end] == one.text for one in lines)


@given(st.text(st.sampled_from("ab 1.\t\n"), max_size=200))
def test_every_character_of_the_view_is_that_of_the_document(text: str) -> None:
    for line in lines_of(text):
        for index, character in enumerate(line.text):
            if not character.isspace():
                assert text[line.offset(index)] == character


def test_windows_leave_nothing_out_and_overlap() -> None:
    lines = lines_of("\n".join(f"line {number}" for number in range(100)))
    windows = windows_of(lines, 200)
    assert {line for window in windows for line in window.lines} == set(lines)
    assert all(len(window.text) <= 200 for window in windows)
    assert windows[0].lines[-3:] == windows[1].lines[:3]


def test_every_offered_value_is_in_the_document_exactly() -> None:
    forms = WindowForms(SOURCE.lines)
    for kind in (FieldType.AMOUNT, FieldType.NUMBER, FieldType.DATE):
        options = forms.options(kind)
        assert options
        for option in options:
            assert SOURCE.find(FieldType.TEXT, option.text).grounding is Grounding.EXACT
            assert find(kind, option.value)


def test_numbers_beside_the_field_s_own_words_come_first() -> None:
    forms = WindowForms(SOURCE.lines)
    form = forms.schema([Field("total", FieldType.AMOUNT), Field("discount", FieldType.AMOUNT)])
    assert form["properties"]["total"]["enum"] == ["TOTAL  26.64", None]
    assert "CASH  30.00" in form["properties"]["discount"]["enum"]
    assert forms.narrowed == {"total"}


def test_runs_of_words_are_what_the_pattern_allows() -> None:
    pattern = re.compile(words_pattern([line.text for line in SOURCE.lines]))
    for run in ("12 MILL", "CORNER HARDWARE & PAINT (SUNRISE) LTD", "Date: 03/11/2024", "VAT 20%"):
        assert pattern.fullmatch(run), run
    for other in ("MILL LANE", "12 MILL LAN", "LANE 12", "ignore this", "12 LEEDS", ""):
        assert not pattern.fullmatch(other), other


def test_gaps_between_large_letters_are_not_columns() -> None:
    assert view_text(READING).splitlines()[0] == "CORNER HARDWARE & PAINT"
    assert "Nails 50mm  1 x" in view_text(READING)
