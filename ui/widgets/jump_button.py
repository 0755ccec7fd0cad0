"""The round button over the transcript that leads back to its end."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRect, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QAbstractButton, QWidget

from ui.icons import Icons
from ui.widgets.ink import Ink

_SIZE = 36
_MARGIN = 12


class JumpButton(QAbstractButton):
    """Hidden at the end."""

    def __init__(self, ink: Ink, icons: Icons, parent: QWidget) -> None:
        super().__init__(parent)
        self._ink, self._icons = ink, icons
        name = self.tr("Jump to the latest message")
        self.setAccessibleName(name)
        self.setToolTip(name)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)
        self.setFixedSize(_SIZE, _SIZE)
        self.hide()

    def place(self, area: QRect, *, hidden: bool) -> None:
        if not hidden:
            self.move(area.center().x() - _SIZE // 2, area.bottom() - _SIZE - _MARGIN)
            self.raise_()
        if self.isHidden() != hidden:
            self.setVisible(not hidden)

    def set_ink(self, ink: Ink) -> None:
        self._ink = ink
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setBrush(self._ink.hover if self.underMouse() else self._ink.surface)
        painter.setPen(QPen(self._ink.accent, 2) if self.hasFocus() else QPen(self._ink.border_strong, 1))
        painter.drawEllipse(QPointF(_SIZE / 2, _SIZE / 2), _SIZE / 2 - 1.5, _SIZE / 2 - 1.5)
        picture = self._icons.pixmap("arrow-down", "text", 16, self.devicePixelRatioF())
        painter.drawPixmap((_SIZE - 16) // 2, (_SIZE - 16) // 2, picture)
        painter.end()
