"""A few choices side by side of which one is taken; arrow keys move between them."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QButtonGroup, QPushButton, QWidget

from ui.widgets.parts import button, row


class ChoiceBar(QWidget):
    """``chosen`` tells the key of a choice that a person took."""

    chosen = Signal(str)

    def __init__(self, name: str, choices: Sequence[tuple[str, str]]) -> None:
        """``choices`` are keys and words."""
        super().__init__()
        self.setAccessibleName(name)
        self._group = QButtonGroup(self)
        self._buttons: dict[str, QPushButton] = {}
        for key, words in choices:
            made = button(words, None, "choice")
            made.setCheckable(True)
            self._group.addButton(made)
            self._buttons[key] = made
        self.setLayout(row(*self._buttons.values(), spacing=4))
        self._group.buttonClicked.connect(lambda _button: self.chosen.emit(self.key))
        self.choose(choices[0][0])

    @property
    def key(self) -> str:
        """What is chosen."""
        return next((key for key, made in self._buttons.items() if made.isChecked()), "")

    def choose(self, key: str) -> None:
        """Without telling."""
        self._buttons[key].setChecked(True)

    def take_focus(self) -> None:
        """The keyboard goes to what is chosen."""
        self._buttons[self.key].setFocus(Qt.FocusReason.OtherFocusReason)
