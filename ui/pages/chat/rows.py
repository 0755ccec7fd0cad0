"""How rows of the conversation list and of search hits are painted and edited."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetrics, QPainter, QPen, QTextCharFormat, QTextLayout, QTextOption
from PySide6.QtWidgets import QLineEdit, QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from app.chat.records import Conversation, SearchHit
from app.gate.label import GateMode
from ui.gate_words import mode_icon, mode_tone
from ui.icons import Icons
from ui.models.conversations import CONVERSATION, MOMENT, WRITING
from ui.models.search_hits import HIT
from ui.models.search_hits import MOMENT as HIT_MOMENT
from ui.theme import ThemeStore, grown

Index = QModelIndex | QPersistentModelIndex
ROW = 34
HEADING = 32
HIT_ROW = 66
_PAD = 10
_INSET = 6
_SIGN = 13


class ConversationRows(QStyledItemDelegate):
    """Title, a sign when the gate is not shut, and moment, or a dot while an answer is being written; headings."""

    def __init__(self, themes: ThemeStore, icons: Icons, parent: QWidget) -> None:
        super().__init__(parent)
        self._themes, self._icons = themes, icons

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        return QSize(120, grown(ROW) if isinstance(index.data(CONVERSATION), Conversation) else grown(HEADING))

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        theme, fonts = self._themes.theme, self._themes.fonts
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        rect: QRect = option.rect
        conversation = index.data(CONVERSATION)
        if not isinstance(conversation, Conversation):
            painter.setFont(fonts.caption)
            painter.setPen(QColor(theme.faint))
            box = rect.adjusted(_INSET + _PAD, 0, -_PAD, -5)
            painter.drawText(box, Qt.AlignmentFlag.AlignBottom | Qt.AlignmentFlag.AlignLeft, str(index.data()))
            painter.restore()
            return
        _paint_ground(painter, option, self._themes)
        writing = bool(index.data(WRITING))
        moment = str(index.data(MOMENT))
        box = rect.adjusted(_INSET + _PAD, 0, -_INSET - _PAD, 0)
        right = self._paint_end(painter, box, moment, writing)
        if conversation.gate is not GateMode.LOCAL:
            right = self._paint_gate(painter, box, right, conversation.gate)
        painter.setFont(fonts.body)
        painter.setPen(QColor(theme.text))
        title = QFontMetrics(fonts.body).elidedText(conversation.title, Qt.TextElideMode.ElideRight, right - box.left())
        painter.drawText(box, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, title)
        painter.restore()

    def createEditor(self, parent: QWidget, option: QStyleOptionViewItem, index: Index) -> QWidget:
        editor = QLineEdit(parent)
        editor.setMaxLength(200)
        editor.setAccessibleName(self.tr("Title of the conversation"))
        return editor

    def updateEditorGeometry(self, editor: QWidget, option: QStyleOptionViewItem, index: Index) -> None:
        rect: QRect = option.rect
        editor.setGeometry(rect.adjusted(_INSET, 0, -_INSET, 0))

    def _paint_end(self, painter: QPainter, box: QRect, moment: str, writing: bool) -> int:
        """The right end of a row; returns where the title must stop."""
        theme, caption = self._themes.theme, self._themes.fonts.caption
        if writing:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(theme.accent))
            painter.drawEllipse(QRectF(box.right() - 8, box.center().y() - 3, 7, 7))
            return box.right() - 18
        painter.setFont(caption)
        painter.setPen(QColor(theme.faint))
        painter.drawText(box, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight, moment)
        return box.right() - QFontMetrics(caption).horizontalAdvance(moment) - 10

    def _paint_gate(self, painter: QPainter, box: QRect, right: int, mode: GateMode) -> int:
        """A small sign of what may leave; most conversations are local and have none. Returns where the title ends."""
        left = right - _SIGN
        density = painter.device().devicePixelRatioF()
        sign = self._icons.pixmap(mode_icon(mode), mode_tone(mode), _SIGN, density)
        painter.drawPixmap(left, box.center().y() - _SIGN // 2 + 1, sign)
        return left - 6


class HitRows(QStyledItemDelegate):
    """Title of the conversation, and the words around the hit with the hit marked."""

    def __init__(self, themes: ThemeStore, parent: QWidget) -> None:
        super().__init__(parent)
        self._themes = themes

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        return QSize(120, grown(HIT_ROW))

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        hit = index.data(HIT)
        if not isinstance(hit, SearchHit):
            return
        theme, fonts = self._themes.theme, self._themes.fonts
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        rect: QRect = option.rect
        _paint_ground(painter, option, self._themes)
        box = rect.adjusted(_INSET + _PAD, 7, -_INSET - _PAD, -6)
        moment = str(index.data(HIT_MOMENT))
        painter.setFont(fonts.caption)
        painter.setPen(QColor(theme.faint))
        painter.drawText(box, Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignRight, moment)
        room = box.width() - QFontMetrics(fonts.caption).horizontalAdvance(moment) - 10
        painter.setFont(fonts.body)
        painter.setPen(QColor(theme.text))
        title = QFontMetrics(fonts.body).elidedText(hit.conversation_title, Qt.TextElideMode.ElideRight, room)
        painter.drawText(box, Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft, title)
        below = box.adjusted(0, grown(19), 0, 0)
        if hit.message_id is None:
            painter.setFont(fonts.caption)
            painter.setPen(QColor(theme.muted))
            painter.drawText(below, Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft, self.tr("in the title"))
        else:
            self._paint_snippet(painter, below, hit)
        painter.restore()

    def _paint_snippet(self, painter: QPainter, box: QRect, hit: SearchHit) -> None:
        theme, caption = self._themes.theme, self._themes.fonts.caption
        layout = QTextLayout(hit.snippet.replace("\n", " "), caption)
        layout.setTextOption(_wrapping())
        formats = []
        for start, end in hit.matches:
            piece = QTextLayout.FormatRange()
            piece.start, piece.length = start, end - start
            shape = QTextCharFormat()
            shape.setForeground(QColor(theme.text))
            shape.setBackground(QColor(theme.accent_soft))
            shape.setFontWeight(QFont.Weight.DemiBold)
            piece.format = shape
            formats.append(piece)
        layout.setFormats(formats)
        layout.beginLayout()
        y = 0.0
        for _ in range(2):
            line = layout.createLine()
            if not line.isValid():
                break
            line.setLineWidth(box.width())
            line.setPosition(line.position().__class__(0, y))
            y += line.height()
        layout.endLayout()
        painter.setPen(QColor(theme.muted))
        painter.setClipRect(box)
        layout.draw(painter, box.topLeft().toPointF())


def _wrapping() -> QTextOption:
    option = QTextOption()
    option.setWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
    return option


def _paint_ground(painter: QPainter, option: QStyleOptionViewItem, themes: ThemeStore) -> None:
    """Rounded ground of the chosen row and of the one under the pointer, and the focus ring."""
    theme = themes.theme
    state = option.state
    rect: QRect = option.rect
    ground = QRectF(rect.adjusted(_INSET, 1, -_INSET, -1))
    chosen = bool(state & QStyle.StateFlag.State_Selected)
    if chosen or state & QStyle.StateFlag.State_MouseOver:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(theme.selection if chosen else theme.hover))
        painter.drawRoundedRect(ground, 6, 6)
    if chosen and state & QStyle.StateFlag.State_HasFocus:
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(QColor(theme.focus), 2))
        painter.drawRoundedRect(ground.adjusted(1, 1, -1, -1), 5, 5)
