"""The Settings page: a column of plain choices, each stored the moment it is made."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from PySide6.QtCore import Qt, QTimer, QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import (
    QButtonGroup,
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFrame,
    QLayout,
    QLineEdit,
    QPlainTextEdit,
    QPushButton,
    QScrollArea,
    QWidget,
)

from app.documents.recognisers import find_tesseract
from app.settings import RANGES
from app.version import version
from ui import display
from ui.desk import Command, Desk
from ui.licences import notices as licence_notices
from ui.pages.store_section import StoreSection
from ui.theme import GRID, HALF, Appearance, grown
from ui.widgets.growing_edit import GrowingEdit
from ui.widgets.offline_switch import OfflineSwitch
from ui.widgets.parts import button, column, frame, label, row

_WIDTH = 640
_TYPING_PAUSE_MS = 400
_CONTEXTS: tuple[int | None, ...] = (None, 2048, 4096, 8192, 16384, 32768, 65536, 131072)
_BUDGETS = (0, 1 << 30, 2 << 30, 4 << 30, 8 << 30, 16 << 30)
_ANSWERS: tuple[int | None, ...] = (None, 256, 512, 1024, 2048, 4096, 8192)


class SettingsPage(QScrollArea):
    """Reads the settings when built; writes each change."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.setAccessibleName(self.tr("Set-up"))
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self._desk = desk
        self._values = desk.services.settings.values
        inner = QWidget()
        inner.setMaximumWidth(grown(_WIDTH))
        inner.setLayout(
            column(
                label(self.tr("Set-up"), desk.themes.fonts.headline),
                self._looks(),
                self._answers(),
                self._models(),
                self._network(),
                StoreSection(desk),
                self._data(),
                self._about(),
                None,
                spacing=3 * GRID,
            )
        )
        outer = QWidget()
        outer.setObjectName("page")
        centred = row(None, inner, None, spacing=0, margin=3 * GRID)
        centred.setStretch(1, 1000)
        outer.setLayout(centred)
        self.setWidget(outer)

    def enter(self) -> None:
        for choice in self._look_group.buttons():
            choice.setChecked(
                choice.property("look") == self._desk.themes.appearance
            )  # the palette may have changed it
            if choice.isChecked():
                choice.setFocus(Qt.FocusReason.OtherFocusReason)

    def commands(self) -> Sequence[Command]:
        section = self.tr("Set-up")
        return [Command("data.open", self.tr("Open the data folder"), section, self._open_folder, "", "folder-open")]

    # sections

    def _looks(self) -> QWidget:
        self._look_group = QButtonGroup(self)
        looks: tuple[tuple[Appearance, str], ...] = (
            ("system", self.tr("As the system")),
            ("light", self.tr("Light")),
            ("dark", self.tr("Dark")),
        )
        buttons = row(spacing=HALF)
        for look, words in looks:
            choice = QPushButton(words)
            choice.setCheckable(True)
            choice.setProperty("kind", "choice")
            choice.setProperty("look", look)
            choice.setChecked(self._desk.themes.appearance == look)
            choice.clicked.connect(partial(self._look, look))
            self._look_group.addButton(choice)
            buttons.addWidget(choice)
        return self._section(self.tr("Appearance"), [(self.tr("Colours"), "", _wrapped(buttons))])

    def _answers(self) -> QWidget:
        temperature = _number(self._values.temperature, *RANGES["temperature"], 0.1)
        temperature.valueChanged.connect(lambda value: self._keep(temperature=round(value, 2)))
        top_p = _number(self._values.top_p, *RANGES["top_p"], 0.05)
        top_p.valueChanged.connect(lambda value: self._keep(top_p=round(value, 2)))
        repeat = _number(self._values.repeat_penalty, *RANGES["repeat_penalty"], 0.05)
        repeat.valueChanged.connect(lambda value: self._keep(repeat_penalty=round(value, 2)))
        longest = _choice(_ANSWERS, self._values.max_tokens, self.tr("No limit"))
        longest.currentIndexChanged.connect(lambda place: self._keep(max_tokens=longest.itemData(place)))
        return self._section(
            self.tr("Answers"),
            [
                (
                    self.tr("Temperature"),
                    self.tr("Higher is more varied, 0 always takes the likeliest token."),
                    temperature,
                ),
                (self.tr("Top-p"), self.tr("Draws only from the likeliest tokens that add up to this share."), top_p),
                (
                    self.tr("Repetition penalty"),
                    self.tr("Above 1, words just used become less likely. Keeps small models from running in circles."),
                    repeat,
                ),
                (self.tr("Longest answer"), self.tr("In tokens; a token is about three quarters of a word."), longest),
                ("", "", self._system_prompt()),
            ],
        )

    def _system_prompt(self) -> QWidget:
        """The prompt of conversations without their own, over the whole width; stored when typing pauses."""
        fonts = self._desk.themes.fonts
        name = self.tr("System prompt")
        hint = self.tr("What every new conversation is told first, unless it has a prompt of its own.")
        field = GrowingEdit(least_lines=2, most_lines=8)
        field.document().setDocumentMargin(GRID)
        field.setPlainText(self._values.system_prompt)
        field.setAccessibleName(name)
        field.setAccessibleDescription(hint)
        pause = QTimer(field, singleShot=True, interval=_TYPING_PAUSE_MS)
        pause.timeout.connect(lambda: self._keep(system_prompt=field.toPlainText().strip()))
        field.textChanged.connect(pause.start)
        whole = QWidget()
        lines = column(label(name), label(hint, fonts.caption, "muted", wrap=True), field, spacing=2)
        lines.insertSpacing(2, HALF)
        whole.setLayout(lines)
        return whole

    def _models(self) -> QWidget:
        context = _choice(_CONTEXTS, self._values.n_ctx, self.tr("Automatic"))
        context.currentIndexChanged.connect(lambda place: self._keep(n_ctx=context.itemData(place), last_n_ctx=None))
        again = QCheckBox(self.tr("Load the last model at start"))
        again.setChecked(self._values.load_last_model)
        again.toggled.connect(lambda on: self._keep(load_last_model=on))
        return self._section(
            self.tr("Models"),
            [
                (
                    self.tr("Context"),
                    self.tr("How many tokens a conversation may have. Automatic takes what fits well."),
                    context,
                ),
                ("", "", again),
            ],
        )

    def _network(self) -> QWidget:
        """The switch for the whole product; the Gate page has it too."""
        self._offline = OfflineSwitch(self._desk)
        hint = self.tr(
            "While it is on, nothing of Gatehouse asks anybody but this machine: no cloud, no team server, no hub."
        )
        more = button(self.tr("What left so far"), lambda: self._desk.go("gate/ledger"), "link")
        lines = [
            (self.tr("Offline"), hint, self._offline),
            (self.tr("Gate"), self.tr("Providers, labels, budgets and the ledger have a page of their own."), more),
        ]
        return self._section(self.tr("Network"), lines)

    def _data(self) -> QWidget:
        folder = QLineEdit(str(self._desk.data_folder))
        folder.setReadOnly(True)
        folder.setAccessibleName(self.tr("Data folder"))
        folder.setCursorPosition(0)
        folder.setMinimumWidth(34 * GRID)
        both = row(folder, button(self.tr("Open"), self._open_folder, name=self.tr("Open the data folder")))
        hint = self.tr("Conversations, settings and logs live here and nowhere else.")
        return self._section(
            self.tr("Data"), [(self.tr("Folder"), hint, _wrapped(both)), self._kept_states(), self._scans()]
        )

    def _kept_states(self) -> tuple[str, str, QWidget]:
        budget = QComboBox()
        budget.setFixedWidth(grown(18 * GRID))
        chosen = self._values.kept_states_budget_bytes
        for value in sorted({*_BUDGETS, chosen}):
            budget.addItem(display.byte_size(value) if value else self.tr("Nothing"), value)
        budget.setCurrentIndex(budget.findData(chosen))
        budget.currentIndexChanged.connect(lambda place: self._keep(kept_states_budget_bytes=budget.itemData(place)))
        hint = self.tr(
            "So that the model need not read a long chat again after a restart. Encrypted with the store's key; while"
            " the store is not encrypted, nothing is kept. From the next load."
        )
        return self.tr("Memory of chats"), hint, budget

    def _scans(self) -> tuple[str, str, QWidget]:
        """Built in, or Tesseract where it is; a choice that is not there any more stays to be seen."""
        found = find_tesseract()
        scans = QComboBox()
        scans.setFixedWidth(grown(18 * GRID))
        scans.addItem(self.tr("Built in"), "built_in")
        if found is not None or self._values.recogniser == "tesseract":
            scans.addItem(self.tr("Tesseract"), "tesseract")
        scans.setCurrentIndex(max(0, scans.findData(self._values.recogniser)))
        scans.currentIndexChanged.connect(lambda place: self._keep(recogniser=scans.itemData(place)))
        if found is None:
            hint = self.tr("What reads the words of scans. Tesseract could be chosen here if it were installed.")
        else:
            hint = self.tr("What reads the words of scans. Tesseract is here with %1.")
            hint = hint.replace("%1", ", ".join(found.languages[:6]))
        return self.tr("Scans"), hint, scans

    def _about(self) -> QWidget:
        self._licences = QPlainTextEdit()
        self._licences.setReadOnly(True)
        self._licences.setTabChangesFocus(True)
        self._licences.setFont(self._desk.themes.fonts.mono)
        self._licences.setAccessibleName(self.tr("Versions and licences"))
        self._licences.setFixedHeight(32 * GRID)
        self._licences.hide()
        self._licences_button = button(self.tr("Versions and licences"), self._toggle_licences, "link")
        card = self._section(
            self.tr("About"),
            [
                (
                    self.tr("Gatehouse %1").replace("%1", version()),
                    self.tr("Apache-2.0. Runs on this machine; sends nothing anywhere by itself."),
                    self._licences_button,
                )
            ],
        )
        layout = card.layout()
        assert layout is not None
        layout.addWidget(self._licences)
        return card

    def _section(self, title: str, lines: Sequence[tuple[str, str, QWidget]]) -> QWidget:
        fonts = self._desk.themes.fonts
        card = frame("card")
        body = column(spacing=2 * GRID, margin=2 * GRID)
        for name, hint, control in lines:
            if not name:
                body.addWidget(control)
                continue
            if not control.accessibleName():
                control.setAccessibleName(name)
            control.setAccessibleDescription(hint)
            words = column(label(name), spacing=2)
            if hint:
                words.addWidget(label(hint, fonts.caption, "muted", wrap=True))
            line = row(words, control, spacing=3 * GRID)
            line.setStretch(0, 1)
            body.addLayout(line)
        card.setLayout(body)
        whole = QWidget()
        whole.setLayout(column(label(title, fonts.title), card, spacing=GRID))
        return whole

    # changes

    def _look(self, look: Appearance, _checked: bool = False) -> None:
        self._desk.themes.set_appearance(look)
        self._keep(appearance=look)

    def _keep(self, **changes: object) -> None:
        try:
            self._desk.services.settings.update(**changes)
        except OSError as error:
            self._desk.notices.show("warning", self.tr("The settings could not be saved."), error.strerror or "")

    def _open_folder(self) -> None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._desk.data_folder)))

    def _toggle_licences(self) -> None:
        if not self._licences.toPlainText():
            self._licences.setPlainText(licence_notices())
        self._licences.setVisible(not self._licences.isVisible())


def _wrapped(layout: QLayout) -> QWidget:
    made = QWidget()
    layout.setContentsMargins(0, 0, 0, 0)
    made.setLayout(layout)
    return made


def _number(value: float, least: float, most: float, step: float) -> QDoubleSpinBox:
    made = QDoubleSpinBox()
    made.setRange(least, most)
    made.setSingleStep(step)
    made.setDecimals(2)
    made.setValue(value)
    made.setFixedWidth(grown(18 * GRID))
    made.lineEdit().setTextMargins(7, 0, 7, 0)
    return made


def _choice(values: Sequence[int | None], chosen: int | None, none_words: str) -> QComboBox:
    made = QComboBox()
    offered = list(values) if chosen in values else sorted({*values, chosen}, key=lambda value: value or 0)
    for value in offered:
        made.addItem(none_words if value is None else display.tokens_short(value), value)
    made.setCurrentIndex(offered.index(chosen))
    made.setFixedWidth(grown(18 * GRID))
    return made
