"""A picture of a speed: the predicted band, the likeliest figure in it, and what was measured, on one scale."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QSizePolicy, QWidget

from engine.fit.plan import Band
from ui import display
from ui.theme import GRID, HALF, ThemeStore

_TRACK = 6
_MARK = 5.0
_HEADROOM = 1.2


class SpeedView(QWidget):
    """One speed. Without a measurement only the band is drawn."""

    def __init__(self, themes: ThemeStore, name: str) -> None:
        super().__init__()
        self._themes, self._name = themes, name
        self._band: Band | None = None
        self._measured: float | None = None
        self._note = ""
        self.setFont(themes.fonts.caption)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName(name)
        themes.changed.connect(self.update)

    def show_speed(self, band: Band | None, measured: float | None = None, note: str = "") -> None:
        """``note`` says what the measurement is of, e.g. ``12 answers``."""
        self._band, self._measured, self._note = band, measured, note
        self.setAccessibleDescription(" · ".join(filter(None, (self.predicted_words, self.measured_words))))
        self.setVisible(band is not None or measured is not None)
        self.update()

    @property
    def predicted_words(self) -> str:
        """``predicted 19–25 tok/s``."""
        if self._band is None:
            return ""
        return self.tr("predicted %1").replace("%1", display.speed_band(self._band.low, self._band.high))

    @property
    def measured_words(self) -> str:
        """``measured 21 tok/s (12 answers)``."""
        if self._measured is None:
            return ""
        words = self.tr("measured %1").replace("%1", display.speed(self._measured))
        return f"{words} ({self._note})" if self._note else words

    def sizeHint(self) -> QSize:
        return QSize(240, self.fontMetrics().height() + HALF + 2 * GRID)

    def minimumSizeHint(self) -> QSize:
        return QSize(120, self.sizeHint().height())

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self._paint_words(painter)
        self._paint_scale(painter)
        painter.end()

    def _paint_words(self, painter: QPainter) -> None:
        theme = self._themes.theme
        line = QRectF(0, 0, self.width(), self.fontMetrics().height())
        painter.setPen(QColor(theme.muted))
        painter.drawText(line, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, self._name)
        words = " · ".join(filter(None, (self.predicted_words, self.measured_words)))
        left = self.fontMetrics().horizontalAdvance(self._name) + GRID
        shown = self.fontMetrics().elidedText(words, Qt.TextElideMode.ElideRight, self.width() - left)
        painter.setPen(QColor(theme.text))
        painter.drawText(line, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, shown)

    def _paint_scale(self, painter: QPainter) -> None:
        theme = self._themes.theme
        top = self.fontMetrics().height() + HALF + GRID - _TRACK / 2
        most = max(self._band.high if self._band else 0.0, self._measured or 0.0) * _HEADROOM or 1.0
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(theme.bar_free))
        painter.drawRoundedRect(QRectF(0, top, self.width(), _TRACK), _TRACK / 2, _TRACK / 2)
        if self._band is not None:
            low, high = self._band.low / most * self.width(), self._band.high / most * self.width()
            colour = QColor(theme.accent)
            colour.setAlphaF(0.45)
            painter.setBrush(colour)
            painter.drawRoundedRect(QRectF(low, top, max(high - low, 3), _TRACK), _TRACK / 2, _TRACK / 2)
            likely = self._band.likely / most * self.width()
            painter.setPen(QPen(QColor(theme.accent), 2))
            painter.drawLine(QPointF(likely, top - 2), QPointF(likely, top + _TRACK + 2))
        if self._measured is not None:
            x, y = self._measured / most * self.width(), top + _TRACK / 2
            painter.setPen(QPen(QColor(theme.surface), 1.5))
            painter.setBrush(QColor(theme.text))
            corners = ((0.0, -_MARK), (_MARK, 0.0), (0.0, _MARK), (-_MARK, 0.0))
            painter.drawPolygon(QPolygonF([QPointF(x + dx, y + dy) for dx, dy in corners]))
