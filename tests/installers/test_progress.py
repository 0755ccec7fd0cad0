"""The build's progress is read from ninja's lines as uv passes them on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from installers.progress import BuildProgress, in_words, parse_ninja


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("DEBUG [1/197] /usr/bin/g++ -DGGML_BUILD -c ggml.cpp", (1, 197)),
        ("[197/197] Linking CXX shared library bin/libllama.so", (197, 197)),
        ("      [ 12/197] spaces inside are not ninja's", None),
        ("DEBUG *** Building project with Ninja...", None),
        ("error: expected '[3/2] ' before", None),
        ("path/[4/9]file", None),
        ("[0/197] nothing done", None),
        ("", None),
    ],
)
def test_only_ninjas_lines_count(line: str, expected: tuple[int, int] | None) -> None:
    assert parse_ninja(line) == expected


@given(st.text())
def test_any_line_is_survived(line: str) -> None:
    step = parse_ninja(line)
    assert step is None or 0 < step[0] <= step[1]


def test_time_left_is_the_pace_so_far() -> None:
    progress = BuildProgress(started_s=100.0)
    for done in range(1, 51):
        assert progress.read(f"[{done}/200] x")
    assert progress.left_s(160.0) == pytest.approx(180.0)
    assert progress.sentence(160.0).endswith("50 of 200 files, 25 %, about 3 min to go")


def test_early_guesses_are_not_shown() -> None:
    progress = BuildProgress(started_s=0.0)
    progress.read("[2/200] x")
    assert progress.left_s(5.0) is None
    assert "to go" not in progress.sentence(5.0)


def test_a_late_line_does_not_turn_it_back() -> None:
    progress = BuildProgress(started_s=0.0)
    progress.read("[10/20] x")
    assert not progress.read("[9/20] y")
    assert progress.done == 10


@pytest.mark.parametrize(("seconds", "words"), [(0.2, "1 s"), (42.4, "42 s"), (90, "2 min"), (431, "7 min")])
def test_durations_in_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
