"""Changing what would leave: one message's outgoing text, or leaving an earlier message out."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QCheckBox, QComboBox, QPlainTextEdit, QWidget

from app.gate.records import Preview, PreviewChange
from ui.theme import ThemeStore
from ui.widgets.parts import button, column, label, row


class OutgoingEdit(QWidget):
    """``taken`` carries the change; what is typed is scanned and redacted like everything else."""

    taken = Signal(object)
    """A ``PreviewChange``."""
    closed = Signal()

    def __init__(self, themes: ThemeStore) -> None:
        super().__init__()
        self._preview: Preview | None = None
        self.which = QComboBox()
        self.which.setAccessibleName(self.tr("Which message to edit"))
        self.which.activated.connect(self._show_message)
        self.text = QPlainTextEdit()
        self.text.setTabChangesFocus(True)
        self.text.setAccessibleName(self.tr("Text that would leave"))
        self.text.document().setDocumentMargin(12)
        self.left_out = QCheckBox(self.tr("Leave this message out"))
        self.left_out.toggled.connect(self.text.setDisabled)
        note = label(
            self.tr("What you type here is looked through again before it can leave."),
            themes.fonts.caption,
            "muted",
            wrap=True,
        )
        foot = row(
            self.left_out,
            None,
            button(self.tr("Cancel"), self.close_, "quiet"),
            button(self.tr("Use this text"), self.take, "primary"),
        )
        layout = column(self.which, self.text, note, foot, spacing=6)
        layout.setStretch(1, 1)
        self.setLayout(layout)

    def begin(self, preview: Preview) -> None:
        """Offer the messages of a preview, the last one first."""
        self._preview = preview
        self.which.clear()
        for place, message in enumerate(preview.messages):
            words = message.source or message.role
            first = " ".join(message.after.split())[:40]
            self.which.addItem(f"{words[:1].upper()}{words[1:]}: {first}…", place)
        self.which.setCurrentIndex(len(preview.messages) - 1)
        self._show_message(len(preview.messages) - 1)
        self.text.setFocus(Qt.FocusReason.OtherFocusReason)

    def take(self) -> None:
        """Hand the change over, if it is one."""
        preview = self._preview
        if preview is None:
            return
        place = int(self.which.currentData())
        edits = {n: message.after for n, message in enumerate(preview.messages) if message.edited}
        text = self.text.toPlainText()
        if text != preview.messages[place].after:
            edits[place] = text
        left_out = preview.left_out - {place} if not self.left_out.isChecked() else preview.left_out | {place}
        self.closed.emit()
        self.taken.emit(PreviewChange(edits=edits, left_out=left_out))

    def close_(self) -> None:
        self.closed.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        control = event.modifiers() & Qt.KeyboardModifier.ControlModifier
        if event.key() == Qt.Key.Key_Escape:
            self.close_()
        elif control and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.take()
        else:
            super().keyPressEvent(event)

    def _show_message(self, place: int) -> None:
        preview = self._preview
        if preview is None:
            return
        self.text.setPlainText(preview.messages[place].after)
        last = place == len(preview.messages) - 1
        self.left_out.setVisible(not last)
        self.left_out.setChecked(place in preview.left_out)
        self.text.setDisabled(self.left_out.isChecked())
