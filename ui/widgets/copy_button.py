"""A small *Copy* in words that says *Copied* for a moment."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QRectF, QSize, Qt, QTimer
from PySide6.QtGui import QFontMetricsF, QGuiApplication, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QAbstractButton, QWidget

from ui.widgets.ink import Ink

_SAID_MS = 1_500


class CopyButton(QAbstractButton):
    """Paints itself: an answer may hold dozens, and the style sheet would take a millisecond for each."""

    def __init__(self, name: str, text: Callable[[], str], ink: Ink, parent: QWidget) -> None:
        super().__init__(parent)
        self._ink = ink
        self._what = text
        self.setText(self.tr("Copy"))
        self.setAccessibleName(name)
        self.setFont(ink.caption)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)
        self.setFixedSize(self.sizeHint())
        self._forget = QTimer(self, singleShot=True, interval=_SAID_MS)
        self._forget.timeout.connect(self._restore)
        self.clicked.connect(self._copy)

    def sizeHint(self) -> QSize:
        metrics = QFontMetricsF(self._ink.caption)
        words = max(metrics.horizontalAdvance(self.tr("Copy")), metrics.horizontalAdvance(self.tr("Copied")))
        return QSize(int(words + 18), 24)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        frame = QRectF(self.rect()).adjusted(1, 1, -1, -1)
        if self.underMouse() or self.isDown():
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(self._ink.hover if not self.isDown() else self._ink.border)
            painter.drawRoundedRect(frame, 5, 5)
        if self.hasFocus():
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(self._ink.accent, 2))
            painter.drawRoundedRect(frame, 5, 5)
        painter.setFont(self._ink.caption)
        painter.setPen(self._ink.text if self.underMouse() else self._ink.muted)
        painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, self.text())
        painter.end()

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self._what())
        self.setText(self.tr("Copied"))
        self._forget.start()

    def _restore(self) -> None:
        self.setText(self.tr("Copy"))
