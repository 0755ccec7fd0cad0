"""What a thinking model wrote before its answer: folded to one line until somebody wants to read it."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Signal
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from ui.icons import Icons
from ui.widgets.body import MessageBody
from ui.widgets.highlight import LexerShelf
from ui.widgets.ink import Ink
from ui.widgets.quiet_button import QuietButton

_HEAD = 28
_INDENT = 14


class Reasoning(QWidget):
    """``tall`` is its height for the width it was given."""

    height_changed = Signal()

    def __init__(self, ink: Ink, icons: Icons, shelf: LexerShelf, parent: QWidget) -> None:
        super().__init__(parent)
        self._ink, self._icons, self._shelf = ink, icons, shelf
        self._text = ""
        self._finished = False
        self._body: MessageBody | None = None
        self.tall = _HEAD
        self._head = QuietButton(self.tr("Show the reasoning"), ink, icons, self, icon="brain", text=" ")
        self._head.move(-6, 0)
        self._head.clicked.connect(self._toggle)
        self._label()

    def append(self, text: str) -> None:
        self._text += text
        if self._body is not None:
            self._body.append(text)

    def show_all(self, text: str, *, finished: bool) -> None:
        """The whole reasoning so far."""
        if text.startswith(self._text):
            self.append(text[len(self._text) :])
        self._finished = finished
        if finished and self._body is not None:
            self._body.end()
        self._label()

    def set_width(self, width: int) -> None:
        self.resize(width, self.tall)
        self._lay_out()

    def set_ink(self, ink: Ink) -> None:
        self._ink = ink
        self._head.set_ink(ink)
        if self._body is not None:
            self._body.set_ink(ink)

    @property
    def idle(self) -> bool:
        return self._body is None or self._body.idle

    def work(self, deadline: float) -> None:
        if self._body is not None:
            self._body.work(deadline)

    def paintEvent(self, event: QPaintEvent) -> None:
        if self._body is not None:
            painter = QPainter(self)
            painter.fillRect(QRectF(1, _HEAD + 4, 2, self._body.height()), self._ink.border)
            painter.end()

    def _toggle(self) -> None:
        if self._body is None:
            self._body = MessageBody(self._ink, self._shelf, parent=self)
            self._body.setAccessibleName(self.tr("Reasoning"))
            self._body.height_changed.connect(self._lay_out)
            self._body.append(self._text)
            if self._finished:
                self._body.end()
            self._body.show()
        else:
            self._body.hide()
            self._body.deleteLater()
            self._body = None
        self._label()
        self._lay_out()
        self.height_changed.emit()

    def _label(self) -> None:
        words = self.tr("Reasoning") if self._finished else self.tr("Thinking…")
        self._head.set_text(words)
        name = self.tr("Show the reasoning") if self._body is None else self.tr("Hide the reasoning")
        self._head.setAccessibleName(name)
        self._head.setToolTip(name)

    def _lay_out(self) -> None:
        tall = _HEAD
        if self._body is not None:
            self._body.set_width(max(self.width() - _INDENT, 80))
            self._body.move(_INDENT, _HEAD + 4)
            tall += self._body.height() + 8
        if tall != self.tall:
            self.tall = tall
            self.resize(self.width(), tall)
            self.height_changed.emit()
