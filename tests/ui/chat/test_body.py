"""The text of one message: selection, links, code, find; and the parts that need no window at all."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from app.chat.records import MessageStatus
from tests.ui.chat.double import message
from ui.pages.chat.session import NEW, Session
from ui.theme import ThemeStore
from ui.widgets.body import MessageBody
from ui.widgets.copy_button import CopyButton
from ui.widgets.heights import Heights
from ui.widgets.highlight import Highlighter, LexerShelf, find_lexer
from ui.widgets.ink import mix_ink
from ui.widgets.leaves import Run
from ui.widgets.selection import Place, Selection, word_at
from ui.widgets.textbox import TextBox


@pytest.fixture
def body(qtbot: QtBot, themes: ThemeStore) -> MessageBody:
    made = MessageBody(mix_ink(themes.theme, themes.fonts), LexerShelf())
    qtbot.addWidget(made)
    made.set_width(600)
    made.show()
    return made


def _show(body: MessageBody, text: str) -> None:
    body.replace(text)
    body.end()
    body.work(time.perf_counter() + 5)


def test_selecting_runs_across_blocks(body: MessageBody) -> None:
    _show(body, "First *paragraph*.\n\n1. item\n\n```py\ncode\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |")
    body.select_all()
    assert body.selected_text() == "First paragraph.\n\nitem\n\ncode\n\na\tb\n1\t2"


def test_dragging_selects_in_both_directions(body: MessageBody) -> None:
    _show(body, "First paragraph.\n\nSecond paragraph.")
    top, bottom = QPoint(1, 5), QPoint(590, body.height() - 3)
    for begin, end in ((top, bottom), (bottom, top)):
        QTest.mousePress(body, Qt.MouseButton.LeftButton, pos=begin)
        QTest.mouseMove(body, end)
        QTest.mouseRelease(body, Qt.MouseButton.LeftButton, pos=end)
        assert body.selected_text() == "First paragraph.\n\nSecond paragraph."


def test_a_double_click_selects_a_word(body: MessageBody) -> None:
    _show(body, "wonderful words")
    QTest.mouseDClick(body, Qt.MouseButton.LeftButton, pos=QPoint(20, 10))
    assert body.selected_text() == "wonderful"


def test_copying_without_a_selection_gives_the_markdown(body: MessageBody) -> None:
    _show(body, "Some **bold** text")
    body.copy()
    assert QGuiApplication.clipboard().text() == "Some **bold** text"
    body.select_all()
    QTest.keyClick(body, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    assert QGuiApplication.clipboard().text() == "Some bold text"


def test_characters_beyond_the_basic_plane_are_counted_once(body: MessageBody) -> None:
    _show(body, "😀😀 **bold** end")
    body.select_all()
    assert body.selected_text() == "😀😀 bold end"
    (found,) = body.mark_words("end")
    assert (found.start, found.end) == (8, 11)


def test_positions_are_characters_not_utf16_units(themes: ThemeStore) -> None:
    ink = mix_ink(themes.theme, themes.fonts)
    box = TextBox(Run("😀😀ab"), ink.body, ink)
    box.set_width(500)
    assert [box.hit(x, 0) for x in (0, 10_000)] == [0, 4]


def test_a_click_on_a_link_tells_its_address_and_a_drag_does_not(body: MessageBody, qtbot: QtBot) -> None:
    _show(body, "[here](https://example.org/x)")
    clicked: list[str] = []
    body.link_clicked.connect(clicked.append)
    QTest.mouseClick(body, Qt.MouseButton.LeftButton, pos=QPoint(10, 10))
    assert clicked == ["https://example.org/x"]
    QTest.mousePress(body, Qt.MouseButton.LeftButton, pos=QPoint(2, 10))
    QTest.mouseMove(body, QPoint(25, 10))
    QTest.mouseRelease(body, Qt.MouseButton.LeftButton, pos=QPoint(25, 10))
    assert clicked == ["https://example.org/x"]
    assert body.links() == ("https://example.org/x",)


def test_code_is_copied_as_it_is(body: MessageBody) -> None:
    _show(body, "```py\nif x:\n\ty = 1\n```")
    (button,) = body.findChildren(CopyButton)
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)
    assert QGuiApplication.clipboard().text() == "if x:\n\ty = 1"
    assert button.text() == "Copied"


def test_growing_code_keeps_its_one_button(body: MessageBody) -> None:
    body.append("```py\n")
    for number in range(40):
        body.append(f"line_{number} = {number}\n")
        body.work(time.perf_counter() + 5)
    body.append("```\n")
    body.end()
    body.work(time.perf_counter() + 5)
    (block,) = body.code_blocks()
    assert block.text == "\n".join(f"line_{number} = {number}" for number in range(40))
    assert len(body.findChildren(CopyButton)) == 1


def test_a_line_of_fifty_thousand_signs_is_shown_in_rows(body: MessageBody) -> None:
    _show(body, "```json\n" + "[1]," * 12_500 + "\n```")
    (block,) = body.code_blocks()
    assert block.content_width < 20_000
    body.grab()
    body.select_all()
    assert body.selected_text() == "[1]," * 12_500


def test_work_stops_at_its_deadline(body: MessageBody) -> None:
    body.append("Some words. " * 4000)
    body.work(time.perf_counter())
    assert body.reading
    while not body.idle:
        body.work(time.perf_counter() + 1)
    assert not body.reading


@pytest.mark.parametrize("slices", [1, 7])
def test_colours_in_slices_are_the_lexers_own(slices: int) -> None:
    code = 'def f(x: int) -> str:\n    """Two\n    lines."""\n    return f"{x} 😀"  # done\n'
    lexer = find_lexer("python")
    assert lexer is not None
    highlighter = Highlighter(lexer)
    for end in range(0, len(code) + 1, max(len(code) // slices, 1)):
        highlighter.set_text(code[:end])
        highlighter.work(0)
    highlighter.set_text(code)
    while not highlighter.idle:
        highlighter.work(0)
    words = [
        (line[start : start + length], kind)
        for line, row in zip(code.splitlines(), highlighter.lines, strict=False)
        for start, length, kind in row
    ]
    assert ("def", "keyword") in words
    assert ("f", "function") in words
    assert ('"""Two', "string") in words
    assert ('    lines."""', "string") in words
    assert ("# done", "comment") in words


