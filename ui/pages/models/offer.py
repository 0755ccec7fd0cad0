"""One model that is not here yet: what it is, which quantization, its exact plan, and the download."""

from __future__ import annotations

import concurrent.futures

from PySide6.QtCore import QCoreApplication, Signal
from PySide6.QtWidgets import QComboBox, QFrame, QLineEdit, QWidget

from app.models.offers import Choice, Offer
from app.models.records import Download, RemotePlan
from engine.errors import GatehouseError
from engine.fit.plan import Misfit, Wish
from engine.hardware.profile import Machine
from ui import display
from ui.desk import Desk
from ui.models.rows import FIT_TONES, fit_words, kind_words, row_of_offer
from ui.pages.models.knobs import Shape
from ui.pages.models.plan_panel import PlanPanel
from ui.pages.models.trouble import TroubleFrame, WayOut
from ui.theme import GRID, grown
from ui.widgets.parts import button, column, label, row, set_tone

_GATED = ("gated", "token_refused")


class OfferView(QFrame):
    """Shows an offer. ``looked_into`` brings its sizes, once the hub was asked."""

    looked_into = Signal(object)
    downloads_wanted = Signal()

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._offer: Offer | None = None
        self._machine: Machine | None = None
        self._planned: RemotePlan | None = None
        self._asking: concurrent.futures.Future[RemotePlan] | None = None
        self._asked = 0
        self.setObjectName("page")
        self.setAccessibleName(self.tr("Model details"))
        fonts = desk.themes.fonts
        self._name = label("", fonts.title, wrap=True)
        self._facts = label("", tone="muted", wrap=True)
        self._repo = label("", fonts.caption, "faint", wrap=True)
        self.choices = QComboBox()
        self.choices.setAccessibleName(self.tr("Quantization"))
        self.choices.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
        self.choices.setMinimumContentsLength(12)
        self.choices.setMinimumWidth(grown(20 * GRID))
        self.choices.currentIndexChanged.connect(lambda _place: self._choose())
        self._fit = label("", fonts.caption, wrap=True)
        self.download_button = button(self.tr("Download"), self._download, "primary")
        self._cost = label("", fonts.caption, "muted", wrap=True)
        self._trouble = TroubleFrame(desk.themes)
        self._build_plan()
        self._build_token()
        self._catches = label("", fonts.caption, wrap=True)
        self._know = QWidget()
        self._know.setLayout(column(label(self.tr("Good to know"), fonts.strong), self._catches, spacing=GRID // 2))
        whole = column(
            self._name,
            self._facts,
            self._repo,
            row(self.choices, self.download_button, None),
            self._fit,
            self._cost,
            self._trouble,
            self._token_line,
            self._know,
            self._plan_line,
            self.plan_panel,
            None,
            spacing=12,
        )
        whole.setContentsMargins(3 * GRID, 0, 12, 2 * GRID)
        self.setLayout(whole)
        desk.bridge.downloads_changed.connect(lambda _event: self._show_download())

    # what the page tells

    def show_machine(self, machine: Machine) -> None:
        self._machine = machine
        self.plan_panel.show_machine(machine)

    def show_offer(self, offer: Offer | None) -> None:
        """Another model, or none; a search's result is looked into at once."""
        self.setVisible(offer is not None)
        same = offer is not None and self._offer is not None and offer.id == self._offer.id
        self._offer = offer
        if not same:
            self._planned = None
            self.cancel()
            self.plan_panel.hide()
            self._trouble.tell("")
            self._token_line.hide()
        if offer is None:
            return
        self._name.setText(offer.name)
        self._facts.setText(facts(offer))
        self._catches.setText("\n".join(f"• {catch}" for catch in notes(offer)))
        self._know.setVisible(bool(notes(offer)))
        self._fill(offer)
        if not same and offer.place == "hub" and all(choice.size_bytes is None for choice in offer.choices):
            self._look_into(offer)

    @property
    def choice(self) -> Choice | None:
        """The quantization that is chosen."""
        place = self.choices.currentIndex()
        return self._offer.choices[place] if self._offer is not None and 0 <= place < self.choices.count() else None

    @property
    def plan(self) -> RemotePlan | None:
        """The exact plan, once it was asked for."""
        return self._planned

    @property
    def trouble(self) -> str:
        return self._trouble.sentence

    def cancel(self) -> None:
        """Ask the hub nothing more for this model."""
        self._asked += 1
        if self._asking is not None:
            self._asking.cancel()
            self._asking = None
        self._show_asking(False)

    # which quantization

    def _fill(self, offer: Offer) -> None:
        kept = self.choice.wanted if self.choice is not None and self._planned is not None else None
        self.choices.blockSignals(True)
        self.choices.clear()
        for choice in offer.choices:
            parts = [choice.quantization]
            if choice.size_bytes is not None:
                parts.append(display.byte_size(choice.size_bytes))
            if choice.fitness.verdict != "unknown":
                parts.append(fit_words(choice.fitness))
            self.choices.addItem(" · ".join(parts), choice.wanted)
        place = self.choices.findData(kept) if kept is not None else offer.suggested
        self.choices.setCurrentIndex(max(place, 0) if offer.choices else -1)
        self.choices.blockSignals(False)
        self.choices.setEnabled(len(offer.choices) > 0)
        self._show_choice()

    def _choose(self) -> None:
        self._planned = None
        self.cancel()
        self.plan_panel.hide()
        self._trouble.tell("")
        self._show_choice()

    def _show_choice(self) -> None:
        choice = self.choice
        self._plan_line.setVisible(choice is not None and self._planned is None)
        if choice is None:
            self._fit.setText(self.tr("There is no complete GGUF model in this repository."))
            self.download_button.setEnabled(False)
            self._cost.hide()
            return
        self._repo.setText(choice.repo)
        self._fit.setText(choice.fitness.reason)
        self._fit.setVisible(bool(choice.fitness.reason) and self._planned is None)
        set_tone(self._fit, FIT_TONES[choice.fitness.verdict])
        self._cost.setText(self._cost_words(choice))
        self._cost.setVisible(bool(self._cost.text()))
        self._show_download()

    def _cost_words(self, choice: Choice) -> str:
        if choice.size_bytes is None:
            return self.tr("The size is known once %1 has been asked.").replace("%1", self._desk.services.hub.host())
        parts = [self.tr("%1 to download").replace("%1", display.byte_size(choice.size_bytes))]
        if choice.shards > 1:
            parts.append(self.tr("%1 files as one").replace("%1", str(choice.shards)))
        speed = self._desk.services.downloads.line_bytes_s()
        if speed:
            left = display.rough_duration(choice.size_bytes / speed)
            parts.append(self.tr("about %1 at last time's speed").replace("%1", left))
        if self._machine is not None and self._machine.disks:
            free = display.byte_size(self._machine.disks[0].free_bytes)
            parts.append(self.tr("%1 free on the disk").replace("%1", free))
        return " · ".join(parts)

    def _look_into(self, offer: Offer) -> None:
        hub = self._desk.services.hub

        def fail(error: GatehouseError) -> None:
            if self._offer is not None and self._offer.id == offer.id:
                again = WayOut(self.tr("Try again"), lambda: self._look_into(offer))
                self._trouble.tell(error.sentence, error.hint, ways=[again])

        self._trouble.tell("")
        self._desk.bridge.call(lambda: hub.look_into(offer), self.looked_into.emit, fail, owner=self)

    # the exact plan

    def _build_plan(self) -> None:
        fonts = self._desk.themes.fonts
        self.plan_button = button(self.tr("Show the exact plan"), self._ask_first)
        self._plan_note = label("", fonts.caption, "muted", wrap=True)
        self._waiting = label(self.tr("Reading the model's header…"), tone="muted")
        self.stop_button = button(self.tr("Cancel"), self.cancel, "link")
        self._plan_line = QWidget()
        self._plan_line.setLayout(
            column(row(self.plan_button, self._waiting, self.stop_button, None), self._plan_note, spacing=GRID // 2)
        )
        self.plan_panel = PlanPanel(self._desk.themes)
        self.plan_panel.wanted.connect(lambda: self._ask_plan(self.plan_panel.wish()))
        self.plan_panel.hide()
        self._show_asking(False)

    def _show_asking(self, asking: bool) -> None:
        self._waiting.setVisible(asking)
        self.stop_button.setVisible(asking)
        self.plan_button.setVisible(not asking and self._planned is None)
        host = self._desk.services.hub.host()
        words = self.tr("Asks %1 for the file's header, a few megabytes; no weights are fetched.")
        self._plan_note.setText(words.replace("%1", host))
        self._plan_note.setVisible(self._planned is None)

    def _ask_first(self) -> None:
        self._ask_plan(Wish(n_ctx=self._desk.services.settings.values.n_ctx))

    def _ask_plan(self, wish: Wish) -> None:
        choice = self.choice
        if choice is None:
            return
        self.cancel()
        asked = self._asked
        hub = self._desk.services.hub
        self._show_asking(self._planned is None)

        def show(found: RemotePlan) -> None:
            if asked == self._asked:
                self._asking = None
                self._show_plan(found, wish)

        def fail(error: GatehouseError) -> None:
            if asked == self._asked:
                self._asking = None
                self._show_asking(False)
                self._show_error(error, self._ask_first)

        self._trouble.tell("")
        self._asking = self._desk.bridge.call(lambda: hub.plan(choice, wish), show, fail, owner=self)

    def _show_plan(self, found: RemotePlan, wish: Wish) -> None:
        first = self._planned is None
        self._planned = found
        self._show_asking(False)
        self._plan_line.hide()
        self._fit.hide()
        self.plan_panel.show()
        if first:
            shape = Shape(found.n_ctx_train, found.n_layer, found.n_expert, found.n_expert_used)
            self.plan_panel.set_model(shape, wish)
            self.plan_panel.stop()
        if isinstance(found.plan, Misfit):
            self.plan_panel.clear()
            offer = found.plan.offered_n_ctx
            words = self.tr("Use %1").replace("%1", display.tokens(offer)) if offer is not None else ""
            ways = [WayOut(words, lambda: self.plan_panel.knobs.context.set_value(offer))] if offer is not None else []
            self._trouble.tell(found.plan.sentence, found.plan.hint, ways=ways)
        else:
            self._trouble.tell("")
            self.plan_panel.show_plan(found.plan)

    # the download

    def _download(self) -> None:
        choice = self.choice
        if choice is None:
            return
        hub = self._desk.services.hub
        self.download_button.setEnabled(False)

        def began(_identity: str) -> None:
            self._show_download()
            self.downloads_wanted.emit()

        def fail(error: GatehouseError) -> None:
            self._show_download()
            self._show_error(error, self._download)

        self._trouble.tell("")
        self._desk.bridge.call(lambda: hub.fetch(choice), began, fail, owner=self)

    def _show_download(self) -> None:
        choice = self.choice
        if choice is None:
            return
        known = next((d for d in self._desk.services.downloads.downloads() if _is_of(d, choice)), None)
        self.download_button.setEnabled(known is None or known.state in ("paused", "failed"))
        words = {
            "waiting": self.tr("Waits for its turn"),
            "running": self.tr("On its way"),
            "paused": self.tr("Go on with the download"),
            "failed": self.tr("Try the download again"),
            "done": self.tr("Downloaded"),
        }
        self.download_button.setText(words[known.state] if known is not None else self.tr("Download"))

    # gated models

    def _build_token(self) -> None:
        self.token = QLineEdit()
        self.token.setEchoMode(QLineEdit.EchoMode.Password)
        self.token.setPlaceholderText(self.tr("Token (hf_…)"))
        self.token.setAccessibleName(self.tr("Access token of the hub"))
        self.token.returnPressed.connect(self._save_token)
        self._token_line = QWidget()
        note = label(
            self.tr("The token goes into this system's keyring and is sent to the hub alone."),
            self._desk.themes.fonts.caption,
            "muted",
            wrap=True,
        )
        line = row(self.token, button(self.tr("Save and try again"), self._save_token))
        self._token_line.setLayout(column(line, note, spacing=GRID // 2))
        self._token_line.hide()

    def _save_token(self) -> None:
        token, hub = self.token.text(), self._desk.services.hub

        def saved(kept: bool) -> None:
            self.token.clear()
            self._token_line.hide()
            if not kept:
                self._desk.notices.show(
                    "warning", self.tr("This system has no keyring: the token is forgotten when Gatehouse ends.")
                )
            self._download()

        self._desk.bridge.call(lambda: hub.set_token(token), saved, lambda e: self._trouble.tell(str(e)), owner=self)

    def _show_error(self, error: GatehouseError, again: object) -> None:
        ways = [WayOut(self.tr("Try again"), again)] if callable(again) else []
        self._trouble.tell(error.sentence, error.hint, ways=ways)
        self._token_line.setVisible(error.code in _GATED)


def _is_of(download: Download, choice: Choice) -> bool:
    return download.repo == choice.repo and download.quantization.lower() == choice.quantization.lower()


def facts(offer: Offer) -> str:
    """``Alibaba · qwen3moe · 30.5 B parameters, 3.3 B active · MoE 8 of 128 · apache-2.0``."""
    size = ""
    if offer.parameters:
        size = _tr("%1 parameters").replace("%1", display.parameters(offer.parameters))
    if offer.active_parameters and offer.active_parameters != offer.parameters:
        active = display.parameters(offer.active_parameters)
        size = _tr("%1, %2 active").replace("%1", size).replace("%2", active)
    kind = kind_words(row_of_offer(offer))
    context = ""
    if offer.n_ctx_train:
        context = _tr("context %1").replace("%1", display.tokens_short(offer.n_ctx_train))
    parts = [
        offer.maker,
        offer.architecture,
        size,
        "" if kind == "—" else kind,
        context,
        display.licence(offer.licence or ""),
    ]
    return "\u00a0· ".join(part.replace(" ", "\u00a0") for part in parts if part)


def notes(offer: Offer) -> list[str]:
    """The catches, what it is for, and how it is kept from strangers."""
    found = list(offer.catches)
    if offer.tasks and offer.place == "catalogue":
        found.insert(0, _tr("Good for: %1.").replace("%1", ", ".join(offer.tasks)))
    if not offer.licence:
        found.append(_tr("Its licence is not named; look at its page before using it for work."))
    if offer.gated:
        found.append(_tr("Gated: its maker wants you to agree to terms on its page, and a token of yours."))
    if offer.choice is not None and offer.place == "catalogue" and not offer.choice.pinned:
        found.append(_tr("The file's SHA-256 was not known when the catalogue was made: the hub's own is checked."))
    return found


def _tr(text: str) -> str:
    return QCoreApplication.translate("offers", text)
