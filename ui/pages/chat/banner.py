"""The line above the composer when the model cannot answer: why, and the next step."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QBoxLayout, QFrame

from ui.pages.chat.model_words import Trouble
from ui.theme import ThemeStore
from ui.widgets.parts import button, column, label, row, set_kind

_NARROW = 600
"""Below this the buttons go under the words."""


class Banner(QFrame):
    """Hidden while there is no trouble."""

    step_wanted = Signal(str, object)
    """``smaller`` (with the context), ``again``, ``models``."""

    def __init__(self, themes: ThemeStore) -> None:
        super().__init__()
        self._trouble: Trouble | None = None
        self._sentence = label("", themes.fonts.body, wrap=True)
        self._hint = label("", themes.fonts.caption, "muted", wrap=True)
        self._step = button("", self._go)
        self._other = button(self.tr("Models"), lambda: self.step_wanted.emit("models", None), "quiet")
        self._flow = row(column(self._sentence, self._hint, spacing=2), row(None, self._other, self._step))
        self._flow.setStretch(0, 1)
        self._flow.setContentsMargins(14, 10, 10, 10)
        self.setLayout(self._flow)
        self.hide()

    def show_trouble(self, trouble: Trouble | None) -> None:
        self._trouble = trouble
        self.setVisible(trouble is not None)
        if trouble is None:
            return
        set_kind(self, trouble.kind)
        self._sentence.setText(trouble.sentence)
        self._hint.setText(trouble.hint)
        self._hint.setVisible(bool(trouble.hint))
        self._step.setText(trouble.step_words)
        self._other.setVisible(trouble.step != "models")
        self.setAccessibleName(f"{trouble.sentence} {trouble.hint}".strip())

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        narrow = event.size().width() < _NARROW
        self._flow.setDirection(QBoxLayout.Direction.TopToBottom if narrow else QBoxLayout.Direction.LeftToRight)

    def _go(self) -> None:
        if self._trouble is not None:
            self.step_wanted.emit(self._trouble.step, self._trouble.n_ctx)
