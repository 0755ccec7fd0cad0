"""The table of a batch: every cell opens its evidence, doubt is visible."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRect, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QPainter, QResizeEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
    QWidget,
)

from app.documents.batch_records import Batch, BatchFile
from app.documents.review_records import Result
from app.events import ValueChanged
from app.extraction.schema import Schema
from ui.desk import Desk
from ui.models.results import DOUBT, ResultsModel
from ui.theme import GRID, ThemeStore, grown
from ui.widgets.nothing import NothingView
from ui.widgets.parts import column

Index = QModelIndex | QPersistentModelIndex
_ROW: Final = 32
_FILE_WIDTH, _COLUMN_WIDTH, _MOST_WIDTH = 24 * GRID, 16 * GRID, 32 * GRID
_LOOK_MS: Final = 60


class ResultsView(QWidget):
    """Reads the rows that are in sight, and no others."""

    opened = Signal(object, str)
    """(``BatchFile``, the value's name): show the evidence of a cell."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk, self._documents = desk, desk.services.documents
        self._asked: set[str] = set()
        self.model = ResultsModel(self)
        self.view = QTableView()
        self.view.setAccessibleName(self.tr("Values of the batch"))
        self.view.setModel(self.model)
        self.view.setItemDelegate(_Cells(desk.themes, self))
        self.view.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectItems)
        self.view.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.view.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.view.setShowGrid(False)
        self.view.setProperty("kind", "plain")
        self.view.setSortingEnabled(True)
        self.view.horizontalHeader().setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
        self.view.horizontalHeader().setSortIndicatorClearable(True)
        self.view.setWordWrap(False)
        self.view.verticalHeader().hide()
        self.view.verticalHeader().setDefaultSectionSize(grown(_ROW))
        self.view.horizontalHeader().setHighlightSections(False)
        self.view.horizontalHeader().setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        self.view.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        self.view.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.view.activated.connect(self._open)
        self.view.doubleClicked.connect(self._open)
        self.nothing = NothingView(desk.themes, desk.icons)
        self.setLayout(column(self.view, self.nothing, spacing=0))
        self._look = QTimer(self, singleShot=True, interval=_LOOK_MS)
        self._look.timeout.connect(self._read)
        self._sort_again = QTimer(self, singleShot=True, interval=_LOOK_MS)
        self._sort_again.timeout.connect(self._sort)
        self.view.horizontalHeader().sortIndicatorChanged.connect(lambda *_: self._look.start())
        self.view.verticalScrollBar().valueChanged.connect(lambda _: self._look.start())
        desk.bridge.value_changed.connect(self._decided)

    def show_batch(self, batch: Batch, files: Sequence[BatchFile]) -> None:
        """Another batch, or more of its files are done."""

        def show(schemas: Sequence[Schema]) -> None:
            schema = next((schema for schema in schemas if schema.name == batch.schema_name), None)
            self._asked.clear()
            self.model.show_files(files, schema)
            empty = self.model.rowCount() == 0
            self.view.setVisible(not empty)
            if empty:
                self.nothing.tell(
                    "table-2",
                    self.tr("No file of this batch has values yet."),
                    self.tr("Each file's row appears here as soon as it is done."),
                )
            else:
                self.nothing.hide()
                self._size_columns()
            self._look.start()

        self._desk.bridge.call(self._documents.schemas, show, owner=self)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._look.start()

    def _sort(self) -> None:
        """All values are here: order them by the column that was asked for."""
        header = self.view.horizontalHeader()
        if header.sortIndicatorSection() > 0:
            self.model.sort(header.sortIndicatorSection(), header.sortIndicatorOrder())

    def _read(self) -> None:
        first = self.view.rowAt(0)
        last = self.view.rowAt(self.view.viewport().height() - 1)
        last = self.model.rowCount() - 1 if last < 0 else last
        for file in self.model.unread or self.model.missing(first, last):
            if file.id not in self._asked:
                self._asked.add(file.id)
                self._fetch(file)

    def _fetch(self, file: BatchFile) -> None:
        def show(result: Result) -> None:
            self.model.show_result(result)
            self._widen_columns()
            if not self.model.missing(0, self.model.rowCount()):
                self._sort_again.start()

        self._desk.bridge.call(lambda: self._documents.result(file.id), show, lambda _error: None, owner=self)

    def _decided(self, event: ValueChanged) -> None:
        self.model.forget(event.file_id)
        self._asked.discard(event.file_id)
        if self.isVisible():
            self._look.start()

    def _open(self, index: QModelIndex) -> None:
        found = self.model.place(index)
        if found is not None:
            self.opened.emit(*found)

    def _size_columns(self) -> None:
        self.view.setColumnWidth(0, grown(_FILE_WIDTH))
        for place in range(1, self.model.columnCount()):
            wanted = self.view.horizontalHeader().sectionSizeHint(place) + 2 * GRID
            self.view.setColumnWidth(place, min(grown(_MOST_WIDTH), max(grown(_COLUMN_WIDTH), wanted)))

    def _widen_columns(self) -> None:
        """Values came: their columns grow to hold them, within reason; none becomes narrower under the pointer."""
        for place in range(self.model.columnCount()):
            wanted = min(grown(_MOST_WIDTH), self.view.sizeHintForColumn(place) + GRID)
            if wanted > self.view.columnWidth(place):
                self.view.setColumnWidth(place, wanted)


class _Cells(QStyledItemDelegate):
    """A mark in the corner of cells that need a look."""

    def __init__(self, themes: ThemeStore, parent: QWidget) -> None:
        super().__init__(parent)
        self._themes = themes

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        super().paint(painter, option, index)
        theme, rect = self._themes.theme, QRect(option.rect)
        painter.save()
        painter.setPen(QColor(theme.border))
        painter.drawLine(rect.bottomLeft(), rect.bottomRight())
        if index.data(DOUBT):
            painter.fillRect(QRect(rect.left(), rect.top() + 6, 3, rect.height() - 12), QColor(theme.warning))
        painter.restore()
