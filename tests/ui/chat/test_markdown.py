"""Markdown to leaves, whole and in pieces."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ui.widgets.leaves import MAX_NEST, Code, Leaf, Prose, Rule, Span, Style, Table
from ui.widgets.markdown import LONG_PARAGRAPH_CHARS, MarkdownStream, parse

PIECES = (
    "# A heading\n\n",
    "Plain words with **bold**, *slanted*, `code` and ~~gone~~ ones.\nA second line.\n\n",
    "1. first\n2. second\n   with more\n3. third\n\n",
    "1. all\n1. are\n1. ones\n\n",
    "7. seven\n8. eight\n\nA paragraph after.\n\n",
    "- a\n- b\n  - inner\n    - innermost\n- c\n\n",
    "- loose\n\n- list\n\n",
    "- [x] done\n- [ ] open\n\n",
    "> quoted\n> words\n>\n> - with a list\n\n",
    "```python\ndef f(x):\n    return x\n\n# end\n```\n\n",
    "~~~\nno language\n~~~\n\n",
    "1. step\n   ```sh\n   ls -l\n   ```\n2. next\n\n",
    "| a | b |\n|---|--:|\n| 1 | 2 |\n| 3 | *4* |\n\n",
    "---\n\n",
    "Title\n=====\n\n",
    "\\[ a_1 + b_1 \\]\n\n",
    "Inline \\(x_1 * y_1\\) and $a_b$ here.\n\n",
    "<div onclick='x()'>raw</div>\n\n",
    "See https://example.org/a_b_c or [here](https://example.org).\n\n",
    "    indented code\n    more\n\n",
    "* * *\n\n",
    "No end of line",
)


def _streamed(text: str, cuts: list[int]) -> list[Leaf]:
    stream = MarkdownStream()
    start = 0
    for cut in sorted({min(cut, len(text)) for cut in cuts}):
        stream.append(text[start:cut])
        start = cut
    stream.append(text[start:])
    stream.finish()
    return stream.leaves


@settings(max_examples=120, deadline=None)
@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=8), st.lists(st.integers(0, 600), max_size=40))
def test_pieces_give_the_same_leaves_as_the_whole(parts: list[str], cuts: list[int]) -> None:
    text = "".join(parts)
    assert _streamed(text, cuts) == list(parse(text))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(PIECES), min_size=2, max_size=8), st.integers(1, 9))
def test_the_first_changed_leaf_is_told_truly(parts: list[str], step: int) -> None:
    text = "".join(parts)
    stream = MarkdownStream()
    shown: list[Leaf] = []
    for start in range(0, len(text), step):
        first = stream.append(text[start : start + step])
        assert stream.leaves[:first] == shown[:first]
        shown = list(stream.leaves)


@settings(max_examples=80, deadline=None)
@given(st.text(alphabet="`~*_#>-+|[]()!<$\\ \n\t1.ab", max_size=200), st.integers(1, 7))
def test_no_text_breaks_it(text: str, step: int) -> None:
    stream = MarkdownStream()
    for start in range(0, len(text), step):
        stream.append(text[start : start + step])
    stream.finish()


def test_html_stays_text() -> None:
    (leaf,) = parse("Hi <img src='x.png' onerror=alert(1)> there")
    assert isinstance(leaf, Prose)
    assert leaf.run.text == "Hi <img src='x.png' onerror=alert(1)> there"
    assert leaf.run.spans == ()


def test_a_picture_becomes_a_link_with_its_description() -> None:
    (leaf,) = parse("![a cat](https://example.org/cat.png)")
    assert isinstance(leaf, Prose)
    assert leaf.run.text == "[picture: a cat]"
    assert leaf.run.spans == (Span(0, 16, Style.LINK, "https://example.org/cat.png"),)


@pytest.mark.parametrize(
    "text", ["[x](javascript:alert(1))", "[x](data:text/html;base64,AA)", "[x](file:///etc/passwd)"]
)
def test_dangerous_addresses_are_no_links(text: str) -> None:
    (leaf,) = parse(text)
    assert isinstance(leaf, Prose)
    assert not any(span.style & Style.LINK for span in leaf.run.spans)


@pytest.mark.parametrize(
    ("text", "shown", "maths"),
    [
        (r"so \(a_1 * b_1\) is", r"so \(a_1 * b_1\) is", [(3, 16)]),
        ("so $x_1$ and $y_1$", "so $x_1$ and $y_1$", [(3, 8), (13, 18)]),
        ("from 5$ to 6$ each", "from 5$ to 6$ each", []),
        (r"\[ \frac{1}{2} \]", r"\[ \frac{1}{2} \]", [(0, 17)]),
        ("$$\na = b\n$$", "$$\na = b\n$$", [(0, 11)]),
    ],
)
def test_maths_stays_as_written(text: str, shown: str, maths: list[tuple[int, int]]) -> None:
    (leaf,) = parse(text)
    assert isinstance(leaf, Prose)
    assert leaf.run.text == shown
    assert [(s.start, s.end) for s in leaf.run.spans if s.style & Style.MATHS] == maths


def test_lists_carry_their_markers_and_depth() -> None:
    leaves = parse("4. four\n5. five\n   - [x] done\n   - plain")
    assert [(leaf.marker, len(leaf.nest)) for leaf in leaves] == [("4.", 1), ("5.", 1), ("☑", 2), ("◦", 2)]


def test_deep_nests_are_bounded() -> None:
    leaves = parse("".join("> " * depth + "x\n\n" for depth in range(1, 40)))
    assert max(len(leaf.nest) for leaf in leaves) == MAX_NEST


def test_a_table_has_even_rows() -> None:
    (table,) = parse("| a | b |\n|:-:|--:|\n| 1 |\n| 2 | 3 | 4 |")
    assert isinstance(table, Table)
    assert table.alignments == ("center", "right")
    assert [[cell.text for cell in row] for row in table.rows] == [["1", ""], ["2", "3"]]


def test_an_open_fence_grows_by_lines_and_closes() -> None:
    stream = MarkdownStream()
    stream.append("```py\na = 1\nb")
    assert stream.leaves == [Code("a = 1\nb", "py", closed=False)]
    stream.append(" = 2\n``")
    assert stream.leaves == [Code("a = 1\nb = 2", "py", closed=False)]
    stream.append("`\nafter\n")
    assert stream.leaves[0] == Code("a = 1\nb = 2", "py")
    assert isinstance(stream.leaves[1], Prose)


def test_a_fence_that_never_closes_is_whole_at_the_end() -> None:
    assert parse("```\na\n\nb") == (Code("a\n\nb"),)


@pytest.mark.parametrize(
    ("so_far", "shown"),
    [
        ("Words\n\n-", ["Words"]),
        ("Words\n\n``", ["Words"]),
        ("Words\n\n| a | b |", ["Words"]),
        ("Words\n\n| a | b |\n|--", ["Words"]),
        ("Title\n==", ["Title"]),
        ("now **bol", ["now bol"]),
        ("now `cod", ["now cod"]),
    ],
)
def test_half_written_marks_do_not_flash(so_far: str, shown: list[str]) -> None:
    stream = MarkdownStream()
    stream.append(so_far)
    assert [leaf.run.text for leaf in stream.leaves if isinstance(leaf, Prose)] == shown
    assert not any(isinstance(leaf, Rule) for leaf in stream.leaves)


@pytest.mark.slow
def test_an_endless_paragraph_is_shown_in_bounded_pieces() -> None:
    text = "word and more words. " * 2000
    leaves = _streamed(text, list(range(0, len(text), 50)))
    lengths = [len(leaf.run.text) for leaf in leaves if isinstance(leaf, Prose)]
    assert max(lengths) <= 2 * LONG_PARAGRAPH_CHARS
    assert [isinstance(leaf, Prose) and leaf.continues for leaf in leaves] == [False] + [True] * (len(leaves) - 1)
    assert " ".join(leaf.run.text for leaf in leaves if isinstance(leaf, Prose)) == text.strip()


def test_what_a_person_typed_is_not_dressed_up() -> None:
    leaves = parse("# no heading\n__init__ *stars*\n```py\nx\n```", plain=True)
    assert isinstance(leaves[0], Prose)
    assert leaves[0].run.text == "# no heading\n__init__ *stars*"
    assert leaves[0].level == 0
    assert leaves[1] == Code("x", "py")
