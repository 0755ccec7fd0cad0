"""What lies under the text of a message: the bubble of one's own, the mark of words from outside, the focus ring."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QPainter, QPen

from ui.widgets.ink import Ink

EDGE = 8
BUBBLE_X = 14
BUBBLE_Y = 9


def paint_ground(painter: QPainter, text: QRectF, ink: Ink, *, own: bool, outside: bool, ringed: bool) -> None:
    """``text`` is where the words stand; a bubble and a ring are larger."""
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QPen(ink.accent, 2) if ringed else Qt.PenStyle.NoPen)
    if own:
        bubble = text.adjusted(-BUBBLE_X, -BUBBLE_Y, BUBBLE_X, BUBBLE_Y).adjusted(1, 1, -1, -1)
        painter.setBrush(ink.bubble)
        painter.drawRoundedRect(bubble, 12, 12)
    elif ringed:
        painter.drawRoundedRect(text.adjusted(1 - EDGE, 1, EDGE - 1, 3), 6, 6)
    elif outside:
        painter.setBrush(QColor(ink.theme.outside))
        painter.drawRoundedRect(QRectF(0, text.top() + 3, 2, text.height() - 4), 1, 1)


def natural_width(text: str, ink: Ink) -> int:
    """The width of the longest line, or plenty."""
    if "```" in text or len(text) > 400:
        return 1 << 16
    metrics = QFontMetricsF(ink.body)
    widest = max((metrics.horizontalAdvance(line) for line in text.splitlines()), default=0.0)
    return int(widest) + 2
