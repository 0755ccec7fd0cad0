"""How batches and their files are painted in the queue."""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetrics, QPainter
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from app.documents.batch_records import Batch, BatchFile, BatchState, FileState
from ui import display
from ui.icons import Icons
from ui.models.batches import RECORD
from ui.theme import ThemeStore, grown

Index = QModelIndex | QPersistentModelIndex

_BATCH_ROW, _BATCH_ROW_TROUBLED = 64, 82
_FILE_ROW, _FILE_ROW_NOTED = 34, 50
_PAD: Final = 12

_OF_FILE: Final[dict[FileState, tuple[str, str]]] = {
    FileState.WAITING: ("clock", "faint"),
    FileState.READING: ("scan-text", "accent"),
    FileState.EXTRACTING: ("brain", "accent"),
    FileState.DONE: ("check", "success"),
    FileState.NEEDS_PASSWORD: ("lock", "warning"),
    FileState.FAILED: ("triangle-alert", "danger"),
    FileState.CANCELLED: ("x", "faint"),
}


class _Rows(QStyledItemDelegate):
    def __init__(self, themes: ThemeStore, icons: Icons, parent: QWidget) -> None:
        super().__init__(parent)
        self._themes, self._icons = themes, icons

    def _ground(self, painter: QPainter, option: QStyleOptionViewItem) -> QRect:
        theme, rect = self._themes.theme, QRect(option.rect)
        state: QStyle.StateFlag = option.state
        box = QRectF(rect).adjusted(4, 1, -4, -1)
        colour = None
        if state & QStyle.StateFlag.State_Selected:
            colour = theme.selection
        elif state & QStyle.StateFlag.State_MouseOver:
            colour = theme.hover
        if colour is not None:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(colour))
            painter.drawRoundedRect(box, 6, 6)
            painter.setBrush(Qt.BrushStyle.NoBrush)
        return rect.adjusted(_PAD, 0, -_PAD, 0)

    def _write(
        self,
        painter: QPainter,
        font: QFont,
        colour: str,
        place: QRect,
        text: str,
        side: Qt.AlignmentFlag = Qt.AlignmentFlag.AlignLeft,
    ) -> None:
        painter.setFont(font)
        painter.setPen(QColor(colour))
        shown = QFontMetrics(font).elidedText(text, Qt.TextElideMode.ElideRight, place.width())
        painter.drawText(place, side | Qt.AlignmentFlag.AlignVCenter, shown)

    def _icon(self, painter: QPainter, name: str, tone: str, left: int, top: int, size: int = 14) -> None:
        painter.drawPixmap(left, top, self._icons.pixmap(name, tone, size, painter.device().devicePixelRatioF()))


class BatchRows(_Rows):
    """Title and what is left to check, a bar, how far it is."""

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        batch = index.data(RECORD)
        troubled = isinstance(batch, Batch) and bool(trouble_line(self, batch))
        return QSize(160, grown(_BATCH_ROW_TROUBLED if troubled else _BATCH_ROW))

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        batch = index.data(RECORD)
        if not isinstance(batch, Batch):
            return
        theme, fonts = self._themes.theme, self._themes.fonts
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        box = self._ground(painter, option)
        line = QFontMetrics(fonts.body).height()
        doubt = ""
        if batch.doubtful_values:
            doubt = self.tr("%1 to check").replace("%1", display.integer(batch.doubtful_values))
        width = QFontMetrics(fonts.caption).horizontalAdvance(doubt)
        self._write(
            painter,
            fonts.strong,
            theme.text,
            QRect(box.left(), box.top() + 8, box.width() - width - 8, line),
            batch.title,
        )
        end = QRect(box.right() - width, box.top() + 8, width + 1, line)
        self._write(painter, fonts.caption, theme.warning, end, doubt, Qt.AlignmentFlag.AlignRight)
        self._bar(painter, QRectF(box.left(), box.top() + 12 + line, box.width(), 4), batch)
        told = QRect(box.left(), box.top() + 20 + line, box.width(), line)
        self._write(painter, fonts.caption, theme.muted, told, batch_line(self, batch))
        below = told.translated(0, grown(18))
        self._write(painter, fonts.caption, theme.danger, below, trouble_line(self, batch))
        painter.restore()

    def _bar(self, painter: QPainter, place: QRectF, batch: Batch) -> None:
        theme, counts = self._themes.theme, batch.counts
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(theme.border))
        painter.drawRoundedRect(place, 2, 2)
        total = max(1, counts.total)
        left = place.left()
        for count, colour in ((counts.done, theme.accent), (counts.failed + counts.needs_password, theme.danger)):
            if count:
                part = QRectF(left, place.top(), max(3.0, place.width() * count / total), place.height())
                painter.setBrush(QColor(colour))
                painter.drawRoundedRect(part, 2, 2)
                left = part.right()
        painter.setBrush(Qt.BrushStyle.NoBrush)


