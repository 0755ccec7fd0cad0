"""A list and what belongs to its chosen row: beside each other, or one above the other where there is little room."""

from __future__ import annotations

from PySide6.QtCore import QSize
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QBoxLayout, QLayout, QWidget

from ui.theme import GRID, grown
from ui.widgets.parts import row

_WIDEST = 16_777_215
"""Qt's word for no limit."""


class SideBySide(QWidget):
    """``right`` is ``width`` wide at the right of ``left``; below ``least`` of width it lies under it."""

    def __init__(self, left: QWidget, right: QWidget, width: int, *, least: int = 800) -> None:
        super().__init__()
        self._left, self._right = left, right
        self._width, self._least = grown(width), grown(least)
        self._flow = row(left, right, spacing=3 * GRID)
        # Else a window that was wide once could not become narrow: what is out of sight is not laid out anew.
        self._flow.setSizeConstraint(QLayout.SizeConstraint.SetNoConstraint)
        self.setLayout(self._flow)
        self._arrange(beside=True)

    @property
    def beside(self) -> bool:
        """Whether they stand side by side."""
        return self._flow.direction() is QBoxLayout.Direction.LeftToRight

    def minimumSizeHint(self) -> QSize:
        """As narrow as the wider of the two, one above the other."""
        width = max(self._left.minimumSizeHint().width(), self._right.minimumSizeHint().width())
        return QSize(width, self._left.minimumSizeHint().height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        beside = event.size().width() >= self._least
        if beside != self.beside:
            self._arrange(beside=beside)

    def _arrange(self, *, beside: bool) -> None:
        way = QBoxLayout.Direction.LeftToRight if beside else QBoxLayout.Direction.TopToBottom
        self._flow.setDirection(way)
        self._flow.setSpacing(3 * GRID if beside else 2 * GRID)
        self._right.setMinimumWidth(self._width if beside else 0)
        self._right.setMaximumWidth(self._width if beside else _WIDEST)
        self._flow.setStretch(0, 1 if beside else 3)
        self._flow.setStretch(1, 0 if beside else 2)
