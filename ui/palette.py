"""The command palette: everything that can be done, found by a few letters, done with Enter."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QAbstractListModel, QEvent, QModelIndex, QObject, QPersistentModelIndex, QRect, QSize, Qt
from PySide6.QtGui import QColor, QKeyEvent, QPainter, QPen
from PySide6.QtWidgets import (
    QFrame,
    QGraphicsDropShadowEffect,
    QLineEdit,
    QListView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QWidget,
)

from ui.desk import Command
from ui.icons import SIZE, Icons
from ui.shortcuts import in_words
from ui.theme import GRID, ThemeStore, grown
from ui.widgets.parts import column, label

_WIDTH = 560
_ROW = 36
_MOST_ROWS = 9
_NOWHERE = -1
_COMMAND = Qt.ItemDataRole.UserRole

Index = QModelIndex | QPersistentModelIndex


def match(words: str, command: Command) -> int:
    """How well typed words fit a command: higher is better, negative is not at all.

    Every word must occur in the title or section: best at the title's start, then at a word's start, then inside a
    word, then as scattered letters.
    """
    title, section = command.title.casefold(), command.section.casefold()
    total = 0
    for word in words.casefold().split():
        if title.startswith(word):
            score = 40
        elif f" {word}" in title:
            score = 30
        elif word in title:
            score = 20
        elif word in section:
            score = 10
        elif len(word) > 1 and _scattered(word, title):
            score = 5
        else:
            return _NOWHERE
        total += score
    return total


def rank(words: str, commands: Sequence[Command]) -> list[Command]:
    """Commands that fit, best first; the given order decides between equals."""
    scored = [(match(words, command), place, command) for place, command in enumerate(commands)]
    return [command for score, _, command in sorted(scored, key=lambda s: (-s[0], s[1])) if score != _NOWHERE]


def _scattered(letters: str, title: str) -> bool:
    rest = iter(title)
    return all(letter in rest for letter in letters)


class CommandsModel(QAbstractListModel):
    """The ranked commands."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.commands: list[Command] = []

    def replace(self, commands: list[Command]) -> None:
        self.beginResetModel()
        self.commands = commands
        self.endResetModel()

    def rowCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self.commands)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        command = self.commands[index.row()]
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            return command.title
        if role == Qt.ItemDataRole.AccessibleDescriptionRole:
            return " ".join((command.section, in_words(command.shortcut)))
        return command if role == _COMMAND else None


