"""A folder of mixed files in the real window: dropped, read, reviewed by keyboard, exported, every cell with its place.

The whole product behind it: readers in their sandbox, the starter model in its worker, the store on disk.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from docx import Document as Docx
from PySide6.QtCore import QLocale, QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLabel, QLineEdit
from pytestqt.qtbot import QtBot

from app.bootstrap import Product, build
from app.documents.batch_records import BatchFile, BatchState, FileState
from app.documents.review_records import AttachmentState, ExportFormat
from app.extraction.schema import Field, FieldType, Schema
from app.paths import resolve
from tests.app.documents.made_files import PdfPage, pdf
from ui.bridge import Bridge
from ui.desk import Desk
from ui.icons import Icons
from ui.pages.chat import ChatPage
from ui.pages.documents.page import DocumentsPage
from ui.shell import page_specs
from ui.theme import ThemeStore
from ui.window import Window

STARTER = Path(sys.prefix) / "share" / "gatehouse" / "models" / "SmolLM2-135M-Instruct-Q4_1.gguf"
PATIENCE_MS = 120_000
SLIP = Schema(
    "slip",
    "Slip",
    "A till's slip",
    (
        Field("shop", FieldType.TEXT, "Who sold it", required=True),
        Field("total", FieldType.AMOUNT, "What was to be paid", required=True),
    ),
)

pytestmark = [
    pytest.mark.native,
    pytest.mark.slow,
    pytest.mark.skipif(not STARTER.exists(), reason="the starter model comes with the set-up"),
]


@dataclass
class Rooms:
    """The window with the product behind it."""

    product: Product
    window: Window
    bridge: Bridge
    qtbot: QtBot

    def documents(self) -> DocumentsPage:
        page = self.window.page("documents")
        assert isinstance(page, DocumentsPage)
        return page

    def settle(self) -> None:
        self.qtbot.waitUntil(lambda: self.bridge.idle, timeout=PATIENCE_MS)

    def file(self, name: str) -> BatchFile:
        return next(file for file in self.documents().queue.files.records if file.name == name)

    def open(self, name: str) -> None:
        self.documents().queue.choose_file(self.file(name).id)
        self.settle()

    def until_state(self, name: str, state: FileState) -> None:
        self.qtbot.waitUntil(lambda: self.file(name).state is state, timeout=PATIENCE_MS)
        self.settle()


@pytest.fixture
def rooms(qtbot: QtBot, qapp: QApplication, tmp_path: Path) -> Iterator[Rooms]:
    QLocale.setDefault(QLocale(QLocale.Language.English, QLocale.Country.UnitedStates))
    themes = ThemeStore(qapp, "light", shipped_fonts=True)
    product = build(resolve(tmp_path / "data"), exclusive=True)
    product.services.settings.update(max_tokens=16, n_ctx=2048, temperature=0.0)
    product.run(product.services.documents.save_schema(SLIP))
    product.begin()
    window = Window(page_specs(lambda: None), themes, Icons(themes))
    qtbot.addWidget(window)
    bridge = Bridge(product.core, product.services.bus, window)
    window.resize(1280, 800)
    window.show()
    window.go("documents")
    services, icons = product.services, Icons(themes)
    window.mount(Desk(services, bridge, themes, icons, window.notices, tmp_path, window.go, window.open_place))
    yield Rooms(product, window, bridge, qtbot)
    bridge.close()
    product.close()
    themes.deleteLater()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A PDF, the same one locked and cut short, a word processor's file, and plain text under a wrong name."""
    made = tmp_path / "Slips"
    made.mkdir()
    page = PdfPage(text=[(60, 80, 18, "Corner Shop"), (60, 140, 12, "Tea 4.50"), (60, 170, 12, "Total 12.50")])
    (made / "corner.pdf").write_bytes(pdf(page))
    (made / "cut.pdf").write_bytes(pdf(page)[:300])
    (made / "locked.pdf").write_bytes(pdf(page, password="tangerine"))
    docx = Docx()
    docx.add_paragraph("Book Cellar")
    docx.add_paragraph("Total 31.90")
    docx.save(str(made / "cellar.docx"))
    (made / "kiosk.jpg").write_text("Kiosk at the Park\nTotal 3.20\n")
    return made


def test_a_dropped_folder_becomes_a_table_whose_cells_open_their_evidence(rooms: Rooms, folder: Path) -> None:
    page = rooms.documents()
    _drop_and_start(rooms, folder)
    batch = page.queue.batch
    assert batch is not None
    rooms.qtbot.waitUntil(lambda: _state(page) is BatchState.DONE, timeout=PATIENCE_MS)
    states = {file.name: file.state for file in page.queue.files.records}
    done = FileState.DONE
    assert states["cut.pdf"] is FileState.FAILED
    assert states["locked.pdf"] is FileState.NEEDS_PASSWORD
    assert {states[name] for name in ("corner.pdf", "cellar.docx", "kiosk.jpg")} == {done}

    rooms.open("cut.pdf")
    assert page.review.nothing.sentence == "cut.pdf"
    told = [words.text() for words in page.review.nothing.findChildren(QLabel) if words.isVisible()]
    assert any("damaged or cut short" in words for words in told)

    rooms.open("locked.pdf")
    QTest.keyClicks(page.review.password, "tangerine")
    QTest.keyClick(page.review.password, Qt.Key.Key_Return)
    rooms.until_state("locked.pdf", done)

    _review_by_keyboard(rooms, "corner.pdf", {"shop": "Corner Shop", "total": "12.50"})
    out = folder.parent / "slips.csv"
    page.export(batch, out, ExportFormat.CSV)
    rooms.qtbot.waitUntil(out.exists, timeout=PATIENCE_MS)
    rooms.settle()
    with out.open(encoding="utf-8-sig", newline="") as file:
        rows = {Path(row["file"]).name: row for row in csv.DictReader(file)}
    assert {"corner.pdf", "cellar.docx", "kiosk.jpg", "locked.pdf"} <= set(rows)
    assert (rows["corner.pdf"]["shop"], rows["corner.pdf"]["total"]) == ("Corner Shop", "12.50")

    _open_a_cell(rooms, "corner.pdf", "total")
    marks = [mark for mark in page.review.sheet.view._marks if mark.name == "total"]
    assert [(round(mark.box.y0) < 170 < round(mark.box.y1) + 2, mark.box.x0 > 85) for mark in marks] == [(True, True)]


