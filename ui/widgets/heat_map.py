"""A heat map of the experts that a model's routers picked: one row a layer, one cell an expert, hotter is darker."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication, QEvent, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QHelpEvent, QImage, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from engine.fit.routed import LayerRouting, RoutedExperts
from ui import display
from ui.theme import GRID, HALF, ThemeStore

_HOT = 4.0
"""So many times an expert's fair share is the darkest colour."""
_CELL_MOST = 9.0
_LEGEND = 64


class HeatMap(QWidget):
    """Cells are coloured by their share of the layer's picks over the fair share; what was never used stays blank."""

    def __init__(self, themes: ThemeStore) -> None:
        super().__init__()
        self._themes = themes
        self._routed: RoutedExperts | None = None
        self._picture: QImage | None = None
        self.setFont(themes.fonts.caption)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName(self.tr("Experts used, by layer"))
        themes.changed.connect(self._repaint)

    def show_routing(self, routed: RoutedExperts) -> None:
        self._routed, self._picture = routed, None
        self.setAccessibleDescription(summary(routed))
        self.setFixedHeight(self._height(self.width()))
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(320, self._height(320))

    def resizeEvent(self, event: object) -> None:
        self.setFixedHeight(self._height(self.width()))

    def paintEvent(self, event: QPaintEvent) -> None:
        if self._routed is None or not self._routed.layers:
            return
        if self._picture is None:
            self._picture = self._draw(self._routed)
        painter = QPainter(self)
        area = self._area()
        painter.drawImage(area, self._picture)
        painter.setPen(QColor(self._themes.theme.border))
        painter.drawRect(area.adjusted(-0.5, -0.5, 0.5, 0.5))
        self._paint_legend(painter, area.bottom() + GRID)
        painter.end()

    def event(self, event: QEvent) -> bool:
        if event.type() is QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            QToolTip.showText(event.globalPos(), self._words_at(event.x(), event.y()), self)
            return True
        return super().event(event)

    def _words_at(self, x: float, y: float) -> str:
        area = self._area()
        if self._routed is None or not area.contains(x, y):
            return ""
        row = int((y - area.top()) / area.height() * len(self._routed.layers))
        layer = self._routed.layers[min(row, len(self._routed.layers) - 1)]
        expert = min(int((x - area.left()) / area.width() * len(layer.counts)), len(layer.counts) - 1)
        words = self.tr("Layer %1, expert %2: %3 of its picks")
        share = f"{layer.shares[expert] * 100:.1f}%"
        return words.replace("%1", str(layer.layer)).replace("%2", str(expert)).replace("%3", share)

    def _area(self) -> QRectF:
        layers = len(self._routed.layers) if self._routed else 1
        return QRectF(1, 1, self.width() - 2, self._cell(self.width()) * layers)

    def _cell(self, width: int) -> float:
        """Height of a row: cells are square where there is room, and never thinner than three pixels."""
        experts = max((len(layer.counts) for layer in self._routed.layers), default=1) if self._routed else 1
        return max(3.0, min(_CELL_MOST, width / experts))

    def _height(self, width: int) -> int:
        layers = len(self._routed.layers) if self._routed else 1
        return round(self._cell(width) * layers) + 2 + GRID + self.fontMetrics().height() + HALF

    def _draw(self, routed: RoutedExperts) -> QImage:
        experts = max(len(layer.counts) for layer in routed.layers)
        picture = QImage(experts, len(routed.layers), QImage.Format.Format_RGB32)
        picture.fill(QColor(self._themes.theme.surface))
        for row, layer in enumerate(routed.layers):
            self._draw_layer(picture, row, layer)
        return picture

    def _draw_layer(self, picture: QImage, row: int, layer: LayerRouting) -> None:
        fair = 1 / len(layer.counts)
        for expert, share in enumerate(layer.shares):
            if share > 0:
                picture.setPixelColor(expert, row, self._colour(share / fair / _HOT))

    def _colour(self, heat: float) -> QColor:
        theme = self._themes.theme
        cold, hot = QColor(theme.accent_soft), QColor(theme.accent)
        part = min(heat, 1.0) ** 0.7
        return QColor.fromRgbF(
            cold.redF() + (hot.redF() - cold.redF()) * part,
            cold.greenF() + (hot.greenF() - cold.greenF()) * part,
            cold.blueF() + (hot.blueF() - cold.blueF()) * part,
        )

    def _paint_legend(self, painter: QPainter, top: float) -> None:
        theme = self._themes.theme
        height = self.fontMetrics().height()
        painter.setPen(QColor(theme.muted))
        left = self.tr("never")
        painter.drawText(QRectF(0, top, 80, height), Qt.AlignmentFlag.AlignVCenter, left)
        x = self.fontMetrics().horizontalAdvance(left) + GRID
        for step in range(_LEGEND):
            colour = QColor(theme.surface) if step == 0 else self._colour(step / _LEGEND)
            painter.fillRect(QRectF(x + step, top + height / 2 - 4, 1, 8), colour)
        painter.setPen(QColor(theme.border))
        painter.drawRect(QRectF(x - 0.5, top + height / 2 - 4.5, _LEGEND + 1, 9))
        painter.setPen(QColor(theme.muted))
        words = self.tr("%1 times its fair share or more").replace("%1", f"{_HOT:g}")
        box = QRectF(x + _LEGEND + GRID, top, self.width() - x - _LEGEND - GRID, height)
        painter.drawText(box, Qt.AlignmentFlag.AlignVCenter, words)

    def _repaint(self) -> None:
        self._picture = None
        self.update()


def summary(routed: RoutedExperts) -> str:
    """The picture in a sentence."""
    words = _tr(
        "Over %1, the hottest tenth of each layer's experts took %2 of the picks; %3 of %4 experts were never used."
    )
    experts = sum(len(layer.counts) for layer in routed.layers)
    return (
        words.replace("%1", display.tokens(routed.tokens))
        .replace("%2", display.percent(routed.hottest_share))
        .replace("%3", display.integer(routed.never_used))
        .replace("%4", display.integer(experts))
    )


def _tr(text: str) -> str:
    return QCoreApplication.translate("heat_map", text)
