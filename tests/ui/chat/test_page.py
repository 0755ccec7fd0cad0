"""Journeys through the Chat page, against a scripted service in a real core thread."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLineEdit, QWidget

from app.chat.records import MessageStatus
from app.models.records import LoadedModel
from engine.errors import RequestError
from engine.worker.spec import Failed, Loading
from tests.ui.chat.conftest import Room
from tests.ui.chat.double import STATS, ScriptedChat, conversation, message
from ui.display import NBSP
from ui.screenshots import sample
from ui.widgets.message import MessageView
from ui.widgets.stats_line import summary
from ui.widgets.waiting import WaitingLine

MakeRoom = Callable[[Callable[[ScriptedChat], None]], Room]


def _views(room: Room) -> list[MessageView]:
    views = [view for view in room.page.transcript.findChildren(MessageView) if not view.isHidden()]
    return sorted(views, key=lambda view: view.y())


def _send(room: Room, text: str) -> str:
    """Type and press Enter; returns the answer's id once it is there."""
    before = len(room.page.transcript.messages)
    room.page.composer.text.setFocus()
    QTest.keyClicks(room.page.composer.text, text)
    QTest.keyClick(room.page.composer.text, Qt.Key.Key_Return)
    room.until(lambda: len(room.page.transcript.messages) == before + 2)
    return room.chat.last_answer()


def test_a_first_message_makes_a_conversation_and_streams_its_answer(room: Room) -> None:
    assert room.page.empty.isVisible()
    answer = _send(room, "Why is the sky blue?")
    room.until(lambda: room.page.composer.draft == "")
    assert room.page.transcript.isVisible()
    assert room.page.composer.button.stops
    assert [view.message.text for view in _views(room)] == ["Why is the sky blue?", ""]
    room.chat.write(answer, "Because of **Rayleigh")
    room.chat.write(answer, "** scattering.")
    room.until(lambda: _views(room)[1].body.source == "Because of **Rayleigh** scattering.")
    room.chat.end(answer)
    room.until(lambda: not room.page.composer.button.stops)
    room.settle()
    view = _views(room)[1]
    view.body.select_all()
    assert view.body.selected_text() == "Because of Rayleigh scattering."
    assert summary("x", STATS).replace(NBSP, " ") == "x · CPU · 0.4 s · 23 tok/s · local"
    assert room.page.sidebar.model.conversation(view.message.conversation_id) is not None


def test_a_refused_message_stays_in_the_composer(room: Room) -> None:
    room.chat.refusal = RequestError("too_long", "This is too long.", "Shorten it.")
    QTest.keyClicks(room.page.composer.text, "Hello")
    QTest.keyClick(room.page.composer.text, Qt.Key.Key_Return)
    room.until(lambda: room.told.sentences == ["This is too long."])
    assert room.page.composer.draft == "Hello"
    assert room.page.empty.isVisible()


def test_escape_stops_and_the_answer_says_so(room: Room) -> None:
    answer = _send(room, "Go")
    room.chat.write(answer, "One, two")
    room.until(lambda: _views(room)[1].body.source == "One, two")
    QTest.keyClick(room.page.composer.text, Qt.Key.Key_Escape)
    room.until(lambda: ("stop", answer) in room.chat.calls)
    room.until(lambda: _views(room)[1].message.status is MessageStatus.STOPPED)
    assert not room.page.composer.button.stops


def test_an_interrupted_answer_offers_to_go_on(room: Room) -> None:
    answer = _send(room, "Go")
    room.chat.write(answer, "Half of it")
    room.chat.end(answer, MessageStatus.INTERRUPTED, "The model's process ended.")
    room.until(lambda: _views(room)[1].message.status is MessageStatus.INTERRUPTED)
    assert _views(room)[1].body.source == "Half of it"
    room.page.transcript.continued.emit(answer)
    room.until(lambda: len(room.page.transcript.messages) == 4)
    assert room.chat.calls[-1][0] == "send" or room.chat.calls[-2][0] == "send"


def test_regenerating_makes_a_branch_that_can_be_left_again(room: Room) -> None:
    answer = _send(room, "Go")
    room.chat.write(answer, "First")
    room.chat.end(answer)
    room.until(lambda: _views(room)[1].message.status is MessageStatus.COMPLETE)
    room.page.transcript.retried.emit(answer)
    room.until(lambda: room.page.transcript.messages[-1].id != answer)
    second = room.chat.last_answer()
    room.chat.write(second, "Second")
    room.chat.end(second)
    room.until(lambda: room.page.transcript.messages[-1].status is MessageStatus.COMPLETE)
    assert (room.page.transcript.messages[-1].branch_index, room.page.transcript.messages[-1].branch_count) == (1, 2)
    room.page.transcript.branch_wanted.emit(second, -1)
    room.until(lambda: room.page.transcript.messages[-1].text == "First")


