"""The line above the composer when the model cannot answer: why, and the next step."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QCoreApplication, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QBoxLayout, QFrame

from app.models.records import LoadedModel
from engine.worker.spec import Failed
from ui import display
from ui.theme import ThemeStore
from ui.widgets.parts import button, column, label, row, set_kind

_NARROW = 600
"""Below this the buttons go under the words."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """What a banner says. ``step`` is a key of ``Banner.step_wanted``."""

    kind: str
    sentence: str
    hint: str
    step: str
    step_words: str
    n_ctx: int | None = None


def trouble_of(loaded: LoadedModel, any_model: bool) -> Trouble | None:
    """What stands between the person and an answer; ``None`` when nothing does. Pure."""
    if loaded.misfit is not None:
        misfit = loaded.misfit
        if misfit.offered_n_ctx is not None:
            words = _tr("Load with %1 of context").replace("%1", display.tokens(misfit.offered_n_ctx))
            return Trouble("warning", misfit.sentence, misfit.hint, "smaller", words, misfit.offered_n_ctx)
        return Trouble("warning", misfit.sentence, misfit.hint, "models", _tr("Choose a model"))
    if isinstance(loaded.state, Failed):
        return Trouble("danger", loaded.state.sentence, loaded.state.hint, "again", _tr("Load again"))
    if not any_model:
        words = _tr("There is no model on this machine yet.")
        return Trouble("card", words, _tr("Add a file or use the starter model."), "models", _tr("Go to Models"))
    return None


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


def _tr(text: str) -> str:
    return QCoreApplication.translate("banner", text)
