"""The popover in which a conversation's system prompt is written."""

from __future__ import annotations

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QFrame, QPlainTextEdit, QWidget

from ui.theme import GRID, ThemeStore, grown
from ui.widgets.parts import button, column, label, row

_WIDTH = 420


class SystemPromptCard(QFrame):
    """Goes by itself when one clicks elsewhere; only *Save* keeps what was written."""

    saved = Signal(str)

    def __init__(self, text: str, themes: ThemeStore, parent: QWidget) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setProperty("kind", "notice")
        self.setAccessibleName(self.tr("System prompt"))
        self._text = QPlainTextEdit(text)
        self._text.setPlaceholderText(self.tr("For example: Answer briefly, in British English."))
        self._text.setAccessibleName(self.tr("System prompt"))
        self._text.setTabChangesFocus(True)
        self._text.setFixedHeight(grown(120))
        note = label(
            self.tr("Said to the model before every message of this conversation."),
            themes.fonts.caption,
            "muted",
            wrap=True,
        )
        foot = row(
            None,
            button(self.tr("Cancel"), self.close, "quiet"),
            button(self.tr("Save"), self._save, "primary"),
        )
        layout = column(label(self.tr("System prompt"), themes.fonts.strong), note, self._text, foot, spacing=GRID)
        layout.setContentsMargins(16, 14, 16, 12)
        self.setLayout(layout)
        self.setFixedWidth(grown(_WIDTH))

    def open_at(self, corner: QPoint) -> None:
        """Show with its upper right corner there."""
        self.adjustSize()
        self.move(corner - QPoint(self.width(), 0))
        self.show()
        self._text.setFocus(Qt.FocusReason.PopupFocusReason)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        control = event.modifiers() & Qt.KeyboardModifier.ControlModifier
        if control and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._save()
        else:
            super().keyPressEvent(event)

    def _save(self) -> None:
        self.saved.emit(self._text.toPlainText().strip())
        self.close()