def test_the_last_answer_is_written_again_and_copied_by_keys(room: Room) -> None:
    first = _send(room, "Name a colour")
    QTest.keyClick(room.page, Qt.Key.Key_R, Qt.KeyboardModifier.ControlModifier)  # not while it is being written
    room.chat.write(first, "Blue")
    room.chat.end(first)
    room.until(lambda: room.page.answers.last is not None)
    modifiers = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier
    QTest.keyClick(room.page, Qt.Key.Key_C, modifiers)
    assert QApplication.clipboard().text() == "Blue"
    QTest.keyClick(room.page, Qt.Key.Key_R, Qt.KeyboardModifier.ControlModifier)
    room.until(lambda: room.page.answers.writing)
    assert room.chat.last_answer() != first
    assert {"chat.regenerate", "chat.copy"}.isdisjoint(command.key for command in room.page.commands())
    room.chat.end(room.chat.last_answer())


def test_editing_ones_own_message_keeps_the_old_branch(room: Room) -> None:
    answer = _send(room, "Go")
    room.chat.end(answer)
    room.until(lambda: not room.page.composer.button.stops)
    question = room.page.transcript.messages[0].id
    room.page.transcript.edited.emit(question, "Go on")
    room.until(lambda: [m.text for m in room.page.transcript.messages] == ["Go on", ""])
    assert room.page.transcript.messages[0].branch_count == 2


def test_up_in_an_empty_composer_edits_the_last_message(room: Room) -> None:
    answer = _send(room, "Go")
    room.chat.end(answer)
    room.until(lambda: not room.page.composer.button.stops and room.page.composer.draft == "")
    QTest.keyClick(room.page.composer.text, Qt.Key.Key_Up)
    assert _views(room)[0].busy_with_person
    editor = QApplication.focusWidget()
    assert editor is not None
    QTest.keyClicks(editor, " on")
    QTest.keyClick(editor, Qt.Key.Key_Return)
    room.until(lambda: [m.text for m in room.page.transcript.messages] == ["Go on", ""])
    assert room.page.composer.text.hasFocus()


def test_deleting_can_be_undone(make_room: MakeRoom) -> None:
    def prepare(chat: ScriptedChat) -> None:
        chat.put(conversation("c1", "One", at=2.0), message("m1", "user", "hello"))
        chat.put(conversation("c2", "Two", at=1.0), message("m2", "user", "world"))

    room = make_room(prepare)
    room.until(lambda: len(room.page.sidebar.model) == 2)
    room.page.open_conversation("c1")
    room.until(lambda: [m.id for m in room.page.transcript.messages] == ["m1"])
    room.page.sidebar.delete_wanted.emit("c1")
    room.until(lambda: [m.id for m in room.page.transcript.messages] == ["m2"])
    (notice,) = room.told.notices
    assert notice[1] == "“One” was deleted."
    assert notice[3] is not None
    notice[3].run()
    room.until(lambda: [m.id for m in room.page.transcript.messages] == ["m1"])
    assert len(room.page.sidebar.model) == 2


def test_drafts_stay_with_their_conversation(make_room: MakeRoom) -> None:
    def prepare(chat: ScriptedChat) -> None:
        chat.put(conversation("c1", "One"), message("m1", "user", "hello"))
        chat.put(conversation("c2", "Two"), message("m2", "user", "world"))

    room = make_room(prepare)
    room.until(lambda: len(room.page.sidebar.model) == 2)
    room.page.composer.set_draft("for a new chat")
    room.page.open_conversation("c1")
    room.until(lambda: room.page.composer.draft == "")
    room.page.composer.set_draft("for one")
    room.page.open_conversation("c2")
    room.until(lambda: room.page.composer.draft == "")
    room.page.open_conversation("c1")
    room.until(lambda: room.page.composer.draft == "for one")
    room.page.new_conversation()
    assert room.page.composer.draft == "for a new chat"


def test_a_prompt_that_does_not_fit_is_refused_with_the_numbers(room: Room) -> None:
    room.chat.n_ctx = 50
    room.page.composer.set_draft("x" * 100)
    room.until(lambda: "110 tokens" in room.page.composer.overflow)
    assert "holds 50" in room.page.composer.overflow
    assert not room.page.composer.sendable
    QTest.keyClick(room.page.composer.text, Qt.Key.Key_Return)
    room.page.composer.set_draft("short")
    room.until(lambda: room.page.composer.overflow == "")
    assert room.page.composer.sendable
    assert not any(call[0] == "send" for call in room.chat.calls)


