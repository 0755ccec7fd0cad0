"""The transcript alone: what has widgets, what stays in place, what follows."""

from __future__ import annotations

from dataclasses import replace

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QAbstractSlider
from pytestqt.qtbot import QtBot

from app.chat.records import Message, MessageStatus
from tests.ui.chat.double import STATS, message
from ui.theme import TEXT_WIDTH, ThemeStore
from ui.widgets.code import CodeBlock
from ui.widgets.message import MessageView
from ui.widgets.message_ground import EDGE
from ui.widgets.transcript import Transcript
from ui.widgets.verdict import Verdict
from ui.widgets.waiting import Waiting, WaitingLine

LONG = "Some words of an answer. " * 12 + "\n\n- one\n- two\n\n```py\nprint('x')\n```\n"


def _talk(count: int) -> list[Message]:
    return [
        message(f"m{n}", "user", f"Question {n}?")
        if n % 2 == 0
        else message(f"m{n}", "assistant", LONG * (1 + n % 5), stats=STATS)
        for n in range(count)
    ]


def _views(transcript: Transcript) -> dict[str, MessageView]:
    found = transcript.findChildren(MessageView)
    return {view.message.id: view for view in found if not view.isHidden()}


def _settle(qtbot: QtBot, transcript: Transcript) -> None:
    qtbot.waitUntil(lambda: transcript.idle, timeout=5000)


def _person_scrolls(transcript: Transcript, by: int) -> None:
    """As a wheel does: tell the bar of the action, then move it."""
    bar = transcript.verticalScrollBar()
    bar.setSliderPosition(bar.value() + by)
    bar.actionTriggered.emit(QAbstractSlider.SliderAction.SliderMove.value)
    bar.setValue(bar.sliderPosition())


def _y(transcript: Transcript, key: str) -> int:
    return _views(transcript)[key].mapTo(transcript, QPoint(0, 0)).y()


def test_only_what_is_in_sight_has_widgets(transcript: Transcript, qtbot: QtBot) -> None:
    transcript.show_messages(_talk(2000))
    _settle(qtbot, transcript)
    views = _views(transcript)
    assert "m1999" in views
    assert len(views) < 20
    assert transcript.at_end


def test_scrolling_up_keeps_what_one_reads_in_place(transcript: Transcript, qtbot: QtBot) -> None:
    transcript.show_messages(_talk(400))
    _settle(qtbot, transcript)
    for _ in range(60):
        before = {key: _y(transcript, key) for key in _views(transcript)}
        _person_scrolls(transcript, -90)
        _settle(qtbot, transcript)
        inside = [key for key in _views(transcript) if key in before and 0 < _y(transcript, key) < 600]
        moved = {_y(transcript, key) - before[key] for key in inside}
        assert moved <= {90}
    assert not transcript.at_end


def test_it_follows_the_stream_only_at_the_end(transcript: Transcript, qtbot: QtBot) -> None:
    talk = [*_talk(20), message("a", "assistant", "", MessageStatus.STREAMING)]
    transcript.show_messages(talk)
    transcript.grow("a", "Line.\n\n" * 80, "")
    _settle(qtbot, transcript)
    assert transcript.at_end
    _person_scrolls(transcript, -400)
    _settle(qtbot, transcript)
    seen = transcript.verticalScrollBar().value()
    transcript.grow("a", "More.\n\n" * 80, "")
    _settle(qtbot, transcript)
    assert transcript.verticalScrollBar().value() == seen
    assert not transcript.at_end
    transcript.jump_to_end()
    transcript.grow("a", "Even more.\n\n" * 20, "")
    _settle(qtbot, transcript)
    assert transcript.at_end


def test_text_that_is_there_already_is_not_doubled(transcript: Transcript, qtbot: QtBot) -> None:
    transcript.show_messages([message("a", "assistant", "one two ", MessageStatus.STREAMING)])
    transcript.grow("a", "two three ", "", text_start=4)
    transcript.grow("a", "one ", "", text_start=0)
    assert transcript.text_of_last() == "one two three "
    transcript.renew_message(message("a", "assistant", "one two three four", stats=STATS))
    _settle(qtbot, transcript)
    assert _views(transcript)["a"].body.source == "one two three four"


def test_an_older_state_takes_no_text_away(transcript: Transcript, qtbot: QtBot) -> None:
    transcript.show_messages([message("a", "assistant", "", MessageStatus.PENDING)])
    transcript.grow("a", "newer text", "", text_start=0)
    transcript.renew_message(message("a", "assistant", "newer", MessageStatus.STREAMING))
    _settle(qtbot, transcript)
    assert transcript.text_of_last() == "newer text"
    assert _views(transcript)["a"].body.source == "newer text"


def test_ones_own_message_brings_the_view_to_the_end(transcript: Transcript, qtbot: QtBot) -> None:
    transcript.show_messages(_talk(40))
    transcript.jump_to("m3")
    _settle(qtbot, transcript)
    transcript.add_message(message("mine", "user", "And now?"))
    _settle(qtbot, transcript)
    assert transcript.at_end
    assert "mine" in _views(transcript)


def test_text_that_came_while_out_of_sight_is_there_on_return(transcript: Transcript, qtbot: QtBot) -> None:
    transcript.show_messages([*_talk(60), message("a", "assistant", "begun ", MessageStatus.STREAMING)])
    _settle(qtbot, transcript)
    transcript.jump_to("m0")
    _settle(qtbot, transcript)
    transcript.grow("a", "and gone on", "")
    transcript.jump_to_end()
    _settle(qtbot, transcript)
    assert _views(transcript)["a"].body.source == "begun and gone on"


