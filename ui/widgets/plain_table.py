"""A table of the house: whole rows, one chosen at a time, one column that takes the room and columns that give way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from PySide6.QtCore import QAbstractItemModel
from PySide6.QtGui import QFont, QResizeEvent
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableView

from ui.theme import grown

_ROW = 36


class PlainTable(QTableView):
    """``widths`` are of all columns but the stretching one; ``given_up`` go first where there is little room."""

    def __init__(
        self,
        model: QAbstractItemModel,
        header_font: QFont,
        *,
        stretch: int,
        least: int,
        widths: Mapping[Any, int],
        given_up: Sequence[int] = (),
    ) -> None:
        super().__init__()
        self._least, self._given_up = grown(least), tuple(given_up)
        self._widths: dict[int, int] = {int(column): grown(width) for column, width in widths.items()}
        self.setModel(model)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setShowGrid(False)
        self.setTabKeyNavigation(False)
        self.setWordWrap(False)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(grown(_ROW))
        header = self.horizontalHeader()
        header.setFont(header_font)
        header.setHighlightSections(False)
        header.setMinimumSectionSize(48)
        for column, width in self._widths.items():
            self.setColumnWidth(column, width)
        header.setSectionResizeMode(stretch, QHeaderView.ResizeMode.Stretch)

    def resizeEvent(self, event: QResizeEvent) -> None:
        missing = self._least + sum(self._widths.values()) - self.viewport().width()
        for column in self._given_up:
            self.setColumnHidden(column, missing > 0)
            missing -= self._widths[column]
        super().resizeEvent(event)
