"""A bar of one device's memory: who has it, and what is free; with a legend in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPainterPath, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from ui import display
from ui.theme import GRID, HALF, ThemeStore


@dataclass(frozen=True, slots=True)
class Segment:
    """``colour`` is a colour name of the theme, e.g. ``bar_weights``."""

    label: str
    amount_bytes: int
    colour: str


class MemoryBar(QWidget):
    """Segments side by side, in proportion to ``total_bytes``; what is beyond the total is hatched in red."""

    def __init__(self, themes: ThemeStore, *, height: int = 12, legend: bool = True) -> None:
        super().__init__()
        self._themes, self._height, self._legend = themes, height, legend
        self._segments: tuple[Segment, ...] = ()
        self._total = 1
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        if legend:
            self.setFont(themes.fonts.caption)
        themes.changed.connect(self.update)

    def show_segments(self, segments: Sequence[Segment], total_bytes: int, name: str) -> None:
        """``name`` is the device, for screen readers."""
        self._segments = tuple(segment for segment in segments if segment.amount_bytes > 0)
        self._total = max(total_bytes, 1)
        words = ", ".join(f"{s.label} {display.byte_size(s.amount_bytes)}" for s in self._segments)
        self.setAccessibleName(name)
        self.setAccessibleDescription(words)
        if not self._legend:
            self.setToolTip(f"{name}: {words}")
        self.updateGeometry()
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(240, self.heightForWidth(self.width() or 240))

    def minimumSizeHint(self) -> QSize:
        return QSize(80, self._height)

    def hasHeightForWidth(self) -> bool:
        return self._legend

    def heightForWidth(self, width: int) -> int:
        if not self._legend:
            return self._height
        return self._height + GRID + self._row_height() * max(1, len(self._rows(width)))

    def resizeEvent(self, event: object) -> None:
        self.setFixedHeight(self.heightForWidth(self.width()))

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self._paint_bar(painter)
        if self._legend:
            self._paint_legend(painter)
        painter.end()

    def _paint_bar(self, painter: QPainter) -> None:
        theme = self._themes.theme
        area = QRectF(0, 0, self.width(), self._height)
        clip = QPainterPath()
        clip.addRoundedRect(area, HALF, HALF)
        painter.save()
        painter.setClipPath(clip)
        painter.fillRect(area, QColor(theme.bar_free))
        shown = max(self._total, sum(segment.amount_bytes for segment in self._segments))
        left = 0.0
        for segment in self._segments:
            width = segment.amount_bytes / shown * area.width()
            painter.fillRect(QRectF(left, 0, width, area.height()), QColor(getattr(theme, segment.colour)))
            left += width
            if left < area.width() - 1:
                painter.fillRect(QRectF(left - 1, 0, 1, area.height()), QColor(theme.surface))
        if shown > self._total:
            edge = self._total / shown * area.width()
            painter.fillRect(QRectF(edge, 0, area.width() - edge, area.height()), QColor(theme.danger))
            painter.setPen(QPen(QColor(theme.surface), 1.5))
            x = edge
            while x < area.width() + area.height():
                painter.drawLine(QPointF(x, 0), QPointF(x - area.height(), area.height()))
                x += 5
        painter.restore()

    def _paint_legend(self, painter: QPainter) -> None:
        theme = self._themes.theme
        top = float(self._height + GRID)
        for row in self._rows(self.width()):
            left = 0.0
            for segment in row:
                middle = top + self._row_height() / 2
                edge = theme.border_strong if segment.colour == "bar_free" else getattr(theme, segment.colour)
                painter.setPen(QPen(QColor(edge), 1))
                painter.setBrush(QColor(getattr(theme, segment.colour)))
                painter.drawRoundedRect(QRectF(left + 0.5, middle - 3.5, 7, 7), 2, 2)
                painter.setPen(QColor(theme.muted))
                text = _words(segment)
                box = QRectF(left + 8 + 6, top, self._text_width(text) + 2, self._row_height())
                painter.drawText(box, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, text)
                left += self._item_width(segment)
            top += self._row_height()

    def _rows(self, width: int) -> list[list[Segment]]:
        rows: list[list[Segment]] = [[]]
        used = 0
        for segment in self._segments:
            needed = self._item_width(segment)
            if rows[-1] and used + needed - 2 * GRID > width:
                rows.append([])
                used = 0
            rows[-1].append(segment)
            used += needed
        return rows

    def _item_width(self, segment: Segment) -> int:
        return 8 + 6 + self._text_width(_words(segment)) + 2 * GRID

    def _text_width(self, text: str) -> int:
        return self.fontMetrics().horizontalAdvance(text)

    def _row_height(self) -> int:
        return self.fontMetrics().height() + HALF


def _words(segment: Segment) -> str:
    return f"{segment.label} {display.byte_size(segment.amount_bytes)}"
