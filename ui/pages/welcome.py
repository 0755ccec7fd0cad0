"""The first page of the first run: what this machine has, what that means, and how to begin. No wizard."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFileDialog, QFrame, QLabel, QScrollArea, QWidget

from app.models.offers import Suggestion, first_choices
from app.models.records import ModelCard
from engine.errors import GatehouseError
from engine.fit.plan import Misfit, Plan, Wish
from engine.hardware.profile import Machine
from ui import display
from ui.desk import Desk
from ui.meaning import what_it_means
from ui.pages.models.machine import MachineView
from ui.pages.welcome_choices import ChoiceCard, SuggestedCard
from ui.theme import GRID, grown
from ui.widgets.parts import column, label, row

_WIDTH = 720
_SUGGESTED = 3


class WelcomePage(QScrollArea):
    """``done`` is called with the person's choice carried out."""

    def __init__(self, desk: Desk, done: Callable[[], None]) -> None:
        super().__init__()
        self.setAccessibleName(self.tr("Welcome"))
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self._desk, self._done = desk, done
        self._starter: ModelCard | None = None
        self._fetching: dict[str, str] = {}
        """Downloads that were begun here, by the id of their offer."""
        fonts = desk.themes.fonts
        self._picture = QLabel()
        self._means = label("", wrap=True)
        self.machine = MachineView(desk.themes, side_by_side=True)
        starter = ChoiceCard(desk, self.tr("The starter model"), self.tr("Start now"), self._start, primary=True)
        self._starter_card, self.start = starter, starter.button
        self.start.setEnabled(False)
        self._file_card = ChoiceCard(desk, self.tr("Use a file I have"), self.tr("Choose a file…"), self._choose)
        self._file_card.say(self.tr("Any GGUF model already on your disk. It is used where it lies, not copied."))
        self.choose = self._file_card.button
        self.suggested = [SuggestedCard(desk, self._fetch, primary=False) for _ in range(_SUGGESTED)]
        self._advice = self._heading(self.tr("Better models for this machine"))
        host = desk.services.hub.host()
        self._asks = label(
            self.tr("Download asks %1 for the file, and for nothing else.").replace("%1", host),
            fonts.caption,
            "muted",
            wrap=True,
        )
        self._advice.hide()
        self._asks.hide()
        inner = QWidget()
        inner.setMaximumWidth(grown(_WIDTH))
        inner.setLayout(
            column(
                row(self._picture, label(self.tr("Welcome to Gatehouse"), fonts.headline), None, spacing=12),
                label(
                    self.tr("Chat with language models on your own machine. Nothing you write leaves it."),
                    tone="muted",
                    wrap=True,
                ),
                self._heading(self.tr("This machine")),
                self.machine,
                self._means,
                self._heading(self.tr("Begin")),
                self._starter_card,
                self._file_card,
                self._advice,
                *self.suggested,
                self._asks,
                None,
                spacing=GRID,
            )
        )
        outer = QWidget()
        outer.setObjectName("page")
        centred = row(None, inner, None, margin=3 * GRID)
        centred.setStretch(1, 1000)
        outer.setLayout(centred)
        self.setWidget(outer)
        desk.themes.changed.connect(self._draw)
        desk.bridge.downloads_changed.connect(lambda _event: self._show_downloads())
        desk.bridge.download_progressed.connect(lambda _event: self._show_downloads())
        self._draw()
        self._ask()

    def enter(self) -> None:
        self.start.setFocus(Qt.FocusReason.OtherFocusReason)

    # what it shows

    def _heading(self, words: str) -> QLabel:
        made = label(words, self._desk.themes.fonts.title)
        made.setContentsMargins(0, GRID, 0, 0)
        return made

    def _draw(self) -> None:
        self._picture.setPixmap(self._desk.icons.pixmap("house", "accent", 32, self.devicePixelRatioF()))

    def _ask(self) -> None:
        models, call = self._desk.services.models, self._desk.bridge.call
        call(lambda: models.machine(refresh=False), self._show_machine, self._show_error, owner=self)
        call(models.models, self._show_models, self._show_error, owner=self)
        # What we would fetch is a help, not a need: without it the page is whole.
        call(self._desk.services.hub.suggestions, self._show_suggestions, lambda _error: None, owner=self)

    def _show_machine(self, machine: Machine) -> None:
        self.machine.show_machine(machine, self._desk.services.models.loaded())
        self._means.setText(what_it_means(machine))

    def _show_models(self, cards: object) -> None:
        assert isinstance(cards, list | tuple)
        starter = next((card for card in cards if card.built_in and not card.fault), None)
        self._starter = starter
        if starter is None:
            self._starter_card.say(self.tr("It is not there: run the set-up again, or use a file."))
            return
        self._starter_card.name.setText(starter.name)
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
            display.licence(starter.licence or ""),
            fit,
        ]
        facts = " · ".join(part for part in parts if part)
        self._starter_card.say(facts, self.tr("Small and quick: good to try things, weak on facts."))

    def _show_plan(self, found: Plan | Misfit) -> None:
        if self._starter is None:
            return
        if isinstance(found, Misfit):
            self._starter_card.say(f"{found.sentence} {found.hint}".strip(), tone="warning")
            return
        needed = sum(device.needed_bytes for device in found.devices)
        self._show_facts(self._starter, self.tr("fits: needs %1 of memory").replace("%1", display.byte_size(needed)))

    def _show_suggestions(self, found: Sequence[Suggestion]) -> None:
        chosen = first_choices(found, _SUGGESTED)
        for place, card in enumerate(self.suggested):
            card.show_suggestion(chosen[place] if place < len(chosen) else None)
        self._advice.setVisible(bool(chosen))
        self._asks.setVisible(bool(chosen))

    def _show_downloads(self) -> None:
        known = {download.id: download for download in self._desk.services.downloads.downloads()}
        for card in self.suggested:
            identity = self._fetching.get(card.suggestion.offer.id) if card.suggestion is not None else None
            if identity is not None:
                card.show_download(known.get(identity))

    def _show_error(self, error: GatehouseError) -> None:
        self._means.setText(str(error))

    # what it does

    def _start(self) -> None:
        if self._starter is not None:
            self._load(self._starter)

    def _fetch(self, wanted: Suggestion) -> None:
        """Begin a download, go on with it, or begin with what has arrived."""
        services, offer = self._desk.services, wanted.offer
        known = {download.id: download for download in services.downloads.downloads()}
        download = known.get(self._fetching.get(offer.id, ""))
        if download is not None and download.state == "done":
            self.use(download.path)
            return

        def began(identity: str) -> None:
            self._fetching[offer.id] = identity
            self._show_downloads()
            words = self.tr("%1 is on its way. Start with the small one meanwhile.").replace("%1", offer.name)
            self._desk.notices.show("info", words)

        self._desk.bridge.call(lambda: services.hub.fetch(wanted.choice), began, self._tell, owner=self)

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
