"""The editor that takes the place of one's own message."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt, Signal
from PySide6.QtGui import QKeyEvent, QPainter, QPaintEvent, QPen, QTextCursor
from PySide6.QtWidgets import QFrame, QPlainTextEdit, QWidget

from ui.widgets.growing_edit import GrowingEdit
from ui.widgets.ink import Ink
from ui.widgets.parts import button, column, label, row


class MessageEdit(QFrame):
    """Enter sends, Shift+Enter breaks the line, Escape gives up."""

    accepted = Signal(str)
    cancelled = Signal()
    height_changed = Signal()

    def __init__(self, text: str, ink: Ink, parent: QWidget) -> None:
        super().__init__(parent)
        self._ink = ink
        self._text = GrowingEdit(least_lines=1, most_lines=14)
        self._text.setFont(ink.body)
        self._text.setPlainText(text)
        self._text.setAccessibleName(self.tr("Edit message"))
        self._text.setFrameShape(QPlainTextEdit.Shape.NoFrame)
        self._text.setStyleSheet("QPlainTextEdit { border: none; background: transparent; }")
        self._text.submitted.connect(self._accept)
        self._text.height_wanted.connect(lambda _height: self.height_changed.emit())
        self._note = label(self.tr("The answer is written anew; the old branch stays."), ink.caption, "faint")
        foot = row(
            self._note,
            None,
            button(self.tr("Cancel"), self.cancelled.emit, "quiet"),
            button(self.tr("Send"), self._accept, "primary"),
        )
        layout = column(self._text, foot)
        layout.setContentsMargins(12, 10, 12, 10)
        self.setLayout(layout)

    def take_focus(self) -> None:
        self._text.setFocus(Qt.FocusReason.OtherFocusReason)
        self._text.moveCursor(QTextCursor.MoveOperation.End)

    def height_for(self, width: int) -> int:
        self._text.fit(width - 24)
        return self.sizeHint().height()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(self._ink.accent, 1.5))
        painter.setBrush(self._ink.surface)
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(1, 1, -1, -1), 12, 12)
        painter.end()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape:
            self.cancelled.emit()
        else:
            super().keyPressEvent(event)

    def _accept(self) -> None:
        self.accepted.emit(self._text.toPlainText())
