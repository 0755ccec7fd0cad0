"""A block that may be wider than its place: it scrolls sideways by itself.

Holds what code and tables share: the offset, the thin bar, and what wheel and mouse do to them.
"""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QPainter

from ui.widgets.blocks import Block

BAR_HEIGHT = 10.0
_THUMB = 5.0


class WideBlock(Block):
    """Subclasses set ``content_width`` in ``layout`` and paint shifted by ``offset``."""

    content_width = 0.0
    offset = 0.0
    _grip: tuple[float, float] | None = None

    @property
    def view_width(self) -> float:
        """The width in which the content shows."""
        return self.width - self.indent

    @property
    def scrolls(self) -> bool:
        return self.content_width > self.view_width + 0.5

    def scroll_to(self, offset: float) -> bool:
        """Whether that changed anything."""
        bounded = min(max(offset, 0.0), max(self.content_width - self.view_width, 0.0))
        changed = bounded != self.offset
        self.offset = bounded
        return changed

    def paint_bar(self, painter: QPainter, inset: float = 6.0) -> None:
        if not self.scrolls:
            return
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self.ink.border_strong)
        painter.drawRoundedRect(self._thumb(inset), _THUMB / 2, _THUMB / 2)
        painter.setBrush(Qt.BrushStyle.NoBrush)

    def press_bar(self, x: float, y: float) -> bool:
        """The mouse went down: whether it took hold of the bar."""
        if not self.scrolls or not self.height - BAR_HEIGHT - 4 <= y <= self.height:
            return False
        thumb = self._thumb(6.0)
        if not thumb.left() <= x <= thumb.right():
            self.scroll_to((x - self.indent) / self.view_width * self.content_width - self.view_width / 2)
        self._grip = (x, self.offset)
        return True

    def drag_bar(self, x: float) -> bool:
        """The mouse moved: whether the bar was held and the view moved."""
        if self._grip is None:
            return False
        begin, offset = self._grip
        return self.scroll_to(offset + (x - begin) * self.content_width / self.view_width)

    def release_bar(self) -> None:
        self._grip = None

    @property
    def held(self) -> bool:
        return self._grip is not None

    def _thumb(self, inset: float) -> QRectF:
        track = self.view_width - 2 * inset
        length = max(24.0, track * self.view_width / self.content_width)
        room = max(self.content_width - self.view_width, 1.0)
        left = self.indent + inset + (track - length) * self.offset / room
        return QRectF(left, self.height - _THUMB - 3, length, _THUMB)
