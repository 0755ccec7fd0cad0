"""The round button that sends, and stops while an answer is being written."""

from __future__ import annotations

from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QAbstractButton

from ui.icons import Icons
from ui.theme import ThemeStore

_SIZE = 34


class SendButton(QAbstractButton):
    """``stops`` decides what it means."""

    def __init__(self, themes: ThemeStore, icons: Icons) -> None:
        super().__init__()
        self._themes, self._icons = themes, icons
        self.stops = False
        self.setFixedSize(_SIZE, _SIZE)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        themes.changed.connect(self.update)
        self.set_stops(False)

    def set_stops(self, stops: bool) -> None:
        self.stops = stops
        name, keys = (self.tr("Stop"), "Esc") if stops else (self.tr("Send"), "Enter")
        self.setAccessibleName(name)
        self.setToolTip(f"{name} ({keys})")
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        theme = self._themes.theme
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        centre, radius = QPointF(_SIZE / 2, _SIZE / 2), _SIZE / 2 - 2
        ground = theme.accent_hover if self.underMouse() or self.isDown() else theme.accent
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(ground if self.isEnabled() else theme.pressed))
        painter.drawEllipse(centre, radius, radius)
        if self.hasFocus():
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(QColor(theme.text), 2))
            painter.drawEllipse(centre, radius, radius)
        tone = "accent_text" if self.isEnabled() else "faint"
        if self.stops:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(theme.accent_text))
            painter.drawRoundedRect(_SIZE // 2 - 5, _SIZE // 2 - 5, 10, 10, 2, 2)
        else:
            picture = self._icons.pixmap("arrow-up", tone, 18, self.devicePixelRatioF())
            painter.drawPixmap((_SIZE - 18) // 2, (_SIZE - 18) // 2, picture)
        painter.end()
