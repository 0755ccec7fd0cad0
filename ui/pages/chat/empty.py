"""What a new conversation shows: a friendly line, and three prompts that a small local model answers well."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication, Qt, Signal
from PySide6.QtWidgets import QPushButton, QSizePolicy, QWidget

from ui.theme import GRID, ThemeStore, grown
from ui.widgets.parts import button, column, label

_WIDTH = 520


def examples() -> tuple[str, ...]:
    """Short tasks with little to know and little to get wrong."""
    return (
        _tr("Explain in three sentences why the sky is blue."),
        _tr("Write a polite e-mail that moves a meeting from Tuesday to Thursday."),
        _tr("Write a Python function that counts the words in a text."),
    )


class EmptyChat(QWidget):
    """Asks by ``picked`` for a prompt to be put into the composer."""

    picked = Signal(str)
    larger_wanted = Signal()
    """Somebody who begins with a small model would like to see what else runs here."""

    def __init__(self, themes: ThemeStore) -> None:
        super().__init__()
        title = label(self.tr("What shall we work on?"), themes.fonts.headline)
        self.note = label("", themes.fonts.body, "muted", wrap=True)
        title.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self.note.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        inner = QWidget()
        inner.setFixedWidth(grown(_WIDTH))
        self.buttons = [self._example(prompt) for prompt in examples()]
        layout = column(title, self.note, spacing=GRID)
        layout.addSpacing(2 * GRID)
        for made in self.buttons:
            layout.addWidget(made)
        self.larger = button(self.tr("This model is small and weak on facts. See larger ones…"), None, "link")
        self.larger.clicked.connect(self.larger_wanted)
        self.larger.hide()
        layout.addSpacing(GRID)
        layout.addWidget(self.larger, alignment=Qt.AlignmentFlag.AlignHCenter)
        inner.setLayout(layout)
        outer = column(None, inner, None)
        outer.setAlignment(inner, Qt.AlignmentFlag.AlignHCenter)
        self.setLayout(outer)
        self._model, self._shut = "", True
        self.show_note("")

    def show_note(self, model: str, *, small: bool = False) -> None:
        """Name the model that will answer, where there is one; a small one is said to be small."""
        self._model = model
        self.larger.setVisible(small)
        self._tell()

    def show_gate(self, *, shut: bool) -> None:
        """Whether the gate of the new conversation is shut: only then it is said that nothing leaves."""
        self._shut = shut
        self._tell()

    def _tell(self) -> None:
        answers = self.tr("A model on this machine will answer.")
        if self._model:
            answers = self.tr("%1 answers, on this machine.").replace("%1", self._model)
        leaves = self.tr("Nothing you write leaves it.") if self._shut else self.tr("You may ask the cloud as well.")
        self.note.setText(f"{answers} {leaves}")

    def _example(self, prompt: str) -> QPushButton:
        made = button(prompt, lambda: self.picked.emit(prompt), name=self.tr("Example: %1").replace("%1", prompt))
        made.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        made.setStyleSheet("QPushButton { text-align: left; padding: 9px 14px; }")
        made.setCursor(Qt.CursorShape.PointingHandCursor)
        return made


def _tr(text: str) -> str:
    return QCoreApplication.translate("examples", text)