def test_a_very_long_answer_is_laid_out_in_many_frames(transcript: Transcript, qtbot: QtBot) -> None:
    transcript.show_messages([message("q", "user", "?"), message("a", "assistant", LONG * 120, stats=STATS)])
    assert not transcript.idle
    _settle(qtbot, transcript)
    view = _views(transcript)["a"]
    view.body.select_all()
    assert view.body.selected_text().count("print('x')") == 120
    assert transcript.at_end


def test_jumping_to_a_message_puts_it_near_the_top(transcript: Transcript, qtbot: QtBot) -> None:
    transcript.show_messages(_talk(600))
    transcript.jump_to("m301")
    _settle(qtbot, transcript)
    assert 0 <= _y(transcript, "m301") <= 60


def test_resizing_keeps_the_message_one_reads(transcript: Transcript, qtbot: QtBot) -> None:
    transcript.show_messages(_talk(200))
    transcript.jump_to("m100")
    _settle(qtbot, transcript)
    transcript.resize(560, 700)
    _settle(qtbot, transcript)
    assert 0 <= _y(transcript, "m100") <= 200
    assert _views(transcript)["m100"].width() < 560


def test_the_column_is_never_wider_than_the_text_may_be(transcript: Transcript, qtbot: QtBot) -> None:
    transcript.resize(1600, 700)
    transcript.show_messages(_talk(6))
    _settle(qtbot, transcript)
    assert {view.width() for view in _views(transcript).values()} == {TEXT_WIDTH + 2 * EDGE}


def test_another_branch_keeps_what_is_the_same(transcript: Transcript, qtbot: QtBot) -> None:
    talk = _talk(6)
    transcript.show_messages(talk)
    _settle(qtbot, transcript)
    kept = _views(transcript)["m4"]
    transcript.show_messages([*talk[:5], message("other", "assistant", "Otherwise", stats=STATS)], keep=True)
    _settle(qtbot, transcript)
    views = _views(transcript)
    assert views["m4"] is kept
    assert "m5" not in views
    assert views["other"].body.source == "Otherwise"


def test_code_is_coloured_and_the_theme_can_change(transcript: Transcript, qtbot: QtBot, themes: ThemeStore) -> None:
    transcript.show_messages([message("a", "assistant", "```python\ndef f():\n    return 1\n```", stats=STATS)])
    _settle(qtbot, transcript)

    def code() -> CodeBlock:
        (block,) = _views(transcript)["a"].body.code_blocks()
        return block

    before = code().highlighter
    assert before is not None
    assert before.lines[0] == ((0, 3, "keyword"), (4, 1, "function"))
    light = code().ink.theme.name
    themes.set_appearance("dark")
    _settle(qtbot, transcript)
    assert (light, code().ink.theme.name) == ("light", "dark")
    assert code().highlighter is not None


def test_waiting_gives_way_to_the_first_words(transcript: Transcript, qtbot: QtBot) -> None:
    transcript.set_waiting(Waiting("Loading Tiny", 0.5))
    transcript.show_messages([message("a", "assistant", "", MessageStatus.PENDING)])
    assert [line.accessibleName() for line in transcript.findChildren(WaitingLine)] == ["Loading Tiny"]
    transcript.grow("a", "Hi", "")
    _settle(qtbot, transcript)
    qtbot.waitUntil(lambda: not transcript.findChildren(WaitingLine))


@pytest.mark.parametrize(
    ("status", "text", "error", "words"),
    [
        (MessageStatus.STOPPED, "so far", "", "Stopped."),
        (MessageStatus.INTERRUPTED, "so far", "The process was killed.", "Interrupted. The process was killed."),
        (MessageStatus.FAILED, "", "There is no model.", "There is no model."),
    ],
)
def test_an_answer_that_did_not_end_well_says_why(
    transcript: Transcript, qtbot: QtBot, status: MessageStatus, text: str, error: str, words: str
) -> None:
    transcript.show_messages([message("a", "assistant", text, status, error=error)])
    _settle(qtbot, transcript)
    (verdict,) = transcript.findChildren(Verdict)
    assert verdict.words == words
    asked: list[str] = []
    transcript.retried.connect(asked.append)
    verdict.retried.emit()
    assert asked == ["a"]


def test_a_message_that_ends_well_loses_its_verdict(transcript: Transcript, qtbot: QtBot) -> None:
    failed = message("a", "assistant", "", MessageStatus.FAILED, error="No.")
    transcript.show_messages([failed])
    transcript.renew_message(replace(failed, status=MessageStatus.COMPLETE, text="Yes", error="", stats=STATS))
    _settle(qtbot, transcript)
    qtbot.waitUntil(lambda: not transcript.findChildren(Verdict))


def test_a_message_reached_by_keyboard_has_a_ring_and_one_clicked_has_none(
    transcript: Transcript, qtbot: QtBot
) -> None:
    transcript.show_messages([message("a", "assistant", "Hello", stats=STATS)])
    _settle(qtbot, transcript)
    body = _views(transcript)["a"].body
    for reason, ringed in ((Qt.FocusReason.TabFocusReason, True), (Qt.FocusReason.MouseFocusReason, False)):
        transcript.setFocus()
        body.setFocus(reason)
        qtbot.waitUntil(body.hasFocus)
        assert body.ringed is ringed
