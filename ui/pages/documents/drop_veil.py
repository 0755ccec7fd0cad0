"""What lies over the Documents page while files are dragged over it: that they can be let go, and what happens then."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from ui import display
from ui.theme import GRID, ThemeStore


class DropVeil(QWidget):
    """Covers its parent; the pointer goes through it."""

    def __init__(self, themes: ThemeStore, parent: QWidget) -> None:
        super().__init__(parent)
        self._page = parent
        self._themes = themes
        self._words = ""
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.hide()

    def cover(self, paths: Sequence[Path]) -> None:
        """Show it over the whole parent, for what is about to be dropped."""
        what = paths[0].name if len(paths) == 1 else self.tr("%1 items").replace("%1", display.integer(len(paths)))
        self._words = self.tr("Let go to read %1 on this machine").replace("%1", what)
        self.setGeometry(self._page.rect())
        self.raise_()
        self.show()
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        theme = self._themes.theme
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        ground = QColor(theme.surface)
        ground.setAlphaF(0.96)
        painter.fillRect(self.rect(), ground)
        painter.setPen(QPen(QColor(theme.accent), 2, Qt.PenStyle.DashLine))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(GRID, GRID, -GRID, -GRID), 12, 12)
        painter.setPen(QColor(theme.text))
        painter.setFont(self._themes.fonts.title)
        painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, self._words)
        painter.end()
