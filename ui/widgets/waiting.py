"""What stands where an answer will be: what is happening, how far it is, since when."""

from __future__ import annotations

import time
from dataclasses import dataclass

from PySide6.QtCore import QRectF, Qt, QTimer
from PySide6.QtGui import QFontMetricsF, QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from ui import display
from ui.widgets.ink import Ink

HEIGHT = 32
_BAR_WIDTH = 160.0
_SAY_TIME_AFTER_S = 2.0


@dataclass(frozen=True, slots=True)
class Waiting:
    """Why nothing is there yet. ``ratio`` is the progress, where there is one."""

    sentence: str
    ratio: float | None = None


class WaitingLine(QWidget):
    """One calm line; nothing moves but a bar and the seconds."""

    def __init__(self, ink: Ink, parent: QWidget) -> None:
        super().__init__(parent)
        self._ink = ink
        self._waiting = Waiting("")
        self._since = time.monotonic()
        self._clock = QTimer(self, interval=1000)
        self._clock.timeout.connect(self.update)
        self.setFixedHeight(HEIGHT)

    def show_waiting(self, waiting: Waiting) -> None:
        if waiting.sentence != self._waiting.sentence:
            self._since = time.monotonic()
        self._waiting = waiting
        self.setAccessibleName(waiting.sentence)
        if not self._clock.isActive():
            self._clock.start()
        self.update()

    def set_ink(self, ink: Ink) -> None:
        self._ink = ink
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        words = self._waiting.sentence
        waited = time.monotonic() - self._since
        if waited >= _SAY_TIME_AFTER_S:
            words += f" · {display.duration(int(waited))}"
        middle = self.height() / 2
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self._ink.accent)
        painter.drawEllipse(QRectF(1, middle - 3.5, 7, 7))
        painter.setFont(self._ink.body)
        painter.setPen(self._ink.muted)
        painter.drawText(QRectF(self.rect()).adjusted(16, 0, 0, 0), Qt.AlignmentFlag.AlignVCenter, words)
        if self._waiting.ratio is not None:
            left = 16 + QFontMetricsF(self._ink.body).horizontalAdvance(words) + 12
            track = QRectF(left, middle - 2, min(_BAR_WIDTH, max(self.width() - left - 4, 0)), 4)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(self._ink.border)
            painter.drawRoundedRect(track, 2, 2)
            painter.setBrush(self._ink.accent)
            track.setWidth(track.width() * min(max(self._waiting.ratio, 0.0), 1.0))
            painter.drawRoundedRect(track, 2, 2)
        painter.end()
