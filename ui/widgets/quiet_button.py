"""A small button under a message: an icon, or a word, in a quiet colour until the pointer or the focus is on it."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QRectF, QSize, Qt
from PySide6.QtGui import QEnterEvent, QFontMetricsF, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QAbstractButton, QWidget

from ui.icons import Icons
from ui.widgets.ink import Ink

_SIZE = 28
_PICTURE = 16


class QuietButton(QAbstractButton):
    """Paints itself; a transcript makes many of them while it scrolls.

    A ``ghost`` is invisible until it is revealed or has the focus; by keyboard it can always be reached.
    """

    def __init__(self, name: str, ink: Ink, icons: Icons, parent: QWidget, *, icon: str = "", text: str = "") -> None:
        super().__init__(parent)
        self._ink, self._icons, self._icon = ink, icons, icon
        self._ghost = False
        self._revealed = False
        self.setText(text)
        self.setFont(ink.caption)
        self.setAccessibleName(name)
        self.setToolTip(name)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)
        self.setFixedSize(self.sizeHint())

    def set_ghost(self, ghost: bool) -> None:
        self._ghost = ghost
        self.update()

    def reveal(self, revealed: bool) -> None:
        if revealed != self._revealed:
            self._revealed = revealed
            self.update()

    def set_text(self, text: str) -> None:
        self.setText(text)
        self.setFixedSize(self.sizeHint())

    def set_ink(self, ink: Ink) -> None:
        self._ink = ink
        self.update()

    def sizeHint(self) -> QSize:
        if not self.text():
            return QSize(_SIZE, _SIZE)
        width = QFontMetricsF(self._ink.caption).horizontalAdvance(self.text()) + 16
        return QSize(int(width + (_PICTURE + 6 if self._icon else 0)), _SIZE)

    def paintEvent(self, event: QPaintEvent) -> None:
        if self._ghost and not self._revealed and not self.hasFocus():
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        frame = QRectF(self.rect()).adjusted(1, 1, -1, -1)
        if self.isEnabled() and (self.underMouse() or self.isDown()):
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(self._ink.border if self.isDown() else self._ink.hover)
            painter.drawRoundedRect(frame, 6, 6)
        if self.hasFocus():
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(self._ink.accent, 2))
            painter.drawRoundedRect(frame, 6, 6)
        tone = "faint" if not self.isEnabled() else ("text" if self.underMouse() else "muted")
        left = 0.0
        if self._icon:
            picture = self._icons.pixmap(self._icon, tone, _PICTURE, self.devicePixelRatioF())
            x = (self.width() - _PICTURE) // 2 if not self.text() else 8
            painter.setOpacity(1.0 if self.isEnabled() else 0.5)
            painter.drawPixmap(x, (self.height() - _PICTURE) // 2, picture)
            left = _PICTURE + 14.0
        if self.text():
            painter.setFont(self.font())
            painter.setPen({"faint": self._ink.faint, "text": self._ink.text}.get(tone, self._ink.muted))
            place = QRectF(self.rect()).adjusted(left, 0, 0, 0)
            aligned = Qt.AlignmentFlag.AlignVCenter if self._icon else Qt.AlignmentFlag.AlignCenter
            painter.drawText(place, aligned, self.text())
        painter.end()

    def enterEvent(self, event: QEnterEvent) -> None:
        self.update()
        super().enterEvent(event)

    def leaveEvent(self, event: QEvent) -> None:
        self.update()
        super().leaveEvent(event)
