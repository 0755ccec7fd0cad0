"""One page of a document as a picture, with boxes over it: where values were found, which is meant, a new one drawn.

Places are in points of the page, origin top left, as in ``app.documents.records``. The picture comes from elsewhere;
``picture_wanted`` says how wide it should be for this screen. What a box means is the page's around it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from PySide6.QtCore import QPoint, QPointF, QRectF, QSizeF, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QFont,
    QFontMetricsF,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QAbstractScrollArea, QWidget

from app.documents.records import Box
from ui.theme import GRID, ThemeStore

Fit = Literal["width", "page", "free"]

_MARGIN: Final = 2 * GRID
_LEAST_SCALE, _MOST_SCALE = 0.1, 8.0
"""Pixels of the screen a point."""
_ZOOM_STEP: Final = 1.2
_LEAST_DRAWN_PX: Final = 4
"""A smaller rectangle was a click."""
_INK: Final = "#1b1d1f"
"""Of words on paper, in the dark as well."""
_AROUND_PT: Final = 2.0
"""Of air between a word and the line around it."""


@dataclass(frozen=True, slots=True)
class PageMark:
    """A box of a field on the page that is shown."""

    name: str
    box: Box
    tone: str
    """A colour's name of the theme: ``accent``, ``warning``, ``danger``, ``success``."""