def test_searching_opens_at_the_message(make_room: MakeRoom) -> None:
    def prepare(chat: ScriptedChat) -> None:
        many = [message(f"m{n}", "user" if n % 2 == 0 else "assistant", f"words {n} " * 30) for n in range(200)]
        many[50] = message("m50", "user", "the needle")
        chat.put(conversation("c1", "Hay"), *many)

    room = make_room(prepare)
    room.until(lambda: len(room.page.sidebar.model) == 1)
    room.page.find_everywhere()
    QTest.keyClicks(room.page.sidebar.search, "needle")
    room.until(lambda: room.page.sidebar.hits.rowCount() == 1)
    QTest.keyClick(room.page.sidebar.search, Qt.Key.Key_Down)
    QTest.keyClick(room.page.sidebar.results, Qt.Key.Key_Return)
    room.until(lambda: any(view.message.id == "m50" for view in _views(room)))
    room.settle()
    (view,) = (view for view in _views(room) if view.message.id == "m50")
    assert 0 <= view.y() < 200


def test_what_the_keyboard_reaches_is_in_sight(make_room: MakeRoom) -> None:
    text = "Some words.\n\n" * 12

    def prepare(chat: ScriptedChat) -> None:
        chat.put(conversation("c1", "One"), *(message(f"m{n}", ("user", "assistant")[n % 2], text) for n in range(8)))

    room = make_room(prepare)
    room.until(lambda: len(room.page.sidebar.model) == 1)
    room.page.open_conversation("c1")
    room.until(lambda: room.page.transcript.messages)
    room.settle()
    room.page.composer.take_focus()
    reached = set()
    for _ in range(40):
        focused = QApplication.focusWidget()
        assert focused is not None
        assert not focused.visibleRegion().isEmpty(), focused.accessibleName()
        reached.add(focused.accessibleName())
        QTest.keyClick(focused, Qt.Key.Key_Tab)
    assert {"Message", "Copy message", "Conversations"} <= reached


def test_an_empty_search_says_so(room: Room) -> None:
    room.page.find_everywhere()
    QTest.keyClicks(room.page.sidebar.search, "nowhere")
    room.until(lambda: room.page.sidebar.saying == "Nothing found for “nowhere”.")
    QTest.keyClick(room.page.sidebar.search, Qt.Key.Key_Escape)
    assert room.page.sidebar.search.text() == ""


def test_renaming_in_place(make_room: MakeRoom) -> None:
    room = make_room(lambda chat: chat.put(conversation("c1", "One"), message("m1", "user", "hello")))
    room.until(lambda: len(room.page.sidebar.model) == 1)
    room.page.open_conversation("c1")
    room.until(lambda: room.page.transcript.messages)
    room.page.composer.take_focus()
    QTest.keyClick(room.page.composer.text, Qt.Key.Key_F2)
    editor = room.page.sidebar.list.findChild(QLineEdit)
    assert editor is not None
    editor.setText("Another")
    QTest.keyClick(editor, Qt.Key.Key_Return)
    room.until(lambda: room.chat.items["c1"].title == "Another")
    room.until(lambda: room.page.header.accessibleName() == "Another")


def test_a_model_that_failed_to_load_is_explained(room: Room) -> None:
    state = Failed("out_of_memory", "There was not enough memory.", "Close something.", "")
    failed = LoadedModel(sample.SMALL.id, state, None, None)
    room.page.banner.hide()
    _publish(room, failed)
    room.until(lambda: room.page.banner.isVisible())
    assert room.page.banner.accessibleName() == "There was not enough memory. Close something."
    room.page.banner.step_wanted.emit("again", None)
    room.until(lambda: not room.page.banner.isVisible())


def test_waiting_says_how_far_loading_is(room: Room) -> None:
    _publish(room, LoadedModel(sample.SMALL.id, Loading(0.42), None, None))
    _send(room, "Hello")
    room.until(lambda: "42%" in room.page.composer.picker.text())
    waiting = [line.accessibleName() for line in room.page.transcript.findChildren(WaitingLine)]
    assert waiting == [f"Loading {sample.SMALL.name}"]


def test_an_answer_in_another_conversation_shows_as_a_dot_only(make_room: MakeRoom) -> None:
    room = make_room(lambda chat: chat.put(conversation("c1", "One", at=time.time()), message("m1", "user", "hello")))
    room.until(lambda: len(room.page.sidebar.model) == 1)
    answer = _send(room, "Elsewhere")
    room.page.open_conversation("c1")
    room.until(lambda: [m.id for m in room.page.transcript.messages] == ["m1"])
    assert not room.page.composer.button.stops
    room.chat.write(answer, "text")
    room.chat.end(answer)
    room.until(lambda: room.page.composer.button.isVisible())
    assert [m.id for m in room.page.transcript.messages] == ["m1"]