class FileRows(_Rows):
    """A sign for the state, the name, what is left to check or what went wrong."""

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        file = index.data(RECORD)
        noted = isinstance(file, BatchFile) and bool(file.sentence)
        return QSize(160, grown(_FILE_ROW_NOTED if noted else _FILE_ROW))

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        file = index.data(RECORD)
        if not isinstance(file, BatchFile):
            return
        theme, fonts = self._themes.theme, self._themes.fonts
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        box = self._ground(painter, option)
        line = grown(_FILE_ROW)
        icon, tone = _OF_FILE[file.state]
        self._icon(painter, icon, tone, box.left(), box.top() + (line - 14) // 2)
        end = self._end(file)
        width = QFontMetrics(fonts.caption).horizontalAdvance(end)
        name = QRect(box.left() + 22, box.top(), box.width() - width - 32, line)
        # The middle goes: names of a batch often differ at their ends.
        shown = QFontMetrics(fonts.body).elidedText(file.name, Qt.TextElideMode.ElideMiddle, name.width())
        self._write(painter, fonts.body, theme.text, name, shown)
        place = QRect(box.right() - width, box.top(), width + 1, line)
        colour = theme.warning if file.doubtful_values else theme.faint
        self._write(painter, fonts.caption, colour, place, end, Qt.AlignmentFlag.AlignRight)
        if file.sentence:
            below = QRect(box.left() + 22, box.top() + line - 8, box.width() - 22, grown(20))
            self._write(painter, fonts.caption, theme.muted, below, file.sentence)
        painter.restore()

    def _end(self, file: BatchFile) -> str:
        if file.state is FileState.DONE:
            if file.doubtful_values:
                return self.tr("%1 to check").replace("%1", display.integer(file.doubtful_values))
            return self.tr("checked") if file.reviewed else ""
        return {
            FileState.READING: self.tr("reading"),
            FileState.EXTRACTING: self.tr("extracting"),
        }.get(file.state, "")


def batch_line(owner: QStyledItemDelegate, batch: Batch) -> str:
    """How far a batch is, in words: ``12 of 40 · 4 min left``."""
    counts = batch.counts
    ended = counts.done + counts.failed + counts.needs_password + counts.cancelled
    parts = [
        owner.tr("%1 of %2").replace("%1", display.integer(ended)).replace("%2", display.integer(counts.total))
        if ended < counts.total
        else owner.tr("1 file")
        if counts.total == 1
        else owner.tr("%1 files").replace("%1", display.integer(counts.total))
    ]
    if batch.state is BatchState.RUNNING and not batch.waits_for and batch.left_s is not None:
        parts.append(owner.tr("%1 left").replace("%1", display.rough_duration(batch.left_s)))
    if batch.state is BatchState.PAUSED:
        parts.append(owner.tr("paused"))
    elif batch.state is BatchState.CANCELLED:
        parts.append(owner.tr("cancelled"))
    elif batch.waits_for:
        parts.append(owner.tr("waits"))
    if batch.watched:
        parts.append(owner.tr("watched"))
    return " · ".join(parts)


def trouble_line(owner: QStyledItemDelegate, batch: Batch) -> str:
    """What went wrong in a batch, in words: ``3 failed · 1 locked``; empty when nothing did."""
    counts = batch.counts
    parts = []
    if counts.failed:
        parts.append(owner.tr("%1 failed").replace("%1", display.integer(counts.failed)))
    if counts.needs_password:
        parts.append(owner.tr("%1 locked").replace("%1", display.integer(counts.needs_password)))
    return " · ".join(parts)