class _Delegate(QStyledItemDelegate):
    """Icon, title, quiet section, key."""

    def __init__(self, themes: ThemeStore, icons: Icons, parent: QObject) -> None:
        super().__init__(parent)
        self._themes, self._icons = themes, icons

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        return QSize(0, grown(_ROW))

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        command = index.data(_COMMAND)
        assert isinstance(command, Command)
        theme, fonts = self._themes.theme, self._themes.fonts
        area: QRect = option.rect.adjusted(GRID, 0, -GRID, 0)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if option.state & QStyle.StateFlag.State_Selected:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(theme.selection))
            painter.drawRoundedRect(area, 6, 6)
        inner = area.adjusted(12, 0, -12, 0)
        if command.icon:
            icon = self._icons.icon(command.icon)
            icon.paint(painter, QRect(inner.left(), inner.center().y() - SIZE // 2 + 1, SIZE, SIZE))
        inner.setLeft(inner.left() + SIZE + 12)
        painter.setFont(fonts.caption)
        keys = in_words(command.shortcut)
        if keys:
            width = painter.fontMetrics().horizontalAdvance(keys) + 12
            box = QRect(inner.right() - width, inner.center().y() - 10, width, 21)
            painter.setPen(QPen(QColor(theme.border_strong), 1))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(box, 4, 4)
            painter.setPen(QColor(theme.muted))
            painter.drawText(box, Qt.AlignmentFlag.AlignCenter, keys)
            inner.setRight(box.left() - 12)
        painter.setPen(QColor(theme.muted))
        section_width = painter.fontMetrics().horizontalAdvance(command.section)
        painter.drawText(inner, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight, command.section)
        inner.setRight(inner.right() - section_width - 12)
        painter.setPen(QColor(theme.text))
        painter.setFont(fonts.body)
        title = painter.fontMetrics().elidedText(command.title, Qt.TextElideMode.ElideRight, inner.width())
        painter.drawText(inner, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, title)
        painter.restore()


class Palette(QFrame):
    """Over the window while one types; goes with Escape, Enter or when the focus goes."""

    def __init__(self, window: QWidget, themes: ThemeStore, icons: Icons) -> None:
        super().__init__(window)
        self.setProperty("kind", "palette")
        self.setAccessibleName(self.tr("Command palette"))
        self._themes = themes
        self._commands: Sequence[Command] = ()
        self._before: QWidget | None = None
        self.field = QLineEdit()
        self.field.setPlaceholderText(self.tr("What would you like to do?"))
        self.field.setAccessibleName(self.tr("Search commands"))
        self.field.setClearButtonEnabled(False)
        self.field.textChanged.connect(self._rank)
        self.field.installEventFilter(self)
        self._model = CommandsModel(self)
        self.list = QListView()
        self.list.setAccessibleName(self.tr("Commands"))
        self.list.setModel(self._model)
        self.list.setItemDelegate(_Delegate(themes, icons, self))
        self.list.setUniformItemSizes(True)
        self.list.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.clicked.connect(lambda _index: self._run())
        self._nothing = label(self.tr("Nothing of that name."), tone="muted")
        self._nothing.setContentsMargins(2 * GRID, GRID, 0, GRID)
        top = column(self.field)
        top.setContentsMargins(12, 12, 12, 4)
        layout = column(top, self.list, self._nothing)
        layout.setContentsMargins(0, 0, 0, GRID)
        self.setLayout(layout)
        shadow = QGraphicsDropShadowEffect(self)
        shadow.setBlurRadius(32)
        shadow.setOffset(0, 8)
        shadow.setColor(QColor(0, 0, 0, 90))
        self.setGraphicsEffect(shadow)
        self.hide()

    def open(self, commands: Sequence[Command]) -> None:
        """Show these commands; the same key closes it again."""
        if self.isVisible():
            self.close_()
            return
        self._commands = commands
        self._before = self.window().focusWidget()
        self.field.clear()
        self._rank("")
        self.show()
        self.raise_()
        self.field.setFocus(Qt.FocusReason.ShortcutFocusReason)

    def close_(self) -> None:
        """Hide and give the focus back."""
        self.hide()
        if self._before is not None:
            self._before.setFocus(Qt.FocusReason.PopupFocusReason)
            self._before = None

    def _rank(self, words: str) -> None:
        self._model.replace(rank(words, self._commands))
        rows = self._model.rowCount()
        if rows:
            self.list.setCurrentIndex(self._model.index(0))
        self.list.setVisible(rows > 0)
        self._nothing.setVisible(rows == 0)
        self.list.setFixedHeight(min(rows, _MOST_ROWS) * grown(_ROW))
        width = min(grown(_WIDTH), self.window().width() - 4 * GRID)
        self.setFixedWidth(width)
        self.adjustSize()
        self.move((self.window().width() - width) // 2, 10 * GRID)

    def _run(self) -> None:
        row = self.list.currentIndex().row()
        if 0 <= row < self._model.rowCount():
            command = self._model.commands[row]
            self.close_()
            command.run()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() is QEvent.Type.FocusOut and self.isVisible():
            self._before = None
            self.hide()
        if event.type() is not QEvent.Type.KeyPress or not isinstance(event, QKeyEvent):
            return False
        key = event.key()
        if key == Qt.Key.Key_Escape:
            self.close_()
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._run()
        elif key in (Qt.Key.Key_Down, Qt.Key.Key_Up, Qt.Key.Key_PageDown, Qt.Key.Key_PageUp):
            step = {Qt.Key.Key_Down: 1, Qt.Key.Key_Up: -1, Qt.Key.Key_PageDown: 8, Qt.Key.Key_PageUp: -8}[Qt.Key(key)]
            rows = self._model.rowCount()
            if rows:
                row = self.list.currentIndex().row() + step
                row = row % rows if abs(step) == 1 else max(0, min(rows - 1, row))
                self.list.setCurrentIndex(self._model.index(row))
        else:
            return False
        return True
