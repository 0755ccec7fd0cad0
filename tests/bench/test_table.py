"""The table says what was measured, and finds its place in the README."""

import pytest

from tests.bench.__main__ import BEGIN, END, replace_between, run_sections
from tests.bench.table import Row, markdown

MET = Row("Decode", 95.04, "tok/s", 100.0, "≥ 0.95 × llama-bench", True, "2 threads")
MISSED = Row("Window usable", 1.234, "s", None, "≤ 1.0 s", False, "")


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_each_row_has_its_figures_ratio_and_verdict() -> None:
    lines = markdown([MET, MISSED]).splitlines()
    assert cells(lines[2]) == ["Decode", "95.0 tok/s", "100 tok/s", "0.95", "≥ 0.95 × llama-bench", "yes", "2 threads"]
    assert cells(lines[3])[1:6] == ["1.23 s", "–", "–", "≤ 1.0 s", "**no**"]


def test_the_table_is_aligned_for_who_reads_the_source() -> None:
    assert len({len(line) for line in markdown([MET, MISSED]).splitlines()}) == 1


def test_a_bar_in_a_note_does_not_break_the_table() -> None:
    lines = markdown([Row("a|b", 1, "s", None, "", True, "x | y")]).splitlines()
    assert lines[2].replace("\\|", "").count("|") == lines[0].count("|")


def test_the_table_replaces_the_one_before() -> None:
    text = f"# Head\n\n{BEGIN}\nold\n{END}\n\nTail\n"
    once = replace_between(text, "new")
    assert once == f"# Head\n\n{BEGIN}\nnew\n{END}\n\nTail\n"
    assert replace_between(once, "new") == once


@pytest.mark.parametrize("text", ["", BEGIN, f"{END} {BEGIN}"])
def test_a_readme_without_a_place_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no place"):
        replace_between(text, "new")


def test_a_section_that_breaks_is_named_and_does_not_stop_the_rest(capsys: pytest.CaptureFixture[str]) -> None:
    rows, broken = run_sections(["no_such_section"])
    assert (rows, broken) == ({}, ["no_such_section"])
    assert "no_such_section" in capsys.readouterr().err
