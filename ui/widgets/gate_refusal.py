"""Why something may not leave, and the step that could change it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from PySide6.QtCore import QCoreApplication, Signal
from PySide6.QtWidgets import QFrame

from app.gate.records import Verdict
from engine.errors import GatehouseError
from ui.theme import ThemeStore
from ui.widgets.parts import button, column, label, row, set_kind

StepKey = Literal["online", "ask", "providers", "budgets", "edit", "again"]


@dataclass(frozen=True, slots=True)
class Step:
    """A button's key and words."""

    key: StepKey
    words: str


def step_of(code: str) -> Step | None:
    """What a person can do about a refusal; ``None`` when there is nothing but to stay local. Pure."""
    steps = {
        "offline": Step("online", _tr("Switch offline off")),
        "local_only": Step("ask", _tr("Set this conversation to Ask each time")),
        "no_provider": Step("providers", _tr("Add a provider")),
        "no_such_provider": Step("providers", _tr("See the providers")),
        "key_missing": Step("providers", _tr("Enter the key again")),
        "leak": Step("edit", _tr("Edit what would leave")),
        "restricted_quote": Step("edit", _tr("Edit what would leave")),
        "context_overflow": Step("edit", _tr("Leave messages out")),
        "no_such_preview": Step("again", _tr("Look again")),
        "provider_changed": Step("again", _tr("Look again")),
        "no_price": Step("providers", _tr("Enter its prices")),
        "budget": Step("budgets", _tr("See the budgets")),
    }
    return steps.get(code)


class RefusalFrame(QFrame):
    """Hidden while everything may leave."""

    step_wanted = Signal(str)

    def __init__(self, themes: ThemeStore) -> None:
        super().__init__()
        self._step: Step | None = None
        self._sentence = label("", wrap=True)
        self._hint = label("", themes.fonts.caption, "muted", wrap=True)
        self.button = button("", self._go)
        whole = row(column(self._sentence, self._hint, spacing=2), self.button, spacing=12)
        whole.setStretch(0, 1)
        whole.setContentsMargins(14, 10, 10, 10)
        self.setLayout(whole)
        self.hide()

    @property
    def sentence(self) -> str:
        return self._sentence.text() if not self.isHidden() else ""

    def show_verdict(self, verdict: Verdict) -> None:
        self.setVisible(not verdict.allowed)
        if not verdict.allowed:
            self._tell("warning", verdict.code, verdict.sentence, verdict.hint)

    def show_error(self, error: GatehouseError) -> None:
        """Something failed on the way; nothing was sent by it."""
        self.show()
        self._tell("danger", error.code, error.sentence, error.hint)

    def _tell(self, kind: str, code: str, sentence: str, hint: str) -> None:
        set_kind(self, kind)
        self._step = step_of(code) or (Step("again", _tr("Look again")) if kind == "danger" else None)
        self._sentence.setText(sentence)
        self._hint.setText(hint)
        self._hint.setVisible(bool(hint))
        self.button.setVisible(self._step is not None)
        self.button.setText(self._step.words if self._step else "")
        self.setAccessibleName(f"{sentence} {hint}".strip())

    def _go(self) -> None:
        if self._step is not None:
            self.step_wanted.emit(self._step.key)


def _tr(text: str) -> str:
    return QCoreApplication.translate("gate", text)
