"""A document by itself on the Documents page: at a cited place, with its label, without its picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from app.documents.faults import DocumentError
from app.documents.records import Box
from app.gate.label import Label
from app.lanes import CoreThread
from tests.ui.conftest import Told
from ui.bridge import Bridge
from ui.desk import Desk, DocumentPlace
from ui.icons import Icons
from ui.pages.documents.page import DocumentsPage
from ui.screenshots import sample_documents
from ui.screenshots.double import sample_house
from ui.screenshots.double_documents import SampleDocuments
from ui.theme import ThemeStore

BOX = Box(420, 455, 540, 468)


@dataclass
class Reading:
    page: DocumentsPage
    documents: SampleDocuments
    gone: list[str]
    bridge: Bridge
    qtbot: QtBot

    def settle(self) -> None:
        self.qtbot.waitUntil(lambda: self.bridge.idle)

    def open(self, place: DocumentPlace) -> None:
        self.page.open_place(place, "chat")
        self.settle()

    @property
    def drawn(self) -> bool:
        return not self.page.reader.sheet.view._picture.isNull()


@pytest.fixture
def reading(qtbot: QtBot, themes: ThemeStore, core: CoreThread, tmp_path: Path) -> Iterator[Reading]:
    house = sample_house(tmp_path / "settings.json", shelf=sample_documents.shelf())
    bridge = Bridge(core, house.services.bus)
    gone: list[str] = []
    desk = Desk(house.services, bridge, themes, Icons(themes), Told(), tmp_path, gone.append)
    page = DocumentsPage(desk)
    qtbot.addWidget(page)
    page.resize(1208, 768)
    page.show()
    page.enter()
    made = Reading(page, house.documents, gone, bridge, qtbot)
    made.settle()
    yield made
    bridge.close()


def test_a_cited_place_is_shown_and_escape_leads_back_to_the_chat(reading: Reading) -> None:
    reading.open(DocumentPlace("d3", 2, (BOX,)))
    reader = reading.page.reader
    assert reading.page.pile.currentWidget() is reader
    assert reader.name.text() == "Nordlicht R-2025-0418.pdf"
    assert reader.sheet.page == 2
    assert [mark.box for mark in reader.sheet.view._marks] == [BOX]
    reading.page.enter()  # coming back to the page leaves the document where it is
    reading.settle()
    assert reading.page.pile.currentWidget() is reader
    QTest.keyClick(reader.sheet.view, Qt.Key.Key_PageUp)
    assert reader.sheet.page == 1
    assert reader.sheet.view._marks == ()
    QTest.keyClick(reader.sheet.view, Qt.Key.Key_Escape)
    assert reading.gone == ["chat"]
    assert reading.page.pile.currentWidget() is reading.page.review


def test_a_click_in_the_queue_leaves_the_document(reading: Reading) -> None:
    reading.open(DocumentPlace("d3"))
    files = reading.page.queue.file_list
    place = files.visualRect(files.model().index(3, 0)).center()
    QTest.mouseClick(files.viewport(), Qt.MouseButton.LeftButton, pos=place)
    reading.settle()
    assert reading.page.pile.currentWidget() is reading.page.review


def test_its_label_is_shown_and_changed(reading: Reading) -> None:
    reading.open(DocumentPlace("d3"))
    tag = reading.page.reader.tag
    assert tag.text() == "Internal"
    tag.choose(Label.RESTRICTED)
    reading.settle()
    assert tag.text() == "Restricted"
    assert reading.documents.results["f3"].document.label is Label.RESTRICTED


def test_without_its_file_the_words_are_drawn_and_it_is_said(reading: Reading, monkeypatch: pytest.MonkeyPatch) -> None:
    async def missing(document_id: str, page: int, width_px: int) -> bytes:
        raise DocumentError("file_missing", "scan.pdf is not there any more.", "Add it again.")

    monkeypatch.setattr(reading.documents, "page_picture", missing)
    reading.open(DocumentPlace("d3", 1, (BOX,)))
    sheet = reading.page.reader.sheet
    assert sheet.hint.text() == "scan.pdf is not there any more. Add it again."
    assert sheet.password.isHidden()
    view = sheet.view
    assert ("R-2025-0418") in [text for text, _ in view._words]
    paper = view.viewport().grab().toImage()
    dark = sum(
        paper.pixelColor(x, y).lightness() < 80 for x in range(0, paper.width(), 2) for y in range(0, paper.height(), 2)
    )
    assert dark > 200


def test_a_locked_document_is_unlocked_in_place(reading: Reading, monkeypatch: pytest.MonkeyPatch) -> None:
    png = reading.documents.shelf.pictures["d3", 1]
    tried: list[str] = []

    async def picture(document_id: str, page: int, width_px: int) -> bytes:
        if tried[-1:] != ["right"]:
            raise DocumentError("password_needed", "The file is encrypted.", "Enter its password.")
        return png

    async def unlock(document_id: str, password: str) -> None:
        tried.append(password)
        if password != "right":
            raise DocumentError("wrong_password", "The password does not open this file.", "Enter it again.")

    monkeypatch.setattr(reading.documents, "page_picture", picture)
    monkeypatch.setattr(reading.documents, "unlock_document", unlock)
    reading.open(DocumentPlace("d3"))
    sheet = reading.page.reader.sheet
    assert not sheet.password.isHidden()
    for words, hint in (("wrong", "The password does not open this file. Enter it again."), ("right", "")):
        QTest.keyClicks(sheet.password, words)
        QTest.keyClick(sheet.password, Qt.Key.Key_Return)
        reading.settle()
        assert sheet.hint.text() == hint
    assert sheet.password.isHidden()
    reading.qtbot.waitUntil(lambda: reading.drawn)
