"""A box of the data map: an icon, a title, a line of detail; solid when it is on, dashed when it is off."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QEnterEvent, QFontMetrics, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QAbstractButton, QWidget

from ui.icons import Icons
from ui.theme import ThemeStore

_SIGN = 18
_PAD = 11


class MapBox(QAbstractButton):
    """Choosing it leads to where it can be changed."""

    def __init__(self, themes: ThemeStore, icons: Icons, parent: QWidget) -> None:
        super().__init__(parent)
        self._themes, self._icons = themes, icons
        self._icon, self._detail, self._on, self._tone = "box", "", True, "accent"
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)

    def tell(self, icon: str, title: str, detail: str, *, on: bool, tone: str) -> None:
        self._icon, self._detail, self._on, self._tone = icon, detail, on, tone
        self.setText(title)
        self.setAccessibleName(f"{title}: {detail}" if detail else title)
        self.setAccessibleDescription(self.tr("on") if on else self.tr("off"))
        self.setToolTip(self.accessibleName())
        self.update()

    @property
    def on(self) -> bool:
        return self._on

    @property
    def detail(self) -> str:
        return self._detail

    def paintEvent(self, event: QPaintEvent) -> None:
        theme, fonts = self._themes.theme, self._themes.fonts
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        tone = self._tone if self._on or self._tone == "success" else "border_strong"
        focus = self.hasFocus()
        style = Qt.PenStyle.SolidLine if self._on or focus or self._tone == "success" else Qt.PenStyle.DashLine
        edge = theme.focus if focus else getattr(theme, tone)
        painter.setPen(QPen(QColor(edge), 2.0 if focus else 1.2, style))
        outside = self._tone == "outside" and self._on
        fill = theme.outside_soft if outside else theme.hover if self.underMouse() else theme.surface
        painter.setBrush(QColor(fill))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(1, 1, -1, -1), 8, 8)
        sign_tone = self._tone if self._on or self._tone == "success" else "faint"
        top = self.height() // 2 - 20
        sign = self._icons.pixmap(self._icon, sign_tone, _SIGN, self.devicePixelRatioF())
        painter.drawPixmap(_PAD, top + 1, sign)
        room = self.width() - 2 * _PAD
        painter.setFont(fonts.strong)
        painter.setPen(QColor(theme.text if self._on or self._tone == "success" else theme.muted))
        title = QFontMetrics(fonts.strong).elidedText(self.text(), Qt.TextElideMode.ElideRight, room - _SIGN - 8)
        painter.drawText(QRectF(_PAD + _SIGN + 8, top, room - _SIGN - 8, 20), Qt.AlignmentFlag.AlignVCenter, title)
        painter.setFont(fonts.caption)
        painter.setPen(QColor(theme.muted))
        detail = QFontMetrics(fonts.caption).elidedText(self._detail, Qt.TextElideMode.ElideRight, room)
        painter.drawText(QRectF(_PAD, top + 22, room, 18), Qt.AlignmentFlag.AlignVCenter, detail)
        painter.end()

    def enterEvent(self, event: QEnterEvent) -> None:
        self.update()
        super().enterEvent(event)