def test_coming_back_to_a_streaming_answer_loses_and_doubles_nothing(make_room: MakeRoom) -> None:
    room = make_room(lambda chat: chat.put(conversation("c1", "One"), message("m1", "user", "hello")))
    room.until(lambda: len(room.page.sidebar.model) == 1)
    answer = _send(room, "Count")
    key = room.chat.messages[answer].conversation_id
    for number in range(50):
        room.chat.write(answer, f"{number} ")
        if number == 20:
            room.page.open_conversation("c1")
        if number == 30:
            room.page.open_conversation(key)
    room.chat.end(answer)
    whole = "".join(f"{number} " for number in range(50))
    room.until(lambda: room.page.transcript.messages[-1].status is MessageStatus.COMPLETE)
    room.until(lambda: _views(room)[-1].body.source == whole)


def test_what_is_written_while_a_transcript_is_on_its_way_is_not_missed(make_room: MakeRoom) -> None:
    def prepare(chat: ScriptedChat) -> None:
        chat.put(
            conversation("c1", "One"),
            message("m1", "user", "hello"),
            message("m2", "assistant", "one ", MessageStatus.STREAMING),
        )

    room = make_room(prepare)
    room.until(lambda: len(room.page.sidebar.model) == 1)
    room.chat.held = asyncio.Event()
    room.page.open_conversation("c1")
    room.until(lambda: ("open", "c1") in room.chat.calls)
    room.chat.write("m2", "two ")
    room.chat.write("m2", "three")
    room.until(lambda: room.page.composer.button.stops)
    room.chat.release()
    room.until(lambda: room.page.transcript.text_of_last() == "one two three")
    room.until(lambda: _views(room)[-1].body.source == "one two three")


def test_find_in_the_conversation_walks_through_the_places(make_room: MakeRoom) -> None:
    def prepare(chat: ScriptedChat) -> None:
        many = [message(f"m{n}", "user" if n % 2 == 0 else "assistant", f"words {n} " * 30) for n in range(100)]
        many[3] = message("m3", "assistant", "a needle and a needle")
        many[90] = message("m90", "user", "one needle")
        chat.put(conversation("c1", "Hay"), *many)

    room = make_room(prepare)
    room.until(lambda: len(room.page.sidebar.model) == 1)
    room.page.open_conversation("c1")
    room.until(lambda: len(room.page.transcript.messages) == 100)
    room.page.open_find()
    room.page.find_bar.field.setText("needle")
    room.page.find_bar.look()
    assert room.page.find_bar.count == "3 of 3"
    assert any(view.message.id == "m90" for view in _views(room))
    QTest.keyClick(room.page.find_bar.field, Qt.Key.Key_Return)
    assert room.page.find_bar.count == "1 of 3"
    assert any(view.message.id == "m3" for view in _views(room))
    QTest.keyClick(room.page.find_bar.field, Qt.Key.Key_Escape)
    assert not room.page.find_bar.isVisible()


@pytest.mark.qt_log_ignore("This plugin does not support", extend=True)
def test_a_system_prompt_of_a_new_chat_goes_with_its_first_message(room: Room) -> None:
    room.page.edit_prompt()
    card = QApplication.activePopupWidget()
    assert card is not None
    card.saved.emit("Be brief.")  # type: ignore[attr-defined]
    card.close()
    _send(room, "Hello")
    (made,) = room.chat.items.values()
    assert made.system_prompt == "Be brief."


def test_every_control_has_a_name(make_room: MakeRoom) -> None:
    def prepare(chat: ScriptedChat) -> None:
        answer = message("m2", "assistant", "Hi\n\n```py\nx\n```", stats=STATS, reasoning="hm")
        chat.put(conversation("c1", "One"), message("m1", "user", "hello"), replace(answer, branch_count=3))

    room = make_room(prepare)
    room.until(lambda: len(room.page.sidebar.model) == 1)
    room.page.open_conversation("c1")
    room.until(lambda: len(room.page.transcript.messages) == 2)
    room.settle()
    nameless = [
        widget
        for widget in room.page.findChildren(QWidget)
        if widget.isVisibleTo(room.page)
        and widget.focusPolicy() & Qt.FocusPolicy.TabFocus
        and not widget.accessibleName()
        and not (hasattr(widget, "text") and callable(widget.text) and widget.text())
        and type(widget).__name__ not in ("QSplitterHandle", "QSplitter", "QWidget")
    ]
    assert nameless == []


def _publish(room: Room, loaded: LoadedModel) -> None:
    async def announce() -> None:
        room.models.become(loaded)

    room.bridge.call(announce).result(5)


def test_clicking_a_row_opens_it(make_room: MakeRoom) -> None:
    room = make_room(lambda chat: chat.put(conversation("c1", "One"), message("m1", "user", "hello")))
    room.until(lambda: len(room.page.sidebar.model) == 1)
    view = room.page.sidebar.list
    at = view.visualRect(room.page.sidebar.model.index_of("c1")).center()
    QTest.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(at.x(), at.y()))
    room.until(lambda: [m.id for m in room.page.transcript.messages] == ["m1"])
