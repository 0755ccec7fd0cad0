"""The Documents page: drop files, watch them being read, go through what is doubtful, take the results away."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from PySide6.QtCore import Qt, QUrl
from PySide6.QtGui import QDesktopServices, QDragEnterEvent, QDragLeaveEvent, QDropEvent
from PySide6.QtWidgets import QFileDialog, QMenu, QStackedWidget, QVBoxLayout, QWidget

from app.documents.batch_records import Batch, BatchFile, NewBatch
from app.documents.review_records import Exported, ExportFormat
from app.extraction.schema import Schema
from engine.errors import GatehouseError
from ui import display
from ui.desk import Action, Command, Desk, DocumentPlace
from ui.pages.documents.drop_veil import DropVeil
from ui.pages.documents.new_batch import NewBatchSheet
from ui.pages.documents.queue import QueueView
from ui.pages.documents.reader import ReaderView
from ui.pages.documents.results import ResultsView
from ui.pages.documents.reviewer import ReviewView
from ui.pages.documents.schema_editor import SchemaEditor
from ui.theme import GRID, grown
from ui.widgets.choice_bar import ChoiceBar
from ui.widgets.kept_splitter import KeptSplitter
from ui.widgets.nothing import NothingView
from ui.widgets.parts import button, column, frame, label, row

_QUEUE_WIDTH: Final = 34 * GRID
_LEAST_QUEUE: Final = 26 * GRID
_REVIEW, _NOTHING, _SHEET, _TABLE, _READER = range(5)
"""What the pile shows."""


class DocumentsPage(QWidget):
    """Files and folders can be dropped anywhere on it."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.setObjectName("page")
        self.setAccessibleName(self.tr("Documents"))
        self.setAcceptDrops(True)
        self._desk, self._documents = desk, desk.services.documents
        self._last_schema = ""
        self.queue = QueueView(desk)
        self.review = ReviewView(desk)
        self.results = ResultsView(desk)
        self.reader = ReaderView(desk)
        self._came_from = ""
        self.schemas = SchemaEditor(desk)
        self.nothing = NothingView(desk.themes, desk.icons)
        self.sheet = NewBatchSheet(desk)
        self.sheet.started.connect(self.start)
        self.sheet.left.connect(self._leave_sheet)
        self.places = ChoiceBar(
            self.tr("What to see"),
            [("review", self.tr("Review")), ("table", self.tr("Table")), ("schemas", self.tr("Schemas"))],
        )
        self.places.chosen.connect(self.go)
        self.export_button = self._export_menu()
        self.add_button = self._add_menu()
        self._left = frame("side")
        self.whole = QStackedWidget()
        self.pile = QStackedWidget()
        self.pile.addWidget(self.review)
        self.pile.addWidget(self.nothing)
        self.pile.addWidget(self._sheet_page())
        self.pile.addWidget(self.results)
        self.pile.addWidget(self.reader)
        self._connect()
        self.setLayout(self._build())
        self.veil = DropVeil(desk.themes, self)
        self._show_batch(None)

    # the window's wishes

    def enter(self) -> None:
        self.queue.refresh()
        if self.pile.currentIndex() == _READER:
            self.reader.sheet.view.setFocus()
        elif self.review.result is not None:
            self.review.values.setFocus()
        elif self.queue.batch is None:
            self.nothing.take_focus()

    def commands(self) -> Sequence[Command]:
        section = self.tr("Documents")
        found = [
            Command("documents.files", self.tr("Read files…"), section, self.choose_files, "", "file-plus"),
            Command("documents.folder", self.tr("Read a folder…"), section, self.choose_folder, "", "folder-open"),
            Command(
                "documents.schemas", self.tr("Change schemas"), section, partial(self.go, "schemas"), "", "list-checks"
            ),
        ]
        if self.review.result is not None:
            review = self.review
            found += [
                Command(
                    "documents.rest", self.tr("Accept the rest of this file"), section, review.accept_rest, "", "check"
                ),
                Command("documents.undo", self.tr("Take the last decision back"), section, review.undo, "", "undo-2"),
                Command("documents.next", self.tr("Next file to check"), section, self.next_file, "", "chevron-right"),
            ]
        if self.queue.batch is not None:
            found += [
                Command(
                    f"documents.export.{to.value}",
                    self.tr("Export as %1…").replace("%1", _FORMATS[to]),
                    section,
                    partial(self.choose_export, to),
                    "",
                    "download",
                )
                for to in ExportFormat
            ]
        return found

    # actions

    def go(self, place: str) -> None:
        """``review``, ``table`` or ``schemas``."""
        self._leave_reader()
        self.places.choose(place)
        self.whole.setCurrentIndex(1 if place == "schemas" else 0)
        if place == "schemas":
            self.schemas.enter()
        else:
            self._show_batch(self.queue.batch)

    def open_place(self, place: DocumentPlace, back: str = "") -> None:
        """Show a document by itself, at a place; ``back`` is the page that asked."""
        self._came_from = back if back != "documents" else ""
        self.whole.setCurrentIndex(0)
        self.places.choose("review")
        self.pile.setCurrentIndex(_READER)
        self.reader.show_place(place, self.tr("Back to the chat") if self._came_from == "chat" else self.tr("Back"))

    def choose_files(self) -> None:
        """Ask for documents; the dialog does not block."""
        dialog = QFileDialog(self, self.tr("Documents to read"))
        dialog.setFileMode(QFileDialog.FileMode.ExistingFiles)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.filesSelected.connect(lambda names: self.offer([Path(name) for name in names]))
        dialog.open()

    def choose_folder(self) -> None:
        dialog = QFileDialog(self, self.tr("Folder to read"))
        dialog.setFileMode(QFileDialog.FileMode.Directory)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.fileSelected.connect(lambda name: self.offer([Path(name)]))
        dialog.open()

    def offer(self, paths: Sequence[Path]) -> None:
        """Ask what to do with these files."""

        def show(schemas: Sequence[Schema]) -> None:
            self.sheet.ask(paths, schemas, self._last_schema)
            self.pile.setCurrentIndex(_SHEET)

        self._desk.bridge.call(self._documents.schemas, show, owner=self)

    def start(self, new: NewBatch) -> None:
        """Begin a batch."""
        self._last_schema = new.schema_name
        self._leave_sheet()
        self._desk.bridge.call(
            lambda: self._documents.create(new), lambda batch: self.queue.refresh(batch.id), self._tell, owner=self
        )

    def next_file(self) -> None:
        """Go to the next file with something to check."""
        if not self.queue.choose_next():
            self._desk.notices.show("success", self.tr("Nothing is left to check in this batch."))

    def choose_export(self, to: ExportFormat) -> None:
        """Ask where the values of the chosen batch go."""
        batch = self.queue.batch
        if batch is None:
            return
        dialog = QFileDialog(self, self.tr("Export"), f"{batch.title}.{_SUFFIXES[to]}")
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.fileSelected.connect(lambda name: self.export(batch, Path(name), to))
        dialog.open()

    def export(self, batch: Batch, path: Path, to: ExportFormat) -> None:
        documents = self._documents
        self._desk.bridge.call(lambda: documents.export((batch.id,), path, to), self._exported, self._tell, owner=self)

    def export_marked(self) -> None:
        """Ask where the shown document goes, with its evidence drawn into it."""
        file = self.review.file
        if file is None:
            return
        dialog = QFileDialog(self, self.tr("Export with marks"), f"{file.path.stem} marked.pdf")
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        documents = self._documents

        def write(name: str) -> None:
            make = partial(documents.export_marked, file.id, Path(name))
            self._desk.bridge.call(make, self._exported, self._tell, owner=self)

        dialog.fileSelected.connect(write)
        dialog.open()

    # inside

    def _connect(self) -> None:
        self.queue.batch_chosen.connect(self._show_batch)
        self.queue.file_chosen.connect(self._show_file)
        self.queue.file_came_further.connect(self.review.follow)
        self.review.file_done.connect(lambda _file_id: self.next_file())
        self.results.opened.connect(self._open_cell)
        self.reader.left.connect(self._go_back)
        for clicked in (self.queue.batch_list.clicked, self.queue.file_list.clicked):
            clicked.connect(lambda _index: self.go(self.places.key))
        self.queue.files.modelReset.connect(self._fill_table)

    def _show_batch(self, batch: Batch | None) -> None:
        self.export_button.setEnabled(batch is not None)
        self._left.setVisible(batch is not None)
        if self.pile.currentIndex() in (_SHEET, _READER):
            return  # whoever is asked, or reads, is not interrupted by what the queue learns
        if batch is None:
            self.nothing.tell(
                "file-stack",
                self.tr("Drop documents here, or a folder of them."),
                self.tr(
                    "Invoices, receipts, contracts and the like are read on this machine. You get a table of the "
                    "values that you ask for, each with its place on the page."
                ),
                (self.tr("Choose files…"), self.choose_files),
            )
            self.pile.setCurrentIndex(_NOTHING)
        else:
            self.pile.setCurrentIndex(_TABLE if self.places.key == "table" else _REVIEW)
            self._fill_table()

    def _fill_table(self) -> None:
        batch = self.queue.batch
        if batch is not None and self.pile.currentIndex() == _TABLE:
            self.results.show_batch(batch, self.queue.files.records)

    def _open_cell(self, file: BatchFile, name: str) -> None:
        """A cell's evidence: its file and value in the review."""
        self.go("review")
        self.queue.choose_file(file.id)
        self.review.show_file(file, name)

    def _show_file(self, file: BatchFile | None) -> None:
        self.review.show_file(file)

    def _leave_reader(self) -> None:
        if self.pile.currentIndex() == _READER:
            self.pile.setCurrentIndex(_REVIEW)

    def _go_back(self) -> None:
        came_from, self._came_from = self._came_from, ""
        self.go("review")
        if came_from:
            self._desk.go(came_from)

    def _leave_sheet(self) -> None:
        self.pile.setCurrentIndex(_REVIEW)
        self._show_batch(self.queue.batch)

    def _exported(self, done: Exported) -> None:
        folder = QUrl.fromLocalFile(str(done.path.parent))
        show = Action(self.tr("Open the folder"), lambda: QDesktopServices.openUrl(folder))
        words = self.tr("Wrote %1: %2 files, %3.").replace("%1", done.path.name)
        words = words.replace("%2", display.integer(done.files)).replace("%3", display.byte_size(done.size_bytes))
        self._desk.notices.show("success", words, action=show)

    def _tell(self, error: GatehouseError) -> None:
        self._desk.notices.show("error", error.sentence, error.hint)

    # building

    def _build(self) -> QVBoxLayout:
        fonts = self._desk.themes.fonts
        head = row(
            label(self.tr("Documents"), fonts.headline),
            self.places,
            None,
            self.export_button,
            self.add_button,
            spacing=2 * GRID,
        )
        head.setContentsMargins(3 * GRID, 2 * GRID, 3 * GRID, 12)
        self._left.setLayout(column(self.queue, spacing=0))
        self._left.setMinimumWidth(grown(_LEAST_QUEUE))
        body = KeptSplitter(self._desk, "documents_list_px", grown(_QUEUE_WIDTH))
        body.addWidget(self._left)
        body.addWidget(self.pile)
        body.settle()
        self.whole.addWidget(body)
        self.whole.addWidget(self.schemas)
        made = column(head, frame("line"), self.whole, spacing=0)
        made.setStretch(2, 1)
        return made

    def _sheet_page(self) -> QWidget:
        made = QWidget()
        made.setLayout(column(None, row(None, self.sheet, None), None))
        return made

    def _add_menu(self) -> QWidget:
        return self._with_menu(
            self.tr("Add"),
            [
                ("file-plus", self.tr("Files…"), self.choose_files),
                ("folder-open", self.tr("A folder…"), self.choose_folder),
            ],
            "primary",
        )

    def _export_menu(self) -> QWidget:
        entries: list[tuple[str, str, Callable[[], object]]] = [
            ("download", _FORMATS[to], partial(self.choose_export, to)) for to in ExportFormat
        ]
        entries.append(("scan-text", self.tr("This document with its evidence marked (PDF)"), self.export_marked))
        return self._with_menu(self.tr("Export"), entries)

    def _with_menu(
        self, words: str, entries: Sequence[tuple[str, str, Callable[[], object]]], kind: str = ""
    ) -> QWidget:
        made = button(words, None, kind)
        menu = QMenu(made)
        for icon, text, run in entries:
            menu.addAction(self._desk.icons.icon(icon), text, run)
        made.setMenu(menu)
        return made

    # drops

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        paths = _dropped(event)
        if paths:
            event.acceptProposedAction()
            self.veil.cover(paths)

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        self.veil.hide()

    def dropEvent(self, event: QDropEvent) -> None:
        self.veil.hide()
        self.offer(_dropped(event))
        event.acceptProposedAction()


def _dropped(event: QDropEvent) -> list[Path]:
    return [Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()]


_FORMATS: Final = {
    ExportFormat.CSV: "CSV",
    ExportFormat.XLSX: "Excel (XLSX)",
    ExportFormat.JSONL: "JSON Lines",
    ExportFormat.SQLITE: "SQLite",
}
_SUFFIXES: Final = {
    ExportFormat.CSV: "csv",
    ExportFormat.XLSX: "xlsx",
    ExportFormat.JSONL: "jsonl",
    ExportFormat.SQLITE: "db",
}
