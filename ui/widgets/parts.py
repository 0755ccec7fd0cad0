"""The small parts that pages are put together from: labels by role, buttons by weight, rows and columns on the grid."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from PySide6.QtCore import Qt
from PySide6.QtGui import QFont, QPainter, QPaintEvent
from PySide6.QtWidgets import (
    QBoxLayout,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLayout,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from ui.theme import GRID

L = TypeVar("L", bound=QBoxLayout)


def label(text: str = "", font: QFont | None = None, tone: str = "", *, wrap: bool = False) -> QLabel:
    """Text; ``tone`` is one of the style sheet's. Plain text always: nothing from a file is read as HTML."""
    made = QLabel(text)
    made.setTextFormat(Qt.TextFormat.PlainText)
    made.setWordWrap(wrap)
    if font is not None:
        made.setFont(font)
    if tone:
        made.setProperty("tone", tone)
    if wrap:
        made.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Minimum)
    return made


class ElidedLabel(QLabel):
    """One line that ends in an ellipsis where there is no room; the whole is in the tooltip and for screen readers."""

    def __init__(self, font: QFont | None = None, mode: Qt.TextElideMode = Qt.TextElideMode.ElideRight) -> None:
        super().__init__()
        self._mode = mode
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        if font is not None:
            self.setFont(font)

    def paintEvent(self, event: QPaintEvent) -> None:
        shown = self.fontMetrics().elidedText(self.text(), self._mode, self.width())
        self.setToolTip("" if shown == self.text() else self.text())
        painter = QPainter(self)
        painter.setPen(self.palette().windowText().color())
        painter.drawText(self.rect(), int(Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft), shown)
        painter.end()


def set_tone(widget: QLabel, tone: str) -> None:
    """Another tone; the style sheet is asked again."""
    if widget.property("tone") != tone:
        widget.setProperty("tone", tone)
        widget.style().unpolish(widget)
        widget.style().polish(widget)


def button(text: str, run: Callable[[], object] | None = None, kind: str = "", *, name: str = "") -> QPushButton:
    """``kind`` is one of the style sheet's; ``name`` is what a screen reader says when the text alone is too short."""
    made = QPushButton(text)
    made.setAutoDefault(False)
    if kind:
        made.setProperty("kind", kind)
    if name:
        made.setAccessibleName(name)
    if run is not None:
        made.clicked.connect(lambda _checked=False: run())
    return made


def scrolled(inner: QWidget) -> QScrollArea:
    """A page of its own that scrolls up and down when it has no room, and takes no focus for itself."""
    inner.setObjectName("page")
    made = QScrollArea()
    made.setWidgetResizable(True)
    made.setFrameShape(QFrame.Shape.NoFrame)
    made.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    made.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    made.setWidget(inner)
    return made


def frame(kind: str) -> QFrame:
    made = QFrame()
    made.setProperty("kind", kind)
    return made


def set_kind(widget: QWidget, kind: str) -> None:
    """Another dress; the style sheet is asked again."""
    if widget.property("kind") != kind:
        widget.setProperty("kind", kind)
        widget.style().unpolish(widget)
        widget.style().polish(widget)


def row(*items: QWidget | QLayout | None, spacing: int = GRID, margin: int = 0) -> QHBoxLayout:
    """Side by side; ``None`` is a stretch."""
    return _fill(QHBoxLayout(), items, spacing, margin)


def column(*items: QWidget | QLayout | None, spacing: int = GRID, margin: int = 0) -> QVBoxLayout:
    """One below the other; ``None`` is a stretch."""
    return _fill(QVBoxLayout(), items, spacing, margin)


def _fill(layout: L, items: tuple[QWidget | QLayout | None, ...], spacing: int, margin: int) -> L:
    layout.setSpacing(spacing)
    layout.setContentsMargins(margin, margin, margin, margin)
    for item in items:
        if item is None:
            layout.addStretch(1)
        elif isinstance(item, QWidget):
            layout.addWidget(item)
        else:
            layout.addLayout(item)
    return layout
