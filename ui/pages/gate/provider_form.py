"""One provider: who, where, which model, at what price, and its key, which is taken and never shown again."""

from __future__ import annotations

from PySide6.QtCore import QStringListModel, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QCompleter, QDoubleSpinBox, QFrame, QGridLayout, QLineEdit, QSpinBox, QWidget

from app.gate.records import Provider, ProviderTest
from ui import display
from ui.desk import Desk
from ui.theme import GRID
from ui.widgets.choice_bar import ChoiceBar
from ui.widgets.parts import button, column, label, row, set_kind

_UNKNOWN = -0.01
"""A price below nothing is shown as *not known*."""


class ProviderForm(QWidget):
    """``saved`` carries the provider and the key that was typed, empty when none was."""

    saved = Signal(object, str)
    test_wanted = Signal(str)
    remove_wanted = Signal(object)
    forget_wanted = Signal(object)

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._provider: Provider | None = None
        fonts = desk.themes.fonts
        self.title = label("", fonts.title)
        self.name = _field(self.tr("Name"), "OpenAI")
        self.base_url = _field(self.tr("Base URL"), "https://api.openai.com/v1")
        self.model = _field(self.tr("Model"), "gpt-5-mini")
        self._known_models = QStringListModel(self)
        completer = QCompleter(self._known_models, self)
        completer.setFilterMode(Qt.MatchFlag.MatchContains)
        completer.setCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        self.model.setCompleter(completer)
        self.trust = ChoiceBar(self.tr("Trust"), [("cloud", self.tr("Cloud")), ("team", self.tr("Team server"))])
        self.trust.chosen.connect(lambda _key: self._show_trust())
        self._trust_note = label("", fonts.caption, "muted", wrap=True)
        self.price_in = _price(self.tr("Price of a million prompt tokens in dollars"))
        self.price_out = _price(self.tr("Price of a million answer tokens in dollars"))
        self.n_ctx = QSpinBox()
        self.n_ctx.setRange(0, 10_000_000)
        self.n_ctx.setSingleStep(1024)
        self.n_ctx.setGroupSeparatorShown(True)
        self.n_ctx.lineEdit().setTextMargins(7, 0, 7, 0)
        self.n_ctx.setSpecialValueText(self.tr("not known"))
        self.n_ctx.setAccessibleName(self.tr("Context in tokens"))
        self.key = _field(self.tr("Key"), "")
        self.key.setEchoMode(QLineEdit.EchoMode.Password)
        self.key.setInputMethodHints(Qt.InputMethodHint.ImhHiddenText | Qt.InputMethodHint.ImhSensitiveData)
        self._key_note = label("", fonts.caption, "muted", wrap=True)
        self.forget = button(self.tr("Forget the key"), self._forget, "link")
        self.save = button(self.tr("Save"), self.store, "primary")
        self.test = button(self.tr("Test"), self._test)
        self.remove = button(self.tr("Remove"), self._remove, "quiet")
        self._result = QFrame()
        self._sentence = label("", wrap=True)
        self._result.setLayout(column(self._sentence, margin=12))
        self._result.hide()
        self._lay_out()
        for field in (self.name, self.base_url, self.model, self.key):
            field.textChanged.connect(self._judge)

    # What the section calls.

    def show_provider(self, provider: Provider | None) -> None:
        """One that is there, or ``None`` for a new one. What was typed for another is dropped."""
        before = self._provider.id if self._provider is not None else None
        self._provider = provider
        shown = provider or Provider("", "", "", "")
        self.title.setText(provider.name if provider is not None else self.tr("New provider"))
        self.name.setText(shown.name)
        self.base_url.setText(shown.base_url)
        self.base_url.setCursorPosition(0)
        self.model.setText(shown.model)
        self.trust.choose(shown.trust)
        self.n_ctx.setValue(shown.n_ctx or 0)
        for field, price in ((self.price_in, shown.input_usd_per_mtok), (self.price_out, shown.output_usd_per_mtok)):
            field.setValue(price if price is not None else _UNKNOWN)
        self.key.clear()
        held = shown.has_key
        self.key.setPlaceholderText(
            self.tr("Stored. Type another to replace it.")
            if held
            else self.tr("Paste it here; a team server may need none")
        )
        words = self.tr("Kept where the system keeps keys, never in the database or in logs, and not shown again.")
        self._key_note.setText(words)
        self.forget.setVisible(held)
        self.test.setVisible(provider is not None)
        self.remove.setVisible(provider is not None)
        if provider is None or provider.id != before:
            self._result.hide()
        self._show_trust()
        self._judge()

    def show_test(self, test: ProviderTest) -> None:
        words = test.sentence
        if test.ttft_s is not None:
            words = self.tr("%1 First token after %2.").replace("%1", words)
            words = words.replace("%2", display.duration(test.ttft_s))
        self._known_models.setStringList(list(test.models))
        self.tell("success" if test.ok else "danger", words)

    def tell(self, kind: str, words: str) -> None:
        """``success``, ``danger``, or ``card`` while something is under way; no words hide it."""
        set_kind(self._result, kind)
        self._sentence.setText(words)
        self._result.setAccessibleName(words)
        self._result.setVisible(bool(words))

    @property
    def told(self) -> str:
        return self._sentence.text() if not self._result.isHidden() else ""

    def entered(self) -> Provider:
        """The provider as the fields say."""
        known = self._provider
        price_in, price_out = self.price_in.value(), self.price_out.value()
        return Provider(
            id=known.id if known is not None else "",
            name=self.name.text().strip(),
            base_url=self.base_url.text().strip().rstrip("/"),
            model=self.model.text().strip(),
            trust="team" if self.trust.key == "team" else "cloud",
            n_ctx=self.n_ctx.value() or None,
            input_usd_per_mtok=price_in if price_in >= 0 else None,
            output_usd_per_mtok=price_out if price_out >= 0 else None,
            has_key=known.has_key if known is not None else False,
        )

    def store(self) -> None:
        if self.save.isEnabled():
            key = self.key.text().strip()
            self.key.clear()
            self.saved.emit(self.entered(), key)

    # Inside.

    def _lay_out(self) -> None:
        fonts = self._desk.themes.fonts
        grid = QGridLayout()
        grid.setHorizontalSpacing(2 * GRID)
        grid.setVerticalSpacing(GRID)
        grid.setColumnStretch(1, 1)
        lines: tuple[tuple[str, QWidget], ...] = (
            (self.tr("Name"), self.name),
            (self.tr("Base URL"), self.base_url),
            (self.tr("Model"), self.model),
            (self.tr("Trust"), self.trust),
            ("", self._trust_note),
            (self.tr("$ a million tokens in"), self.price_in),
            (self.tr("$ a million tokens out"), self.price_out),
            (self.tr("Context"), self.n_ctx),
            (self.tr("Key"), self.key),
            ("", self._key_note),
        )
        for number, (name, field) in enumerate(lines):
            grid.addWidget(label(name, fonts.caption, "muted"), number, 0)
            grid.addWidget(field, number, 1)
        foot = row(self.save, self.test, self.forget, None, self.remove)
        fields = QWidget()
        grid.setContentsMargins(0, 0, 0, 0)
        fields.setLayout(grid)
        self.setLayout(column(self.title, fields, foot, self._result, None, spacing=2 * GRID))

    def _show_trust(self) -> None:
        words = {
            "cloud": self.tr("A company's service. Names are hidden before anything leaves."),
            "team": self.tr("A server of your own house. It is asked like a cloud: hidden, shown first, written down."),
        }
        self._trust_note.setText(words[self.trust.key])

    def _judge(self) -> None:
        self.save.setEnabled(all(field.text().strip() for field in (self.name, self.base_url, self.model)))
        self.test.setToolTip(self.tr("Asks for one token. This leaves the machine and is written into the ledger."))

    def _test(self) -> None:
        if self._provider is not None:
            self.tell("card", self.tr("Asking %1 for one token…").replace("%1", self._provider.name))
            self.test_wanted.emit(self._provider.id)

    def _remove(self) -> None:
        if self._provider is not None:
            self.remove_wanted.emit(self._provider)

    def _forget(self) -> None:
        if self._provider is not None:
            self.forget_wanted.emit(self._provider)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        control = event.modifiers() & Qt.KeyboardModifier.ControlModifier
        if control and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.store()
        else:
            super().keyPressEvent(event)


def _field(name: str, example: str) -> QLineEdit:
    made = QLineEdit()
    made.setAccessibleName(name)
    made.setPlaceholderText(example)
    return made


def _price(name: str) -> QDoubleSpinBox:
    made = QDoubleSpinBox()
    made.setRange(_UNKNOWN, 10_000.0)
    made.setDecimals(2)
    made.setSingleStep(0.05)
    made.setSpecialValueText("—")
    made.lineEdit().setTextMargins(7, 0, 7, 0)
    made.setAccessibleName(name)
    return made