def test_an_attached_document_is_read_and_opens_from_its_chip(rooms: Rooms, folder: Path) -> None:
    rooms.window.go("chat")
    chat = rooms.window.page("chat")
    assert isinstance(chat, ChatPage)
    chat.papers.attach([folder / "corner.pdf", folder / "cut.pdf"])
    chips = chat.composer.papers.chips
    ended = (AttachmentState.READY, AttachmentState.FAILED)
    rooms.qtbot.waitUntil(
        lambda: len(chips) == 2 and all(chip.item is not None and chip.item.state in ended for chip in chips.values()),
        timeout=PATIENCE_MS,
    )
    read, failed = chips.values()
    assert "damaged or cut short" in failed.told.toolTip()
    failed.remove.click()
    rooms.qtbot.waitUntil(lambda: len(chips) == 1)
    read.name.click()
    reader = rooms.documents().reader
    rooms.qtbot.waitUntil(lambda: not reader.sheet.view._picture.isNull(), timeout=PATIENCE_MS)
    assert (rooms.window.current, reader.name.text()) == ("documents", "corner.pdf")
    QTest.keyClick(reader.sheet.view, Qt.Key.Key_Escape)
    assert rooms.window.current == "chat"
    rooms.settle()


def _drop_and_start(rooms: Rooms, folder: Path) -> None:
    page = rooms.documents()
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(folder))])
    left, none = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    copy = Qt.DropAction.CopyAction
    QApplication.sendEvent(page, QDragEnterEvent(QPoint(600, 300), copy, mime, left, none))
    QApplication.sendEvent(page, QDropEvent(QPointF(600, 300), copy, mime, left, none))
    rooms.qtbot.waitUntil(page.sheet.isVisible)
    rooms.settle()
    assert page.sheet.schema.currentData() == rooms.product.run(rooms.product.services.documents.schemas())[0]
    QTest.keyClick(page.sheet, Qt.Key.Key_Return)
    rooms.settle()
    rooms.qtbot.waitUntil(lambda: page.queue.batch is not None and len(page.queue.files.records) == 5)


def _state(page: DocumentsPage) -> BatchState | None:
    batch = page.queue.batch
    return batch.state if batch is not None else None


def _review_by_keyboard(rooms: Rooms, name: str, right: dict[str, str]) -> None:
    """Accept with A what the small model got right, correct the rest with C."""
    rooms.open(name)
    file_id, decided = rooms.file(name).id, set[tuple[str, str]]()
    rooms.bridge.value_changed.connect(lambda event: decided.add((event.file_id, event.value.name)))
    review = rooms.documents().review
    rooms.qtbot.waitUntil(lambda: review.result is not None, timeout=PATIENCE_MS)
    for field, text in right.items():
        review.values.choose(field)
        found = review.values.current
        assert found is not None
        if found.shown == text:
            QTest.keyClick(review.values, Qt.Key.Key_A)
        else:
            QTest.keyClick(review.values, Qt.Key.Key_C)
            editor = review.values.findChild(QLineEdit)
            assert editor is not None
            editor.setText(text)
            QTest.keyClick(editor, Qt.Key.Key_Return)
        rooms.qtbot.waitUntil(partial(decided.__contains__, (file_id, field)), timeout=20_000)
        rooms.settle()
        rooms.open(name)
    result = rooms.product.run(rooms.product.services.documents.result(rooms.file(name).id))
    assert {value.name: value.shown for value in result.values} == right
    assert not any(value.doubtful for value in result.values)


def _open_a_cell(rooms: Rooms, name: str, field: str) -> None:
    page = rooms.documents()
    page.go("table")
    results = page.results
    rooms.qtbot.waitUntil(lambda: results.model.rowCount() == 4, timeout=PATIENCE_MS)
    rooms.settle()
    columns, rows = range(results.model.columnCount()), range(results.model.rowCount())
    heads = [str(results.model.headerData(at, Qt.Orientation.Horizontal)).lower() for at in columns]
    names = [str(results.model.index(at, 0).data()) for at in rows]
    cell = results.model.index(names.index(name), heads.index(field))
    rooms.qtbot.waitUntil(lambda: bool(cell.data()), timeout=PATIENCE_MS)
    results.view.setCurrentIndex(cell)
    results.view.activated.emit(cell)
    rooms.settle()
    assert page.pile.currentWidget() is page.review
    assert page.review.values.current is not None
    assert page.review.values.current.name == field