def test_unknown_languages_stay_plain() -> None:
    assert find_lexer("no-such-language") is None


def test_heights_agree_with_counting() -> None:
    chance = random.Random(5)
    heights, plain = Heights(24, 20), [chance.randint(1, 400) for _ in range(300)]
    heights.reset(plain)
    for _ in range(200):
        number = chance.randrange(len(plain))
        plain[number] = chance.randint(1, 400)
        heights.set(number, plain[number])
        if chance.random() < 0.2:
            plain.append(chance.randint(1, 400))
            heights.append(plain[-1])
        asked = chance.randrange(len(plain))
        assert heights.top(asked) == 24 + sum(plain[:asked]) + 20 * asked
    assert heights.total == 24 + sum(plain) + 20 * (len(plain) - 1)
    top = heights.top(100)
    assert heights.between(top + 1, 1) == (100, 101)
    assert Heights(24, 20).between(0, 100) == (0, 0)


@given(st.integers(0, 3), st.integers(0, 9), st.integers(0, 3), st.integers(0, 9))
def test_a_selection_is_the_same_from_either_end(a: int, x: int, b: int, y: int) -> None:
    forth, back = Selection(), Selection()
    forth.choose(Place(a, x), Place(b, y))
    back.choose(Place(b, y), Place(a, x))
    assert [forth.part(n, 10) for n in range(4)] == [back.part(n, 10) for n in range(4)]


def test_words_are_found_around_a_position() -> None:
    assert word_at("one snake_case two", 6) == (4, 14)
    assert word_at("a - b", 2) == (2, 3)
    assert word_at("", 0) == (0, 0)


def test_a_session_knows_which_answer_stop_means() -> None:
    session = Session()
    session.open_id = "c"
    assert session.note(message("a1", "assistant", "", MessageStatus.PENDING))
    assert session.answer_under_way() == "a1"
    session.note(message("a0", "assistant", "old"))
    assert session.answer_under_way() == "a1"
    session.note(message("a1", "assistant", "done"))
    assert session.answer_under_way() is None


def test_a_new_chats_draft_goes_when_it_gets_its_name() -> None:
    session = Session()
    session.keep_draft("hello")
    session.adopt("c")
    session.open_id = NEW
    assert session.draft() == ""
