"""Documents in conversations: attached by dropping, shown as chips, taken off and put back, cited under answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from app.documents.records import Box
from app.documents.review_records import AttachedDocument, AttachmentState, Citation
from app.events import AttachmentChanged
from app.gate.label import Label
from engine.errors import GatehouseError
from tests.ui.chat.conftest import Room
from tests.ui.chat.double import ScriptedChat, conversation, message
from ui.desk import DocumentPlace
from ui.screenshots.double_documents import SampleDocuments
from ui.widgets.attachments import AttachmentChip
from ui.widgets.text_finds import CITED

BOX = Box(56, 70, 200, 84)


def _prepare(chat: ScriptedChat) -> None:
    chat.put(
        conversation("c", "Lease"),
        message("m1", "user", "Who pays for the heating?"),
        message("m2", "assistant", "The tenant does [2], from March on [1, 2]. Nothing else [9]."),
    )


@pytest.fixture
def lease(make_room: object) -> Room:
    room: Room = make_room(_prepare)  # type: ignore[operator]
    return room


def _documents(room: Room) -> SampleDocuments:
    found = room.page._desk.services.documents
    assert isinstance(found, SampleDocuments)
    return found


def _drop(room: Room, *paths: Path) -> None:
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    copy, left, none = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    enter = QDragEnterEvent(QPoint(400, 300), copy, mime, left, none)
    QApplication.sendEvent(room.page, enter)
    assert enter.isAccepted()
    QApplication.sendEvent(room.page, QDropEvent(QPointF(400, 300), copy, mime, left, none))


def _chips(room: Room) -> list[AttachmentChip]:
    return list(room.page.composer.papers.chips.values())


def test_a_dropped_document_begins_a_new_conversation_and_keeps_the_draft(room: Room, tmp_path: Path) -> None:
    room.page.composer.set_draft("What does it cost?")
    _drop(room, tmp_path / "lease.pdf")
    room.until(lambda: _chips(room))
    (chip,) = _chips(room)
    assert chip.item is not None
    assert chip.item.conversation_id == room.page.current.id  # type: ignore[union-attr]
    assert room.page.composer.draft == "What does it cost?"
    room.page.composer.send()
    room.until(lambda: ("send", chip.item.conversation_id, "What does it cost?") in room.chat.calls)  # type: ignore[union-attr]


def test_two_drops_at_once_begin_one_conversation(room: Room, tmp_path: Path) -> None:
    _drop(room, tmp_path / "a.pdf")
    _drop(room, tmp_path / "b.pdf")
    room.until(lambda: len(_chips(room)) == 2)
    assert len(room.chat.items) == 1


def test_a_document_that_was_taken_off_can_be_put_back(lease: Room, tmp_path: Path) -> None:
    lease.page.open_conversation("c")
    _drop(lease, tmp_path / "lease.pdf")
    lease.until(lambda: _chips(lease))
    _chips(lease)[0].remove.click()
    lease.until(lambda: not _chips(lease))
    assert lease.page.composer.papers.isHidden()
    action = lease.told.notices[-1][3]
    assert action is not None
    action.run()
    lease.until(lambda: [chip.item.name for chip in _chips(lease) if chip.item] == ["lease.pdf"])


def test_each_conversation_shows_its_own_documents(lease: Room, tmp_path: Path) -> None:
    lease.page.open_conversation("c")
    _drop(lease, tmp_path / "lease.pdf")
    lease.until(lambda: _chips(lease))
    lease.page.new_conversation()
    assert not _chips(lease)
    lease.page.open_conversation("c")
    lease.until(lambda: _chips(lease))


def test_a_password_is_asked_for_in_the_chip(lease: Room, tmp_path: Path) -> None:
    lease.page.open_conversation("c")
    _drop(lease, tmp_path / "payroll.pdf")
    lease.until(lambda: _chips(lease))
    (chip,) = _chips(lease)
    documents = _documents(lease)
    assert chip.item is not None
    locked = replace(chip.item, state=AttachmentState.NEEDS_PASSWORD, sentence="It needs a password.")
    documents.attached[locked.id] = locked
    lease.page._desk.services.bus.publish(AttachmentChanged(locked))
    lease.until(lambda: not chip.password.isHidden())
    QTest.keyClicks(chip.password, "tangerine")
    QTest.keyClick(chip.password, Qt.Key.Key_Return)
    lease.until(lambda: chip.password.isHidden())
    assert chip.item.state is AttachmentState.READY


def test_a_failed_document_says_why_and_is_never_folded_away(lease: Room) -> None:
    bar = lease.page.composer.papers
    items = [
        AttachedDocument(f"x{n}", "c", Path(f"/papers/{n}.pdf"), AttachmentState.READY, f"d{n}", 2, 900, True)
        for n in range(12)
    ]
    bar.show_all(items)
    failed = replace(items[11], state=AttachmentState.FAILED, sentence="The PDF ends in the middle.")
    bar.put(failed)
    chip = bar.chips["x11"]
    assert not chip.isHidden()
    assert chip.told.text() == "The PDF ends in the middle."
    assert bar.more.text() == "5 more"
    bar.more.click()
    assert not any(chip.isHidden() for chip in bar.chips.values())


def test_a_label_chosen_on_a_chip_is_the_documents(lease: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    labels: list[tuple[str, Label]] = []

    async def set_label(document_id: str, tag: Label) -> None:
        labels.append((document_id, tag))

    monkeypatch.setattr(_documents(lease), "set_document_label", set_label)
    lease.page.open_conversation("c")
    bar = lease.page.composer.papers
    lease.until(lambda: lease.bridge.idle)
    bar.put(AttachedDocument("x", "c", Path("/papers/lease.pdf"), AttachmentState.READY, "d1", 2, 900, True))
    bar.chips["x"].label_chosen.emit("x", Label.RESTRICTED)
    lease.until(lambda: labels == [("d1", Label.RESTRICTED)])


def test_sources_stand_under_the_answer_and_open_their_place(
    lease: Room, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cited = (
        Citation(1, "d1", "lease.pdf", 3, 10, 40, "from 1 March on", (BOX,)),
        Citation(2, "d1", "lease.pdf", 2, 50, 90, "The tenant pays for the heating.", (BOX,)),
    )
    asked: list[str] = []

    async def citations(message_id: str) -> tuple[Citation, ...]:
        asked.append(message_id)
        return cited

    places: list[DocumentPlace] = []
    monkeypatch.setattr(_documents(lease), "citations", citations)
    page = lease.page
    monkeypatch.setattr(page.papers, "_desk", replace(page._desk, open_place=places.append))
    page.open_conversation("c")
    lease.until(lambda: asked)
    view = page.transcript.jump_to("m2")
    assert view is not None
    lease.until(lambda: view._sources is not None)
    lease.settle()
    assert asked == ["m2"]
    assert view._sources is not None
    first = view._sources._buttons[0]
    assert (first.text(), first.accessibleName()) == ("1 · lease.pdf, p. 3", "Source 1: lease.pdf, page 3")
    assert view._sources.geometry().bottom() < view.tall
    first.click()
    view.body.link_clicked.emit(f"{CITED}2")
    assert places == [DocumentPlace("d1", 3, (BOX,)), DocumentPlace("d1", 2, (BOX,))]
    (block,) = view.body._blocks
    assert [block.text[start:end] for start, end, _ in block.cites] == ["2", "1", "2"]


def test_an_answer_whose_sources_cannot_be_found_stands_alone(lease: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    async def citations(message_id: str) -> tuple[Citation, ...]:
        asked.append(message_id)
        raise GatehouseError("no_such_document", "This document is gone.")

    monkeypatch.setattr(_documents(lease), "citations", citations)
    lease.page.open_conversation("c")
    lease.until(lambda: asked and lease.bridge.idle)
    view = lease.page.transcript.jump_to("m2")
    assert view is not None
    assert view._sources is None
    assert lease.told.sentences == []
