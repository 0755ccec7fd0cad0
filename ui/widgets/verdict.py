"""What became of an answer that did not end by itself, with the next step."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QLabel, QWidget

from app.chat.records import Message, MessageStatus
from ui.icons import Icons
from ui.widgets.ink import Ink
from ui.widgets.parts import button, label, row


class Verdict(QFrame):
    """A sentence and its buttons: *Continue* where there is text to go on from, *Try again* always."""

    retried = Signal()
    continued = Signal()

    def __init__(self, message: Message, ink: Ink, icons: Icons, parent: QWidget) -> None:
        super().__init__(parent)
        quiet = message.status is MessageStatus.STOPPED
        self.setProperty("kind", "" if quiet else ("danger" if message.status is MessageStatus.FAILED else "warning"))
        layout = row(spacing=8)
        layout.setContentsMargins(*((0, 0, 0, 0) if quiet else (12, 8, 8, 8)))
        tone, font = ("muted", ink.caption) if quiet else ("", None)
        self._words = label(self._sentence(message), font, tone, wrap=True)
        if not quiet:
            layout.addWidget(_sign(icons, message.status), 0, Qt.AlignmentFlag.AlignTop)
        layout.addWidget(self._words, 1)
        if message.text:
            layout.addWidget(button(self.tr("Continue"), self.continued.emit, "link" if quiet else ""))
        layout.addWidget(button(self.tr("Try again"), self.retried.emit, "link" if quiet else ""))
        self.setLayout(layout)

    @property
    def words(self) -> str:
        return self._words.text()

    def height_for(self, width: int) -> int:
        layout = self.layout()
        assert layout is not None
        return max(layout.heightForWidth(width) if layout.hasHeightForWidth() else 0, layout.sizeHint().height(), 28)

    def _sentence(self, message: Message) -> str:
        if message.status is MessageStatus.STOPPED:
            return self.tr("Stopped.")
        if message.status is MessageStatus.INTERRUPTED:
            cause = message.error or self.tr("The model ended in the middle of this answer.")
            return self.tr("Interrupted. %1").replace("%1", cause)
        return message.error or self.tr("No answer came.")


def _sign(icons: Icons, status: MessageStatus) -> QLabel:
    sign = QLabel()
    failed = status is MessageStatus.FAILED
    sign.setPixmap(
        icons.pixmap("circle-alert" if failed else "triangle-alert", "danger" if failed else "warning", 18, 2.0)
    )
    sign.setContentsMargins(0, 5, 0, 0)
    return sign
