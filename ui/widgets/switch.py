"""A switch with its words at the left: on or off at once, by a click or by Space."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetrics, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QAbstractButton

from ui.theme import GRID, ThemeStore

_WIDTH, _HEIGHT = 36, 20


class Switch(QAbstractButton):
    """``on_tone`` is the theme's colour while it is on."""

    def __init__(self, words: str, themes: ThemeStore, *, on_tone: str = "accent") -> None:
        super().__init__()
        self._themes, self._tone = themes, on_tone
        self.setText(words)
        self.setAccessibleName(words)
        self.setCheckable(True)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        themes.changed.connect(self.update)

    def sizeHint(self) -> QSize:
        words = QFontMetrics(self.font()).horizontalAdvance(self.text())
        return QSize(words + (GRID if words else 0) + _WIDTH + 8, _HEIGHT + 12)

    def paintEvent(self, event: QPaintEvent) -> None:
        theme = self._themes.theme
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QColor(theme.text if self.isEnabled() else theme.faint))
        words = self.rect().adjusted(4, 0, -_WIDTH - 4, 0)
        painter.drawText(words, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, self.text())
        track = QRectF(self.width() - _WIDTH - 4, (self.height() - _HEIGHT) / 2, _WIDTH, _HEIGHT)
        on = QColor(getattr(theme, self._tone) if self.isEnabled() else theme.faint)
        painter.setPen(QPen(on if self.isChecked() else QColor(theme.border_strong), 1))
        painter.setBrush(on if self.isChecked() else QColor(theme.bar_free))
        painter.drawRoundedRect(track, _HEIGHT / 2, _HEIGHT / 2)
        knob = _HEIGHT - 6
        left = track.right() - knob - 3 if self.isChecked() else track.left() + 3
        painter.setPen(QPen(QColor(theme.border_strong), 0 if self.isChecked() else 1))
        painter.setBrush(QColor(theme.surface))
        painter.drawEllipse(QRectF(left, track.top() + 3, knob, knob))
        if self.hasFocus():
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(QColor(theme.focus), 2))
            painter.drawRoundedRect(QRectF(self.rect()).adjusted(1, 1, -1, -1), 6, 6)
        painter.end()
