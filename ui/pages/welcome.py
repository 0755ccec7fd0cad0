"""The first page of the first run: what this machine has, what that means, and two ways to begin. No wizard."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFileDialog, QFrame, QLabel, QScrollArea, QWidget

from app.models.records import ModelCard
from engine.errors import GatehouseError
from engine.fit.plan import Misfit, Plan, Wish
from engine.hardware.profile import Machine
from ui import display
from ui.desk import Desk
from ui.meaning import what_it_means
from ui.pages.models.machine import MachineView
from ui.theme import GRID
from ui.widgets.parts import button, column, frame, label, row, set_tone

_WIDTH = 680


class WelcomePage(QScrollArea):
    """``done`` is called with the person's choice carried out."""

    def __init__(self, desk: Desk, done: Callable[[], None]) -> None:
        super().__init__()
        self.setAccessibleName(self.tr("Welcome"))
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self._desk, self._done = desk, done
        self._starter: ModelCard | None = None
        fonts = desk.themes.fonts
        self._picture = QLabel()
        self._means = label("", wrap=True)
        self.machine = MachineView(desk.themes)
        inner = QWidget()
        inner.setMaximumWidth(_WIDTH)
        inner.setLayout(
            column(
                None,
                self._picture,
                label(self.tr("Welcome to Gatehouse"), fonts.headline),
                label(
                    self.tr("Chat with language models on your own machine. Nothing you write leaves it."),
                    tone="muted",
                    wrap=True,
                ),
                self._heading(self.tr("This machine")),
                self.machine,
                self._means,
                self._heading(self.tr("Begin")),
                self._starter_card(),
                self._file_card(),
                None,
                spacing=12,
            )
        )
        outer = QWidget()
        outer.setObjectName("page")
        centred = row(None, inner, None, margin=3 * GRID)
        centred.setStretch(1, 1000)
        outer.setLayout(centred)
        self.setWidget(outer)
        desk.themes.changed.connect(self._draw)
        self._draw()
        self._ask()

    def enter(self) -> None:
        self.start.setFocus(Qt.FocusReason.OtherFocusReason)

    # what it shows

    def _heading(self, words: str) -> QLabel:
        made = label(words, self._desk.themes.fonts.title)
        made.setContentsMargins(0, GRID, 0, 0)
        return made

    def _starter_card(self) -> QFrame:
        self._starter_name = label(self.tr("The starter model"), self._desk.themes.fonts.strong)
        self._starter_facts = label("", self._desk.themes.fonts.caption, "muted", wrap=True)
        self.start = button(self.tr("Start now"), self._start, "primary")
        self.start.setEnabled(False)
        return self._choice(self._starter_name, self._starter_facts, self.start)

    def _file_card(self) -> QFrame:
        facts = label(
            self.tr("Any GGUF model already on your disk. It is used where it lies, not copied."),
            self._desk.themes.fonts.caption,
            "muted",
            wrap=True,
        )
        self.choose = button(self.tr("Choose a file…"), self._choose)
        return self._choice(label(self.tr("Use a file I have"), self._desk.themes.fonts.strong), facts, self.choose)

    def _choice(self, name: QLabel, facts: QLabel, act: QWidget) -> QFrame:
        made = frame("card")
        line = row(column(name, facts, spacing=GRID // 2), act, spacing=2 * GRID, margin=2 * GRID)
        line.setStretch(0, 1)
        made.setLayout(line)
        return made

    def _draw(self) -> None:
        self._picture.setPixmap(self._desk.icons.pixmap("house", "accent", 40, self.devicePixelRatioF()))

    def _ask(self) -> None:
        models, call = self._desk.services.models, self._desk.bridge.call
        call(lambda: models.machine(refresh=False), self._show_machine, self._show_error, owner=self)
        call(models.models, self._show_models, self._show_error, owner=self)

    def _show_machine(self, machine: Machine) -> None:
        self.machine.show_machine(machine, self._desk.services.models.loaded())
        self._means.setText(what_it_means(machine))

    def _show_models(self, cards: object) -> None:
        assert isinstance(cards, list | tuple)
        starter = next((card for card in cards if card.built_in and not card.fault), None)
        self._starter = starter
        if starter is None:
            self._starter_facts.setText(self.tr("It is not there: run the set-up again, or use a file."))
            return
        self._starter_name.setText(starter.name)
        self._show_facts(starter, "")
        self.start.setEnabled(True)
        self.enter()
        models = self._desk.services.models
        self._desk.bridge.call(
            lambda: models.plan(starter.id, Wish()), self._show_plan, lambda _error: None, owner=self
        )

    def _show_facts(self, starter: ModelCard, fit: str) -> None:
        parts = [
            self.tr("Already on your disk"),
            display.byte_size(starter.size_bytes),
            starter.licence or "",
            fit,
        ]
        facts = " · ".join(part for part in parts if part)
        self._starter_facts.setText(facts + "\n" + self.tr("Small and quick: good to try things, weak on facts."))

    def _show_plan(self, found: Plan | Misfit) -> None:
        if self._starter is None:
            return
        if isinstance(found, Misfit):
            self._starter_facts.setText(f"{found.sentence} {found.hint}".strip())
            set_tone(self._starter_facts, "warning")
            return
        needed = sum(device.needed_bytes for device in found.devices)
        self._show_facts(self._starter, self.tr("fits: needs %1 of memory").replace("%1", display.byte_size(needed)))

    def _show_error(self, error: GatehouseError) -> None:
        self._means.setText(str(error))

    # what it does

    def _start(self) -> None:
        if self._starter is not None:
            self._load(self._starter)

    def _load(self, card: ModelCard) -> None:
        models = self._desk.services.models
        self._desk.bridge.call(lambda: models.load(card.id, None), None, self._tell)
        self._finish()

    def _choose(self) -> None:
        dialog = QFileDialog(self, self.tr("Choose a model file"), "", self.tr("Models (*.gguf)"))
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.fileSelected.connect(lambda path: self.use(Path(path)))
        dialog.open()

    def use(self, path: Path) -> None:
        """Add a file and begin with it."""
        models = self._desk.services.models
        self._desk.bridge.call(lambda: models.add_file(path), self._load, self._tell, owner=self)

    def _tell(self, error: GatehouseError) -> None:
        self._desk.notices.show("error", error.sentence, error.hint)

    def _finish(self) -> None:
        try:
            self._desk.services.settings.update(welcome_done=True)
        except OSError as error:
            self._desk.notices.show("warning", self.tr("The settings could not be saved."), error.strerror or "")
        self._done()
