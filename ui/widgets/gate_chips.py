"""The redactions of an outgoing text as chips, each a switch. Arrow keys move, Space or Enter or a click switches."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QObject, QPersistentModelIndex, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFontMetrics, QKeyEvent, QPainter, QPen, QResizeEvent
from PySide6.QtWidgets import QListView, QStyle, QStyledItemDelegate, QStyleOptionViewItem

from app.gate.records import Redaction
from ui.icons import Icons
from ui.models.redactions import REDACTION, RedactionModel, chip_words
from ui.theme import ThemeStore

_HEIGHT = 26
_GAP = 6
_SIGN = 14
_PAD = 9
_MOST_ROWS = 3

Index = QModelIndex | QPersistentModelIndex


class _ChipDelegate(QStyledItemDelegate):
    """Hidden ones in the accent's colour with a check, others in the colour of a warning with an open eye's stroke."""

    def __init__(self, themes: ThemeStore, icons: Icons, parent: QObject) -> None:
        super().__init__(parent)
        self._themes, self._icons = themes, icons

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        row = index.data(REDACTION)
        assert isinstance(row, Redaction)
        width = QFontMetrics(self._themes.fonts.caption).horizontalAdvance(chip_words(row))
        return QSize(width + _SIGN + 6 + 2 * _PAD, _HEIGHT)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        row = index.data(REDACTION)
        assert isinstance(row, Redaction)
        theme = self._themes.theme
        tone = "accent" if row.on else "warning"
        edge, fill = QColor(getattr(theme, tone)), QColor(theme.accent_soft if row.on else theme.warning_soft)
        chosen = bool(option.state & QStyle.StateFlag.State_Selected)
        box = QRectF(option.rect).adjusted(1, 1, -1, -1)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(edge, 2 if chosen else 1))
        painter.setBrush(fill)
        painter.drawRoundedRect(box, 12, 12)
        sign = self._icons.pixmap(
            "check" if row.on else "triangle-alert", tone, _SIGN, painter.device().devicePixelRatioF()
        )
        painter.drawPixmap(int(box.left()) + _PAD - 1, int(box.center().y()) - _SIGN // 2, sign)
        painter.setFont(self._themes.fonts.caption)
        painter.setPen(QColor(theme.text))
        words = box.adjusted(_PAD + _SIGN + 5, 0, -_PAD + 2, 0)
        painter.drawText(words, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, chip_words(row))
        painter.restore()


class RedactionChips(QListView):
    """As tall as its chips, to three lines. ``pointed`` tells which one is looked at, ``None`` when none is."""

    pointed = Signal(object)

    def __init__(self, themes: ThemeStore, icons: Icons) -> None:
        super().__init__()
        self.model_ = RedactionModel(self)
        self.setModel(self.model_)
        self.setItemDelegate(_ChipDelegate(themes, icons, self))
        self.setAccessibleName(self.tr("What is hidden"))
        self.setAccessibleDescription(self.tr("Space switches a redaction on or off."))
        self.setFlow(QListView.Flow.LeftToRight)
        self.setWrapping(True)
        self.setResizeMode(QListView.ResizeMode.Adjust)
        self.setSpacing(_GAP // 2)
        self.setUniformItemSizes(False)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setStyleSheet("QListView { background: transparent; } QListView::item:hover { background: transparent; }")
        self.setMouseTracking(True)
        self.viewport().setCursor(Qt.CursorShape.PointingHandCursor)
        self.clicked.connect(self.model_.toggle)
        self.selectionModel().currentChanged.connect(self._tell)
        self.model_.modelReset.connect(self._fit)
        themes.changed.connect(self.viewport().update)

    def current(self) -> Redaction | None:
        """The one that is looked at."""
        row = self.currentIndex().data(REDACTION)
        return row if isinstance(row, Redaction) and self.selectionModel().hasSelection() else None

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Space, Qt.Key.Key_Return, Qt.Key.Key_Enter) and not event.modifiers():
            self.model_.toggle(self.currentIndex())
        elif event.key() == Qt.Key.Key_Escape:
            event.ignore()
        else:
            super().keyPressEvent(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        """The height of as many lines as the chips take at this width."""
        room, lines, left = self.viewport().width() - _GAP, 1, 0
        metrics = QFontMetrics(self.font())
        for row in self.model_.redactions():
            width = metrics.horizontalAdvance(chip_words(row)) + _SIGN + 6 + 2 * _PAD + _GAP
            if left and left + width > room:
                lines, left = lines + 1, 0
            left += width
        self.setFixedHeight(min(lines, _MOST_ROWS) * (_HEIGHT + _GAP) + _GAP)

    def _tell(self, current: QModelIndex, _before: QModelIndex) -> None:
        self.pointed.emit(current.data(REDACTION))
