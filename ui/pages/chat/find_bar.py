"""Find in the open conversation: a field over the transcript, next and previous, and how many there are."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, Qt, QTimer, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QFrame, QLineEdit

from app.chat.records import Message
from ui.icons import Icons
from ui.theme import ThemeStore
from ui.widgets.icon_button import IconButton
from ui.widgets.parts import label, row
from ui.widgets.transcript import Transcript

_AFTER_MS = 100


def occurrences(messages: list[Message], words: str) -> list[tuple[str, int]]:
    """Each place as message id and number within the message, from the top. Pure."""
    needle = words.casefold()
    if not needle:
        return []
    return [(m.id, nth) for m in messages for nth in range(m.text.casefold().count(needle))]


class FindBar(QFrame):
    """Escape closes it, Enter goes on, Shift+Enter goes back."""

    closed = Signal()

    def __init__(self, transcript: Transcript, themes: ThemeStore, icons: Icons) -> None:
        super().__init__()
        self._transcript = transcript
        self._places: list[tuple[str, int]] = []
        self._at = -1
        self.setProperty("kind", "find")
        self.field = QLineEdit()
        self.field.setPlaceholderText(self.tr("Find in this conversation"))
        self.field.setAccessibleName(self.tr("Find in this conversation"))
        self.field.setMaximumWidth(320)
        self.field.installEventFilter(self)
        self._count = label("", themes.fonts.caption, "muted")
        self._count.setMinimumWidth(64)
        back = IconButton("chevron-up", self.tr("Previous"), icons, themes, size=28)
        on = IconButton("chevron-down", self.tr("Next"), icons, themes, size=28)
        shut = IconButton("x", self.tr("Close"), icons, themes, size=28)
        back.clicked.connect(lambda: self.step(-1))
        on.clicked.connect(lambda: self.step(1))
        shut.clicked.connect(self.close_bar)
        layout = row(None, self.field, self._count, back, on, shut, spacing=4)
        layout.setContentsMargins(16, 6, 12, 6)
        self.setLayout(layout)
        self._pause = QTimer(self, singleShot=True, interval=_AFTER_MS)
        self._pause.timeout.connect(self.look)
        self.field.textChanged.connect(lambda _text: self._pause.start())
        self.hide()

    def open_bar(self) -> None:
        self.show()
        self.field.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.field.selectAll()
        if self.field.text():
            self.look()

    def close_bar(self) -> None:
        self.hide()
        self._transcript.mark_words("")
        self.closed.emit()

    @property
    def count(self) -> str:
        """Which of how many, in words."""
        return self._count.text()

    def look(self) -> None:
        """Find anew; begins at the last place, which is nearest to where one usually is."""
        self._pause.stop()
        words = self.field.text()
        self._places = occurrences(self._transcript.messages, words)
        self._transcript.mark_words(words)
        self._at = len(self._places) - 1
        self._show()

    def step(self, by: int) -> None:
        if self._pause.isActive():
            self.look()
        elif self._places:
            self._at = (self._at + by) % len(self._places)
            self._show()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if isinstance(event, QKeyEvent) and event.type() is QEvent.Type.KeyPress:
            if event.key() == Qt.Key.Key_Escape:
                self.close_bar()
                return True
            if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
                self.step(-1 if event.modifiers() & Qt.KeyboardModifier.ShiftModifier else 1)
                return True
        return super().eventFilter(watched, event)

    def _show(self) -> None:
        if not self.field.text():
            self._count.setText("")
        elif not self._places:
            self._count.setText(self.tr("None"))
        else:
            words = self.tr("%1 of %2").replace("%1", str(self._at + 1)).replace("%2", str(len(self._places)))
            self._count.setText(words)
            self._transcript.show_found(*self._places[self._at])
