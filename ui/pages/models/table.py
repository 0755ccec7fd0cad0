"""The table of models. Gives up what the details say too, column by column, before it cuts a model's name."""

from __future__ import annotations

from PySide6.QtCore import QAbstractItemModel, Qt
from PySide6.QtGui import QFont, QResizeEvent
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableView

from ui.models.model_table import Column
from ui.theme import grown

_NAME_LEAST = 220
_WIDTHS = {
    Column.STATE: 104,
    Column.FIT: 100,
    Column.SPEED: 104,
    Column.SIZE: 76,
    Column.PARAMETERS: 72,
    Column.KIND: 104,
    Column.QUANTIZATION: 88,
    Column.CONTEXT: 72,
    Column.LICENCE: 96,
}
_GIVEN_UP = (
    Column.LICENCE,
    Column.KIND,
    Column.CONTEXT,
    Column.QUANTIZATION,
    Column.PARAMETERS,
    Column.STATE,
    Column.SPEED,
    Column.FIT,
)


class ModelsTable(QTableView):
    """Sorted rows, chosen one at a time."""

    def __init__(self, model: QAbstractItemModel, header_font: QFont) -> None:
        super().__init__()
        self._left_out: frozenset[Column] = frozenset()
        self.setModel(model)
        self.setSortingEnabled(True)
        self.sort_by_name()
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setShowGrid(False)
        self.setTabKeyNavigation(False)
        self.setWordWrap(False)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(grown(36))
        header = self.horizontalHeader()
        header.setFont(header_font)
        header.setHighlightSections(False)
        header.setMinimumSectionSize(56)
        for place, width in _WIDTHS.items():
            self.setColumnWidth(place, grown(width))
        header.setSectionResizeMode(Column.NAME, QHeaderView.ResizeMode.Stretch)

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._make_room()
        super().resizeEvent(event)

    def leave_out(self, columns: frozenset[Column]) -> None:
        """Columns that would say nothing in the present list."""
        self._left_out = columns
        self._make_room()

    def _make_room(self) -> None:
        shown = {column: grown(width) for column, width in _WIDTHS.items() if column not in self._left_out}
        missing = grown(_NAME_LEAST) + sum(shown.values()) - self.viewport().width()
        for column in _GIVEN_UP:
            hidden = column in self._left_out or missing > 0
            self.setColumnHidden(column, hidden)
            missing -= shown.get(column, 0)

    def sort_by_name(self) -> None:
        self.sortByColumn(Column.NAME, Qt.SortOrder.AscendingOrder)

    def sort_as_given(self) -> None:
        """In the order of whoever made the list: a hub's own, the catalogue's by size."""
        self.sortByColumn(-1, Qt.SortOrder.AscendingOrder)
