"""The Documents page with doubles: going through a file by keyboard, boxes, drops, the table, schemas."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDragLeaveEvent, QDropEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLabel, QLineEdit, QPushButton
from pytestqt.qtbot import QtBot

from app.documents.batch_records import BatchState, FileState
from app.documents.review_records import ExportFormat, ReviewAction
from app.extraction.schema import Schema
from app.lanes import CoreThread
from tests.ui.conftest import Told
from ui.bridge import Bridge
from ui.desk import Desk
from ui.icons import Icons
from ui.models import schema_fields as columns
from ui.pages.documents.new_batch import likely_schema
from ui.pages.documents.page import DocumentsPage
from ui.pages.documents.queue_menus import batch_menu
from ui.screenshots import sample_documents
from ui.screenshots.double import sample_house
from ui.screenshots.double_documents import SampleDocuments, SampleShelf
from ui.theme import ThemeStore


@dataclass
class Papers:
    """The page, its doubles, and what was told."""

    page: DocumentsPage
    documents: SampleDocuments
    told: Told
    bridge: Bridge
    qtbot: QtBot

    def settle(self) -> None:
        self.qtbot.waitUntil(lambda: self.bridge.idle)

    def open(self, file_id: str) -> None:
        self.page.queue.choose_file(file_id)
        self.settle()

    def press(self, key: Qt.Key) -> None:
        QTest.keyClick(self.page.review.values, key)
        self.settle()

    @property
    def current(self) -> str:
        value = self.page.review.values.current
        return value.name if value is not None else ""

    def decided(self, name: str) -> ReviewAction | None:
        values = {value.name: value for value in self.documents.results["f3"].values}
        review = values[name].review
        return review.action if review is not None else None


def make(qtbot: QtBot, themes: ThemeStore, core: CoreThread, folder: Path, shelf: SampleShelf | None) -> Papers:
    house = sample_house(folder / "settings.json", shelf=shelf)
    bridge, told = Bridge(core, house.services.bus), Told()
    page = DocumentsPage(Desk(house.services, bridge, themes, Icons(themes), told, folder, lambda _key: None))
    qtbot.addWidget(page)
    page.resize(1208, 768)
    page.show()
    page.enter()
    papers = Papers(page, house.documents, told, bridge, qtbot)
    papers.settle()
    return papers


@pytest.fixture
def papers(qtbot: QtBot, qapp: QApplication, themes: ThemeStore, core: CoreThread, tmp_path: Path) -> Iterator[Papers]:
    made = make(qtbot, themes, core, tmp_path, sample_documents.shelf())
    made.open("f3")
    yield made
    made.bridge.close()


# Going through a file.


def test_the_value_most_in_doubt_comes_first_and_its_place_is_shown(papers: Papers) -> None:
    review = papers.page.review
    assert papers.current == "total"
    assert [review.values.values.value(row).name for row in range(4)] == [  # type: ignore[union-attr]
        "total",
        "vat",
        "lines[1].what",
        "issued",
    ]
    assert review.progress.text() == "4 of 14 values need a look"
    assert "684,50 €" in review.evidence.proof.text()
    assert review.sheet.page == 1


def test_a_whole_file_is_decided_about_by_single_keys(papers: Papers) -> None:
    done: list[str] = []
    papers.page.review.file_done.connect(done.append)
    papers.press(Qt.Key.Key_A)
    assert papers.current == "vat"
    papers.press(Qt.Key.Key_C)
    editor = papers.page.review.values.findChild(QLineEdit)
    assert editor is not None
    editor.setText("130.06")
    QTest.keyClick(editor, Qt.Key.Key_Return)
    papers.qtbot.waitUntil(lambda: papers.decided("vat") is not None)
    papers.settle()
    assert papers.current == "lines[1].what"
    papers.press(Qt.Key.Key_X)
    assert papers.current == "issued"
    papers.press(Qt.Key.Key_Return)
    decisions = [papers.decided(name) for name in ("total", "vat", "lines[1].what", "issued")]
    accepted = ReviewAction.ACCEPTED
    assert decisions == [accepted, ReviewAction.CORRECTED, ReviewAction.ABSENT, accepted]
    assert papers.page.review.file is not None
    assert papers.page.review.file.id == "f4", "the next file with something to check"
    assert done == ["f3"]


def test_a_decision_is_taken_back(papers: Papers) -> None:
    papers.press(Qt.Key.Key_A)
    assert papers.decided("total") is ReviewAction.ACCEPTED
    papers.press(Qt.Key.Key_U)
    assert papers.decided("total") is None
    assert papers.current == "total"
    assert papers.page.review.progress.text() == "4 of 14 values need a look"


def test_keys_move_and_letters_do_not_search(papers: Papers) -> None:
    papers.press(Qt.Key.Key_J)
    papers.press(Qt.Key.Key_J)
    assert papers.current == "lines[1].what"
    papers.press(Qt.Key.Key_K)
    assert papers.current == "vat"
    papers.press(Qt.Key.Key_N)
    assert papers.current == "lines[1].what"


def test_an_alternative_is_taken_by_its_button(papers: Papers) -> None:
    button = papers.page.review.evidence.alternatives[0]
    assert button.text() == "814.56"
    button.click()
    papers.settle()
    assert papers.decided("total") is ReviewAction.CORRECTED


def test_a_box_drawn_on_the_page_becomes_the_value(papers: Papers) -> None:
    sheet = papers.page.review.sheet
    papers.press(Qt.Key.Key_B)
    assert sheet.view.drawing
    drawn: list[tuple[int, object]] = []
    sheet.box_drawn.connect(lambda page, box: drawn.append((page, box)))
    view = sheet.view.viewport()
    box = next(value for value in papers.documents.results["f3"].values if value.name == "number").places[0].box
    assert box is not None
    wanted = sheet.view.box_in_view(box).adjusted(-6, -6, 6, 6).toRect()
    start, end = wanted.topLeft(), wanted.bottomRight()
    QTest.mousePress(view, Qt.MouseButton.LeftButton, pos=start)
    QTest.mouseMove(view, end)
    QTest.mouseRelease(view, Qt.MouseButton.LeftButton, pos=end)
    papers.settle()
    assert not bool(sheet.view.drawing)
    ((page, found),) = drawn
    place = sheet.view.box_in_view(found).center()  # type: ignore[arg-type]
    assert page == 1
    assert (place - wanted.center()).manhattanLength() < 4
    assert papers.decided("total") is ReviewAction.TAKEN
    assert {value.name: value.shown for value in papers.documents.results["f3"].values}["total"] == "R-2025-0418"


def test_a_click_on_a_box_means_its_value(papers: Papers) -> None:
    sheet, values = papers.page.review.sheet, papers.page.review.values
    values.choose("number")
    mark = papers.documents.results["f3"].values[0].places[0].box
    assert mark is not None
    place = sheet.view.box_in_view(mark).center().toPoint()
    QTest.mouseClick(sheet.view.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert papers.current == "seller"


def test_the_order_can_be_that_of_the_document(papers: Papers) -> None:
    papers.page.review.order.choose("document")
    papers.page.review.order.chosen.emit("document")
    assert papers.page.review.values.values.value(0).name == "seller"  # type: ignore[union-attr]
    assert papers.current == "total"


# The queue.


def test_files_that_failed_say_why_and_locked_ones_take_a_password(papers: Papers) -> None:
    papers.open("f6")
    shown = papers.page.review.nothing.findChildren(QLabel)
    assert {"contract-old.pdf", "The PDF ends in the middle."} <= {words.text() for words in shown}
    again = next(b for b in papers.page.review.nothing.findChildren(QPushButton) if b.isVisible())
    assert again.text() == "Try again"
    again.click()
    papers.settle()
    assert papers.documents.of_files["f6"].state is FileState.WAITING
    papers.open("f7")
    field = papers.page.review.password
    assert field.isVisible()
    field.setText("secret")
    QTest.keyClick(field, Qt.Key.Key_Return)
    papers.settle()
    assert papers.documents.of_files["f7"].state is FileState.WAITING
    assert field.text() == ""


def test_a_batch_is_paused_and_goes_on(papers: Papers) -> None:
    assert papers.page.queue.act.text() == "Pause"
    papers.page.queue.act.click()
    papers.settle()
    assert papers.documents.items["b1"].state is BatchState.PAUSED
    assert papers.page.queue.act.text() == "Resume"


def test_a_watched_folder_is_told_and_watching_ends_by_its_button(papers: Papers) -> None:
    queue, documents = papers.page.queue, papers.documents
    (batch,) = [batch for batch in documents.items.values() if batch.watched]
    queue.choose_batch(batch.id)
    papers.settle()
    (stop,) = queue.watched.buttons
    assert stop.isVisible()
    documents.become(replace(documents.items[batch.id], watch_fault="/in is not there at the moment."))
    papers.settle()
    assert queue.watched.told.text() == "/in is not there at the moment."
    stop.click()
    papers.settle()
    assert documents.items[batch.id].watched == ()
    assert queue.watched.isHidden()
    menu = batch_menu(queue, documents.items[batch.id], True, documents, queue._desk.icons, queue._ask)
    words = [action.text() for action in menu.actions()]
    assert "Watch a folder…" in words
    assert not any(said.startswith("Stop watching") for said in words)


def test_dragged_files_are_welcomed_and_asked_about(papers: Papers, tmp_path: Path) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(tmp_path))])
    page, middle, copy = papers.page, QPoint(400, 300), Qt.DropAction.CopyAction
    left, keys = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    page.dragEnterEvent(QDragEnterEvent(middle, copy, data, left, keys))
    assert page.veil.isVisible()
    assert page.veil.size() == page.size()
    page.dragLeaveEvent(QDragLeaveEvent())
    assert page.veil.isHidden()
    page.dragEnterEvent(QDragEnterEvent(middle, copy, data, left, keys))
    page.dropEvent(QDropEvent(QPointF(middle), copy, data, left, keys))
    papers.settle()
    assert page.veil.isHidden()
    assert page.sheet.isVisible()


def test_the_schema_that_files_are_called_after_is_offered_first() -> None:
    schemas = [Schema(name, title, "", ()) for name, title in (("cv", "CV"), ("invoice", "Invoice"), ("nda", "NDA"))]
    assert likely_schema([Path("/in/Invoices 2026")], schemas, "nda") == 1
    assert likely_schema([Path("/in/1.pdf"), Path("/in/2.pdf")], schemas, "nda") == 2
    assert likely_schema([Path("/cvsroot/1.pdf")], schemas, "nda") == 2
    assert likely_schema([Path("/in/1.pdf")], schemas, "") == 0


def test_a_file_that_gets_done_is_shown(papers: Papers) -> None:
    papers.open("f5")
    assert papers.page.review.nothing.sentence == "The model looks for the values of Hosting April.eml."
    file = papers.documents.of_files["f5"]
    papers.documents.results["f5"] = replace(papers.documents.results["f3"], file=file)
    papers.documents.become_file(replace(file, state=FileState.DONE))
    papers.settle()
    assert papers.page.review.result is not None


def test_the_next_file_to_check_comes_after_the_last_decision(papers: Papers) -> None:
    papers.page.review.accept_rest()
    papers.settle()
    assert papers.page.queue.file is not None
    assert papers.page.queue.file.id == "f4"


# Beginning.


def test_an_empty_page_says_what_to_do(qtbot: QtBot, themes: ThemeStore, core: CoreThread, tmp_path: Path) -> None:
    papers = make(qtbot, themes, core, tmp_path, SampleShelf(schemas=(sample_documents.INVOICE,)))
    assert papers.page.nothing.sentence == "Drop documents here, or a folder of them."
    urls = QMimeData()
    urls.setUrls([QUrl.fromLocalFile(str(tmp_path))])
    drop = QDropEvent(
        QPointF(10, 10),
        Qt.DropAction.CopyAction,
        urls,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    papers.page.dropEvent(drop)
    papers.settle()
    sheet = papers.page.sheet
    assert sheet.isVisible()
    sheet.watch.setChecked(True)
    QTest.keyClick(sheet.schema, Qt.Key.Key_Return)
    papers.settle()
    (batch,) = papers.documents.items.values()
    assert batch.schema_name == "invoice"
    assert batch.watched == (tmp_path,)
    assert papers.page.queue.batch is not None
    papers.bridge.close()


# The table, schemas, export.


def test_a_cell_of_the_table_opens_its_evidence(papers: Papers) -> None:
    papers.page.go("table")
    papers.settle()
    results = papers.page.results
    papers.qtbot.waitUntil(lambda: results.model.index(2, 1).data() == "Nordlicht Druckerei GmbH")
    papers.settle()
    head = [results.model.headerData(place, Qt.Orientation.Horizontal) for place in range(results.model.columnCount())]
    assert results.model.index(2, head.index("Line")).data() == "3 rows"
    results.view.activated.emit(results.model.index(2, head.index("Line")))
    papers.settle()
    assert papers.page.review.isVisible()
    assert papers.current == "lines[1].what"


def test_a_field_is_added_changed_and_taken_back(papers: Papers) -> None:
    papers.page.go("schemas")
    papers.settle()
    editor = papers.page.schemas
    editor.fields.setCurrentIndex(editor.model.index(0, columns.NAME))
    editor.add_field()
    model = editor.model
    assert model.index(1, columns.NAME).data() == "field"
    assert model.setData(model.index(1, columns.NAME), "order_number")
    assert model.setData(model.index(1, columns.TYPE), "choice")
    assert model.index(1, columns.CHOICES).data() == "yes, no"
    editor.keep()
    papers.settle()
    kept = papers.documents.kinds["invoice"]
    assert [field.name for field in kept.fields][:2] == ["seller", "order_number"]
    editor.fields.setCurrentIndex(model.index(1, columns.NAME))
    editor.remove_field()
    assert model.index(1, columns.NAME).data() == "number"
    model.undo()
    assert model.index(1, columns.NAME).data() == "order_number"


def test_an_export_tells_where_it_is(papers: Papers, tmp_path: Path) -> None:
    batch = papers.page.queue.batch
    assert batch is not None
    papers.page.export(batch, tmp_path / "invoices.csv", ExportFormat.CSV)
    papers.settle()
    assert papers.documents.exported == [(("b1",), tmp_path / "invoices.csv", ExportFormat.CSV)]
    assert papers.told.sentences[-1].startswith("Wrote invoices.csv")


def test_everything_has_a_name_for_screen_readers(papers: Papers) -> None:
    page = papers.page
    named = (
        page,
        page.queue.batch_list,
        page.queue.file_list,
        page.review.values,
        page.review.sheet.view,
        page.results.view,
    )
    assert all(widget.accessibleName() for widget in named)
    index = page.review.values.currentIndex()
    assert index.data(Qt.ItemDataRole.AccessibleTextRole) == "Total, 684.50, 48%, needs a look"


def test_rules_are_written_as_lines_and_a_wrong_one_changes_nothing(papers: Papers) -> None:
    papers.page.go("schemas")
    papers.settle()
    editor = papers.page.schemas
    rules = editor.rules
    assert [line.text() for line in rules.lines] == ["lines.amount + vat = total", "issued ≤ due"]
    rules.lines[0].setText("lines.amount plus vat")
    rules.lines[0].editingFinished.emit()
    assert "is no rule" in rules.fault.text()
    assert not editor.save.isEnabled()
    rules.lines[0].setText("lines.amount = total ± 1")
    rules.lines[0].editingFinished.emit()
    assert editor.model.schema is not None
    assert [(rule.parts, rule.tolerance) for rule in editor.model.schema.rules] == [
        (("lines.amount",), "1"),
        (("issued", "due"), "0.05"),
    ]
    editor.model.undo()
    assert [line.text() for line in rules.lines] == ["lines.amount + vat = total", "issued ≤ due"]
