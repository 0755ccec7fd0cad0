"""How much of the model's context the next prompt takes: a ring and a number."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from app.chat.records import ContextUse
from ui import display
from ui.theme import ThemeStore

_RING = 16.0
_NEARLY_FULL = 0.8


class ContextMeter(QWidget):
    """Quiet until it is nearly full; red when the prompt does not fit."""

    def __init__(self, themes: ThemeStore) -> None:
        super().__init__()
        self._themes = themes
        self._use: ContextUse | None = None
        self.setFixedHeight(28)
        self.setAccessibleName(self.tr("Context"))
        themes.changed.connect(self.update)
        self.hide()

    def show_use(self, use: ContextUse | None) -> None:
        """``None`` hides it."""
        self._use = use
        self.setVisible(use is not None)
        if use is not None:
            words = self.tr("%1 of %2 of context used by the next prompt")
            words = words.replace("%1", display.integer(use.prompt_tokens)).replace("%2", display.tokens(use.n_ctx))
            told = words if use.exact else f"{words} ({self.tr('estimate')})"
            self.setToolTip(told)
            self.setAccessibleDescription(told)
        self.updateGeometry()
        self.update()

    @property
    def words(self) -> str:
        if self._use is None:
            return ""
        about = "" if self._use.exact else "≈ "
        return f"{about}{display.integer(self._use.prompt_tokens)} / {display.tokens_short(self._use.n_ctx)}"

    def sizeHint(self) -> QSize:
        width = QFontMetricsF(self._themes.fonts.caption).horizontalAdvance(self.words)
        return QSize(int(_RING + 8 + width + 8), 28)

    def minimumSizeHint(self) -> QSize:
        return self.sizeHint()

    def paintEvent(self, event: QPaintEvent) -> None:
        if self._use is None:
            return
        theme = self._themes.theme
        ratio = self._use.prompt_tokens / max(self._use.n_ctx, 1)
        colour = theme.danger if not self._use.fits else theme.warning if ratio > _NEARLY_FULL else theme.accent
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        ring = QRectF(3, (self.height() - _RING) / 2 + 1, _RING - 2, _RING - 2)
        painter.setPen(QPen(QColor(theme.bar_free), 2.5))
        painter.drawEllipse(ring)
        painter.setPen(QPen(QColor(colour), 2.5, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
        painter.drawArc(ring, 90 * 16, -int(min(ratio, 1.0) * 360 * 16))
        painter.setFont(self._themes.fonts.caption)
        painter.setPen(QColor(theme.danger if not self._use.fits else theme.muted))
        box = QRectF(self.rect()).adjusted(_RING + 8, 0, 0, 0)
        painter.drawText(box, Qt.AlignmentFlag.AlignVCenter, self.words)
        painter.end()
