"""The fields of a document, one below the other: what was found, how sure that is, how it is proven.

Single keys decide about a value: Enter or A accepts, C or F2 corrects in place, X says absent, B asks for a box on the
page, N goes to the next that needs a look, J and K or the arrows go down and up, U takes back, Shift+A accepts the
rest. Carrying it out is left to others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from PySide6.QtCore import QAbstractItemModel, QModelIndex, QPersistentModelIndex, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFont, QFontMetrics, QKeyEvent, QPainter, QPen
from PySide6.QtWidgets import (
    QAbstractItemView,
    QLineEdit,
    QListView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QWidget,
)

from app.documents.doubt import SURE_ENOUGH
from app.documents.review_records import ReviewAction, ReviewedValue
from app.extraction.records import Grounding
from ui import display
from ui.icons import Icons
from ui.models.values import TITLE, VALUE, ValueModel
from ui.theme import GRID, ThemeStore, grown

Index = QModelIndex | QPersistentModelIndex

_PAD: Final = 12
_STRIPE: Final = 3
_BAR_WIDTH: Final = 40
_TWO_LINES, _THREE_LINES = 52, 72


class ValueList(QListView):
    """One row a value."""

    current_changed = Signal(str)
    """The name of the value that is meant now; empty when none."""
    accepted = Signal(str)
    corrected = Signal(str, str)
    absent = Signal(str)
    box_wanted = Signal(str)
    undo_wanted = Signal()
    rest_wanted = Signal()
    """Accept whatever nobody has decided about."""
    turn_wanted = Signal(int)
    """Another page: -1 or 1."""

    def __init__(self, themes: ThemeStore, icons: Icons) -> None:
        super().__init__()
        self.setObjectName("values")
        self.setAccessibleName(self.tr("Fields of the document"))
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.DoubleClicked | QAbstractItemView.EditTrigger.EditKeyPressed)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setMouseTracking(True)
        self.values = ValueModel(self)
        self.setModel(self.values)
        rows = _ValueRows(themes, icons, self)
        rows.corrected.connect(self.corrected)
        self.setItemDelegate(rows)
        themes.changed.connect(self.viewport().update)
        self.selectionModel().currentChanged.connect(lambda now, _before: self._announce(now))
        self.values.dataChanged.connect(lambda *_: self.doItemsLayout())

    @property
    def current(self) -> ReviewedValue | None:
        index = self.currentIndex()
        return self.values.value(index.row()) if index.isValid() else None

    def choose(self, name: str) -> None:
        """Make a value the current one."""
        row = self.values.row_of(name)
        if row is not None:
            self._go(row)

    def choose_first(self) -> None:
        """The first that needs a look, or else the first."""
        row = self.values.next_doubtful(-1)
        if row is None and self.values.rowCount():
            row = 0
        if row is not None:
            self._go(row)

    def choose_next_doubtful(self) -> bool:
        """Go to the next that needs a look; ``False`` when none is left."""
        row = self.values.next_doubtful(self.currentIndex().row())
        if row is None:
            return False
        self._go(row)
        return True

    def correct(self) -> None:
        """Open the field of the current value."""
        if self.currentIndex().isValid():
            self.edit(self.currentIndex())

    def _go(self, row: int) -> None:
        index = self.values.index(row, 0)
        self.setCurrentIndex(index)
        self.scrollTo(index)

    def _announce(self, now: QModelIndex) -> None:
        value = self.values.value(now.row()) if now.isValid() else None
        self.current_changed.emit(value.name if value is not None else "")

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if self.state() is QAbstractItemView.State.EditingState:
            return  # the Enter that ends a correction, handed on by its field
        modifiers = event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier
        if modifiers == Qt.KeyboardModifier.NoModifier and self._run(Qt.Key(event.key())):
            return
        if modifiers == Qt.KeyboardModifier.ShiftModifier and event.key() == Qt.Key.Key_A:
            self.rest_wanted.emit()
            return
        super().keyPressEvent(event)

    def _run(self, key: Qt.Key) -> bool:
        """Whether the key is one of ours."""
        keys: dict[Qt.Key, Callable[[str], object]] = {
            Qt.Key.Key_Return: self.accepted.emit,
            Qt.Key.Key_Enter: self.accepted.emit,
            Qt.Key.Key_A: self.accepted.emit,
            Qt.Key.Key_C: lambda _name: self.correct(),
            Qt.Key.Key_X: self.absent.emit,
            Qt.Key.Key_B: self.box_wanted.emit,
            Qt.Key.Key_N: lambda _name: self.choose_next_doubtful(),
            Qt.Key.Key_J: lambda _name: self._step(1),
            Qt.Key.Key_K: lambda _name: self._step(-1),
            Qt.Key.Key_U: lambda _name: self.undo_wanted.emit(),
            Qt.Key.Key_PageUp: lambda _name: self.turn_wanted.emit(-1),
            Qt.Key.Key_PageDown: lambda _name: self.turn_wanted.emit(1),
        }
        value = self.current
        if value is None or key not in keys:
            return False
        keys[key](value.name)
        return True

    def _step(self, step: int) -> None:
        self._go(min(max(self.currentIndex().row() + step, 0), self.values.rowCount() - 1))

    def keyboardSearch(self, search: str) -> None:
        """Letters are decisions here, not a search."""


class _ValueRows(QStyledItemDelegate):
    """Name and confidence, the value, and below it what should be known about it."""

    corrected = Signal(str, str)

    def __init__(self, themes: ThemeStore, icons: Icons, parent: QWidget) -> None:
        super().__init__(parent)
        self._themes, self._icons = themes, icons

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        value = index.data(VALUE)
        noted = isinstance(value, ReviewedValue) and bool(self._note(value)[0])
        return QSize(200, grown(_THREE_LINES if noted else _TWO_LINES))

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        value = index.data(VALUE)
        if not isinstance(value, ReviewedValue):
            return
        theme, fonts = self._themes.theme, self._themes.fonts
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        rect: QRect = option.rect
        state: QStyle.StateFlag = option.state
        if state & QStyle.StateFlag.State_Selected:
            painter.fillRect(rect, QColor(theme.selection))
        elif state & QStyle.StateFlag.State_MouseOver:
            painter.fillRect(rect, QColor(theme.hover))
        if value.doubtful:
            tone = theme.danger if value.value.problems else theme.warning
            painter.fillRect(QRect(rect.left(), rect.top() + 4, _STRIPE, rect.height() - 8), QColor(tone))
        box = rect.adjusted(_PAD, 7, -_PAD, -7)
        line = QFontMetrics(fonts.body).height()
        room = box.width() - self._paint_sureness(painter, box, value)
        self._write(
            painter, fonts.caption, theme.muted, QRect(box.left(), box.top(), room, line), str(index.data(TITLE))
        )
        second = QRect(box.left(), box.top() + line + 2, box.width(), line)
        shown = value.shown
        if shown is None:
            self._write(painter, fonts.body, theme.faint, second, self.tr("not in the document"))
        else:
            self._write(painter, fonts.strong, theme.text, second, " ".join(shown.split()))
        note, note_tone = self._note(value)
        if note:
            third = QRect(box.left(), second.bottom() + 3, box.width(), line)
            self._write(painter, fonts.caption, getattr(theme, note_tone), third, note)
        painter.setPen(QPen(QColor(theme.border), 1))
        painter.drawLine(rect.left() + _PAD, rect.bottom(), rect.right() - _PAD, rect.bottom())
        painter.restore()

    def _paint_sureness(self, painter: QPainter, box: QRect, value: ReviewedValue) -> int:
        """A mark for what a person decided, else the probability with a bar; returns the width it takes."""
        theme, fonts = self._themes.theme, self._themes.fonts
        line = QFontMetrics(fonts.caption).height()
        if value.review is not None:
            words = {
                ReviewAction.ACCEPTED: self.tr("accepted"),
                ReviewAction.CORRECTED: self.tr("corrected"),
                ReviewAction.ABSENT: self.tr("absent"),
                ReviewAction.TAKEN: self.tr("taken from the page"),
            }[value.review.action]
            width = QFontMetrics(fonts.caption).horizontalAdvance(words)
            place = QRect(box.right() - width, box.top(), width + 1, line)
            self._write(painter, fonts.caption, theme.success, place, words)
            icon = self._icons.pixmap("check", "success", 14, painter.device().devicePixelRatioF())
            painter.drawPixmap(box.right() - width - 18, box.top() + (line - 14) // 2, icon)
            return width + 26
        words = display.percent(value.value.confidence)
        width = QFontMetrics(fonts.caption).horizontalAdvance("100 %")
        tone = theme.warning if value.doubtful else theme.muted
        painter.setFont(fonts.caption)
        painter.setPen(QColor(tone))
        end = QRect(box.right() - width, box.top(), width + 1, line)
        painter.drawText(end, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, words)
        bar = QRectF(box.right() - width - GRID - _BAR_WIDTH, box.top() + line / 2 - 2, _BAR_WIDTH, 4)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(theme.border))
        painter.drawRoundedRect(bar, 2, 2)
        bar.setWidth(max(2.0, _BAR_WIDTH * value.value.confidence))
        painter.setBrush(QColor(theme.warning if value.doubtful else theme.accent))
        painter.drawRoundedRect(bar, 2, 2)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        return width + 2 * GRID + _BAR_WIDTH

    def _note(self, value: ReviewedValue) -> tuple[str, str]:
        """The line below a value, and its tone; empty when all is well."""
        if value.review is not None:
            return ("; ".join(value.review.problems), "warning")
        if value.value.problems:
            return (value.value.problems[0], "danger")
        words = {
            Grounding.EXACT: "",
            Grounding.NORMALISED: "",
            Grounding.FUZZY: self.tr("found in nearly these words"),
            Grounding.UNPROVEN: self.tr("unproven: not found in the document"),
            Grounding.ABSENT: self._absent(value),
        }[value.value.grounding]
        if not words and value.doubtful:
            words = self.tr("uncertain")
            if value.value.alternatives:
                words = self.tr("or: %1").replace("%1", ", ".join(value.value.alternatives[:3]))
        return (words, "warning" if value.doubtful else "faint")

    def _absent(self, value: ReviewedValue) -> str:
        if not value.doubtful:
            return ""
        sure = value.value.confidence >= SURE_ENOUGH  # then only a field that must be there is in doubt
        return self.tr("required, but not found") if sure else self.tr("perhaps overlooked")

    def _write(self, painter: QPainter, font: QFont, colour: str, place: QRect, text: str) -> None:
        painter.setFont(font)
        painter.setPen(QColor(colour))
        shown = QFontMetrics(font).elidedText(text, Qt.TextElideMode.ElideRight, place.width())
        painter.drawText(place, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, shown)

    # correcting in place

    def createEditor(self, parent: QWidget, option: QStyleOptionViewItem, index: Index) -> QWidget:
        editor = QLineEdit(parent)
        editor.setAccessibleName(self.tr("Right value of %1").replace("%1", str(index.data(TITLE))))
        return editor

    def updateEditorGeometry(self, editor: QWidget, option: QStyleOptionViewItem, index: Index) -> None:
        rect: QRect = option.rect
        line = QFontMetrics(self._themes.fonts.body).height()
        editor.setGeometry(rect.left() + _PAD - 6, rect.top() + line + 3, rect.width() - 2 * _PAD + 12, line + 12)

    def setModelData(self, editor: QWidget, model: QAbstractItemModel, index: Index) -> None:
        value = index.data(VALUE)
        assert isinstance(editor, QLineEdit)
        if isinstance(value, ReviewedValue) and editor.text().strip() and editor.text() != (value.shown or ""):
            self.corrected.emit(value.name, editor.text().strip())