class PageView(QAbstractScrollArea):
    """Shows one page at a time. Ctrl and the wheel, ``+`` and ``-`` zoom; a drag with the left button moves, or draws
    while ``drawing``."""

    mark_clicked = Signal(str)
    box_drawn = Signal(object)
    """The ``Box`` that was drawn; drawing is over then."""
    drawing_changed = Signal(bool)
    picture_wanted = Signal(int)
    """In device pixels: how wide the page's picture should be now."""
    turned = Signal(int)
    """-1 or 1: the person scrolled past an end of the page."""

    def __init__(self, themes: ThemeStore, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("page_view")
        self.setAccessibleName(self.tr("Page of the document"))
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._themes = themes
        self._size = QSizeF()
        self._picture = QImage()
        self._words: tuple[tuple[str, Box], ...] = ()
        self._marks: tuple[PageMark, ...] = ()
        self._current = ""
        self._fit: Fit = "width"
        self._scale = 1.0
        self._asked_px = 0
        self._drawing = False
        self._from: QPoint | None = None
        self._to = QPoint()
        self._grabbed: QPoint | None = None
        self.viewport().setMouseTracking(True)
        for bar in (self.verticalScrollBar(), self.horizontalScrollBar()):
            bar.valueChanged.connect(self.viewport().update)
        themes.changed.connect(self.viewport().update)

    # what is shown

    def show_page(self, width_pt: float, height_pt: float) -> None:
        """Another page, still without its picture."""
        self._size = QSizeF(max(1.0, width_pt), max(1.0, height_pt))
        self._picture, self._words = QImage(), ()
        self._marks, self._current, self._asked_px = (), "", 0
        self.stop_drawing()
        self._lay_out()
        self.verticalScrollBar().setValue(0)

    def show_picture(self, picture: QImage) -> None:
        """The page's picture, of any resolution."""
        self._picture = picture
        self.viewport().update()

    def show_words(self, words: Sequence[tuple[str, Box]]) -> None:
        """The words alone, where there is no picture to be had."""
        self._words = tuple(words)
        self.viewport().update()

    def clear(self) -> None:
        """No page."""
        self._size = QSizeF()
        self._picture, self._words = QImage(), ()
        self._marks = ()
        self._lay_out()

    def show_marks(self, marks: Sequence[PageMark], current: str = "") -> None:
        """All boxes of the page; those of ``current`` are strong and brought into sight."""
        self._marks = tuple(marks)
        self._current = current
        found = [mark.box for mark in self._marks if mark.name == current]
        if found:
            self._reveal(found[0])
        self.viewport().update()

    @property
    def scale(self) -> float:
        """Pixels of the screen a point."""
        return self._scale

    @property
    def drawing(self) -> bool:
        return self._drawing

    def set_fit(self, fit: Fit) -> None:
        """Fit the page's width, the whole page, or leave the scale alone."""
        self._fit = fit
        self._lay_out()

    def zoom(self, factor: float, around: QPointF | None = None) -> None:
        """Zoom about a place of the view, its middle when left out."""
        place = around or QPointF(self.viewport().rect().center())
        before = self._to_page(place)
        self._fit = "free"
        self._scale = min(_MOST_SCALE, max(_LEAST_SCALE, self._scale * factor))
        self._lay_out()
        after = self._to_view(before)
        self.horizontalScrollBar().setValue(self.horizontalScrollBar().value() + round(after.x() - place.x()))
        self.verticalScrollBar().setValue(self.verticalScrollBar().value() + round(after.y() - place.y()))

    def start_drawing(self) -> None:
        """The next drag draws a box; Escape ends it."""
        if not self._size.isEmpty() and not self._drawing:
            self._drawing = True
            self.viewport().setCursor(Qt.CursorShape.CrossCursor)
            self.drawing_changed.emit(True)

    def stop_drawing(self) -> None:
        self._from = None
        if self._drawing:
            self._drawing = False
            self.viewport().unsetCursor()
            self.viewport().update()
            self.drawing_changed.emit(False)

    # geometry

    def _lay_out(self) -> None:
        room = self.maximumViewportSize()
        if not self._size.isEmpty() and self._fit != "free":
            across = (room.width() - 2 * _MARGIN - self.verticalScrollBar().sizeHint().width()) / self._size.width()
            down = (room.height() - 2 * _MARGIN) / self._size.height()
            wanted = across if self._fit == "width" else min(across, down)
            self._scale = min(_MOST_SCALE, max(_LEAST_SCALE, wanted))
        whole = self._size * self._scale
        view = self.viewport().size()
        for bar, length, page in (
            (self.horizontalScrollBar(), whole.width(), view.width()),
            (self.verticalScrollBar(), whole.height(), view.height()),
        ):
            bar.setPageStep(page)
            bar.setSingleStep(3 * GRID)
            bar.setRange(0, max(0, round(length) + 2 * _MARGIN - page) if length else 0)
        self._ask_picture()
        self.viewport().update()

    def _ask_picture(self) -> None:
        """Ask when the picture is too coarse, or more than twice too fine."""
        if self._size.isEmpty():
            return
        wanted = round(self._size.width() * self._scale * self.devicePixelRatioF())
        have = self._asked_px
        if wanted > have * 1.05 or wanted * 2 < have:
            self._asked_px = wanted
            self.picture_wanted.emit(wanted)

    def _origin(self) -> QPointF:
        """Where the page's top left corner is in the view."""
        whole = self._size * self._scale
        view = self.viewport().size()
        left = max(float(_MARGIN), (view.width() - whole.width()) / 2)
        top = max(float(_MARGIN), (view.height() - whole.height()) / 2) if self._fit == "page" else float(_MARGIN)
        return QPointF(left - self.horizontalScrollBar().value(), top - self.verticalScrollBar().value())

    def _to_view(self, place: QPointF) -> QPointF:
        return self._origin() + place * self._scale

    def _to_page(self, place: QPointF) -> QPointF:
        return (place - self._origin()) / self._scale

    def box_in_view(self, box: Box) -> QRectF:
        """Where a box of the page is on the widget, with a little air around it."""
        corner = self._to_view(QPointF(box.x0 - _AROUND_PT, box.y0 - _AROUND_PT))
        around = 2 * _AROUND_PT
        return QRectF(corner, QSizeF(box.width + around, box.height + around) * self._scale)

    def _reveal(self, box: Box) -> None:
        place = self.box_in_view(box)
        view = QRectF(self.viewport().rect()).adjusted(_MARGIN, _MARGIN, -_MARGIN, -_MARGIN)
        if view.contains(place):
            return
        off = place.center() - view.center()
        self.verticalScrollBar().setValue(self.verticalScrollBar().value() + round(off.y()))
        if place.left() < view.left() or place.right() > view.right():
            self.horizontalScrollBar().setValue(self.horizontalScrollBar().value() + round(off.x()))

    # painting

    def paintEvent(self, event: QPaintEvent) -> None:
        theme = self._themes.theme
        painter = QPainter(self.viewport())
        painter.fillRect(self.viewport().rect(), QColor(theme.window))
        if self._size.isEmpty():
            painter.end()
            return
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        sheet = QRectF(self._origin(), self._size * self._scale)
        painter.fillRect(sheet, QColor("#ffffff"))  # paper is white, in the dark as well
        if not self._picture.isNull():
            painter.drawImage(sheet, self._picture)
        else:
            self._paint_words(painter)
        painter.setPen(QPen(QColor(theme.border), 1))
        painter.drawRect(sheet)
        for mark in self._marks:
            if mark.name != self._current:
                self._paint_mark(painter, mark, strong=False)
        for mark in self._marks:
            if mark.name == self._current:
                self._paint_mark(painter, mark, strong=True)
        if self._from is not None and self._drawing:
            painter.setPen(QPen(QColor(theme.accent), 2, Qt.PenStyle.DashLine))
            painter.drawRect(QRectF(self._from, self._to).normalized())
        painter.end()

    def _paint_mark(self, painter: QPainter, mark: PageMark, *, strong: bool) -> None:
        # On white paper in both themes, so the darker colours of the light one.
        colour = QColor(_ON_PAPER.get(mark.tone, _ON_PAPER["accent"]))
        fill = QColor(colour)
        fill.setAlpha(56 if strong else 20)
        pen = QPen(colour, 2.0 if strong else 1.0)
        if not strong:
            faint = QColor(colour)
            faint.setAlpha(150)
            pen.setColor(faint)
        painter.setPen(pen)
        painter.setBrush(fill)
        painter.drawRoundedRect(self.box_in_view(mark.box), 3, 3)
        painter.setBrush(Qt.BrushStyle.NoBrush)

    def _paint_words(self, painter: QPainter) -> None:
        """Each as wide as its box."""
        painter.setPen(QColor(_INK))
        font = QFont(self.font())
        for text, box in self._words:
            place = QRectF(self._to_view(QPointF(box.x0, box.y0)), QSizeF(box.width, box.height) * self._scale)
            if not place.intersects(QRectF(self.viewport().rect())):
                continue
            font.setPixelSize(max(1, round(place.height() * 0.8)))
            painter.setFont(font)
            wide = QFontMetricsF(font).horizontalAdvance(text)
            painter.save()
            painter.translate(place.left(), place.top())
            painter.scale(place.width() / wide if wide else 1.0, 1.0)
            painter.drawText(QRectF(0, 0, wide + 1, place.height()), Qt.AlignmentFlag.AlignVCenter, text)
            painter.restore()

    # hands

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() is not Qt.MouseButton.LeftButton or self._size.isEmpty():
            super().mousePressEvent(event)
            return
        if self._drawing:
            self._from = self._to = event.position().toPoint()
            return
        self._grabbed = event.position().toPoint()
        hit = self._hit(event.position())
        if hit:
            self.mark_clicked.emit(hit)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._from is not None:
            self._to = event.position().toPoint()
            self.viewport().update()
        elif self._grabbed is not None:
            moved = event.position().toPoint() - self._grabbed
            self._grabbed = event.position().toPoint()
            self.horizontalScrollBar().setValue(self.horizontalScrollBar().value() - moved.x())
            self.verticalScrollBar().setValue(self.verticalScrollBar().value() - moved.y())
        elif not self._drawing:
            over = bool(self._hit(event.position()))
            self.viewport().setCursor(Qt.CursorShape.PointingHandCursor if over else Qt.CursorShape.ArrowCursor)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self._grabbed = None
        if self._from is None:
            super().mouseReleaseEvent(event)
            return
        drawn = QRectF(self._from, event.position()).normalized()
        self._from = None
        if drawn.width() >= _LEAST_DRAWN_PX and drawn.height() >= _LEAST_DRAWN_PX:
            box = self._box_of(drawn)
            self.stop_drawing()
            if box is not None:
                self.box_drawn.emit(box)
        self.viewport().update()

    def wheelEvent(self, event: QWheelEvent) -> None:
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self.zoom(_ZOOM_STEP ** (event.angleDelta().y() / 120), event.position())
            event.accept()
            return
        bar, before = self.verticalScrollBar(), self.verticalScrollBar().value()
        super().wheelEvent(event)
        if bar.value() == before and event.angleDelta().y():
            self.turned.emit(-1 if event.angleDelta().y() > 0 else 1)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Plus, Qt.Key.Key_Equal):
            self.zoom(_ZOOM_STEP)
        elif event.key() == Qt.Key.Key_Minus:
            self.zoom(1 / _ZOOM_STEP)
        elif event.key() == Qt.Key.Key_Escape and self._drawing:
            self.stop_drawing()
        else:
            event.ignore()  # the page around has keys of its own

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._lay_out()

    def _hit(self, place: QPointF) -> str:
        """The mark under a place; of several the smallest."""
        under = [mark for mark in self._marks if self.box_in_view(mark.box).contains(place)]
        return min(under, key=lambda mark: mark.box.width * mark.box.height).name if under else ""

    def _box_of(self, drawn: QRectF) -> Box | None:
        first, last = self._to_page(drawn.topLeft()), self._to_page(drawn.bottomRight())
        x0, y0 = max(0.0, first.x()), max(0.0, first.y())
        x1, y1 = min(self._size.width(), last.x()), min(self._size.height(), last.y())
        return Box(x0, y0, x1, y1) if x1 > x0 and y1 > y0 else None


_ON_PAPER: Final = {"accent": "#0d6b72", "warning": "#8a5300", "danger": "#b3261e", "success": "#2c6e33"}
