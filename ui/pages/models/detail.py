"""One model in detail: what it is, what loading it would take at which context, and what became of the last try."""

from __future__ import annotations

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtWidgets import QFrame, QPlainTextEdit, QProgressBar, QSlider, QWidget

from app.models.records import LoadedModel, ModelCard
from engine.errors import GatehouseError
from engine.fit.plan import Misfit, Plan, Wish
from engine.hardware.profile import Machine
from engine.worker.spec import Failed, Loading, Ready, Starting
from ui import display
from ui.desk import Desk
from ui.memory import plan_segments
from ui.models.model_table import kind_words
from ui.pages.models.context import nearest, stops
from ui.pages.models.machine import DeviceList
from ui.theme import GRID
from ui.widgets.parts import button, column, frame, label, row, set_kind

_SETTLE_MS = 150
"""How long the slider rests before the plan is asked for."""


class DetailView(QFrame):
    """Shows a card. Asks for loading, unloading and removal by signals."""

    load_asked = Signal(str, object)
    unload_asked = Signal()
    remove_asked = Signal(object)

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._card: ModelCard | None = None
        self._machine: Machine | None = None
        self._loaded = LoadedModel(None, None, None, None)
        self._stops: list[int | None] = [None]
        self._asked = 0
        self._waiting_for: str | None = None
        self._misfit: Misfit | None = None
        self.setObjectName("page")
        self.setAccessibleName(self.tr("Model details"))
        fonts = desk.themes.fonts
        self._name = label("", fonts.title, wrap=True)
        self._facts = label("", tone="muted", wrap=True)
        self._path = label("", fonts.caption, "faint", wrap=True)
        self._build_context()
        self._build_trouble()
        self._progress = QProgressBar()
        self._progress.setTextVisible(False)
        self._progress.setRange(0, 1000)
        self._progress.setAccessibleName(self.tr("Loading progress"))
        self.load_button = button(self.tr("Load"), self._load, "primary")
        self.unload_button = button(self.tr("Unload"), self.unload_asked.emit)
        self.remove_button = button(self.tr("Remove"), self._remove, "quiet")
        whole = column(
            self._name,
            self._facts,
            self._path,
            row(self.load_button, self.unload_button, None, self.remove_button),
            self._progress,
            self._context,
            self._trouble,
            self._devices,
            None,
            spacing=12,
        )
        whole.setContentsMargins(3 * GRID, 0, 12, 0)
        self.setLayout(whole)
        self._timer = QTimer(self, singleShot=True, interval=_SETTLE_MS)
        self._timer.timeout.connect(self._ask_plan)

    # what the page tells

    def show_card(self, card: ModelCard | None) -> None:
        """Another model, or none."""
        self.setVisible(card is not None)
        same = card is not None and self._card is not None and card.id == self._card.id
        self._card = card
        if card is None:
            return
        self._name.setText(card.name)
        self._facts.setText(facts(card))
        self._path.setText(str(card.path))
        self.remove_button.setVisible(not card.built_in)
        self._context.setVisible(not card.fault)
        if not same:
            self._devices.hide()
            self._misfit = None
            self._stops = stops(card.n_ctx_train)
            wanted = self._desk.services.settings.values.n_ctx
            if self._loaded.model_id == card.id and self._loaded.plan is not None:
                wanted = self._loaded.plan.n_ctx
            self._slider.blockSignals(True)
            self._slider.setRange(0, len(self._stops) - 1)
            self._slider.setValue(nearest(self._stops, wanted))
            self._slider.blockSignals(False)
            self._name_context(None)
        if not card.fault:
            self._timer.start()
        self._show_state()

    def show_machine(self, machine: Machine) -> None:
        self._machine = machine

    def wait_for(self, model_id: str | None) -> None:
        """This model was asked for and its worker is not there yet; ``None`` ends the waiting."""
        self._waiting_for = model_id
        self._show_state()

    def show_loaded(self, loaded: LoadedModel) -> None:
        self._loaded = loaded
        self._show_state()

    def set_context(self, n_ctx: int) -> None:
        """Move the slider to a context; a stop is added for one that is not among them."""
        if n_ctx not in self._stops:
            self._stops = [None, *sorted([*(stop for stop in self._stops if stop is not None), n_ctx])]
            self._slider.setRange(0, len(self._stops) - 1)
        self._slider.setValue(self._stops.index(n_ctx))

    @property
    def planning(self) -> bool:
        """Whether the slider moved and its plan was not asked for yet."""
        return self._timer.isActive()

    @property
    def trouble(self) -> str:
        """What is wrong, as the page says it; empty when nothing is."""
        return self._trouble_words.text() if self._trouble.isVisibleTo(self) else ""

    @property
    def progress_ratio(self) -> float:
        return self._progress.value() / self._progress.maximum()

    # context and plan

    def _build_context(self) -> None:
        fonts = self._desk.themes.fonts
        self._context_words = label("", fonts.caption, "muted")
        self._slider = QSlider(Qt.Orientation.Horizontal)
        self._slider.setAccessibleName(self.tr("Context"))
        self._slider.setPageStep(1)
        self._slider.valueChanged.connect(self._moved)
        self._devices = DeviceList(self._desk.themes)
        self._context = QWidget()
        self._context.setLayout(
            column(
                row(label(self.tr("Context"), fonts.strong), None, self._context_words),
                self._slider,
                spacing=GRID,
            )
        )

    def _wish(self) -> Wish:
        return Wish(n_ctx=self._stops[self._slider.value()])

    def _moved(self) -> None:
        self._name_context(None)
        self._timer.start()

    def _name_context(self, plan: Plan | None) -> None:
        chosen = self._stops[self._slider.value()]
        words = self.tr("Automatic") if chosen is None else display.tokens(chosen)
        if chosen is None and plan is not None:
            words = f"{words} · {display.tokens(plan.n_ctx)}"
        self._context_words.setText(words)
        self._slider.setAccessibleDescription(words)

    def _ask_plan(self) -> None:
        card, wish = self._card, self._wish()
        if card is None or card.fault:
            return
        self._asked += 1
        asked = self._asked
        models = self._desk.services.models

        def show(found: Plan | Misfit) -> None:
            if asked == self._asked:
                self._show_plan(found)

        def fail(error: GatehouseError) -> None:
            if asked == self._asked:
                self._misfit = Misfit(error.sentence, error.hint, 0, 0, None)
                self._devices.hide()
                self._show_state()

        self._desk.bridge.call(lambda: models.plan(card.id, wish), show, fail, owner=self)

    def _show_plan(self, found: Plan | Misfit) -> None:
        if isinstance(found, Misfit):
            self._misfit = found
            self._devices.hide()
        else:
            self._misfit = None
            self._name_context(found)
            if self._machine is not None:
                self._devices.show_devices(plan_segments(found, self._machine))
                self._devices.show()
        self._show_state()

    # state

    def _build_trouble(self) -> None:
        self._trouble = frame("warning")
        self._trouble_words = label("", wrap=True)
        self._trouble_hint = label("", self._desk.themes.fonts.caption, "muted", wrap=True)
        self._offer = button("", self._take_offer)
        self._more = button(self.tr("Details"), self._toggle_evidence, "link")
        self._evidence = QPlainTextEdit()
        self._evidence.setReadOnly(True)
        self._evidence.setTabChangesFocus(True)
        self._evidence.setFont(self._desk.themes.fonts.mono)
        self._evidence.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self._evidence.setAccessibleName(self.tr("Last lines of the worker's log"))
        self._evidence.setFixedHeight(18 * GRID)
        self._evidence.hide()
        self._trouble.setLayout(
            column(
                self._trouble_words,
                self._trouble_hint,
                row(self._offer, self._more, None),
                self._evidence,
                margin=12,
            )
        )

    def _show_state(self) -> None:
        card = self._card
        if card is None:
            return
        ours = self._loaded.model_id == card.id
        state = self._loaded.state if ours else None
        busy = isinstance(state, Starting | Loading)
        self._progress.setVisible(busy)
        if isinstance(state, Loading):
            self._progress.setValue(round(state.progress_ratio * 1000))
        elif busy:
            self._progress.setValue(0)
        held = self.load_button.hasFocus() or self.unload_button.hasFocus()
        self.unload_button.setVisible(busy or isinstance(state, Ready))
        self.unload_button.setText(self.tr("Cancel") if busy else self.tr("Unload"))
        self.load_button.setVisible(not busy)
        waiting = self._waiting_for == card.id
        possible = not card.fault and self._misfit is None and not self._as_loaded(state)
        self.load_button.setEnabled(possible and not waiting)
        again = self.tr("Load again") if isinstance(state, Ready) else self.tr("Load")
        self.load_button.setText(self.tr("Checking the fit…") if waiting else again)
        if held and self.remove_button.hasFocus():
            # Qt hands the keyboard of a button that goes to the next one; a second Enter must not remove the model.
            self.setFocus(Qt.FocusReason.OtherFocusReason)
        self._show_trouble(card, state)

    def _as_loaded(self, state: object) -> bool:
        """Whether what the slider asks for is what is loaded."""
        if not isinstance(state, Ready) or self._loaded.plan is None:
            return False
        chosen = self._stops[self._slider.value()]
        return chosen is None or chosen == self._loaded.plan.n_ctx

    def _show_trouble(self, card: ModelCard, state: object) -> None:
        sentence, hint, kind, evidence, offer = "", "", "warning", "", None
        if card.fault:
            sentence, kind = card.fault, "danger"
        elif isinstance(state, Failed):
            sentence, hint, kind, evidence = state.sentence, state.hint, "danger", state.evidence
        elif self._misfit is not None:
            sentence, hint, offer = self._misfit.sentence, self._misfit.hint, self._misfit.offered_n_ctx
        self._trouble.setVisible(bool(sentence))
        set_kind(self._trouble, kind)
        self._trouble_words.setText(sentence)
        self._trouble_hint.setText(hint)
        self._trouble_hint.setVisible(bool(hint))
        self._offer.setVisible(offer is not None)
        if offer is not None:
            self._offer.setText(self.tr("Use %1").replace("%1", display.tokens(offer)))
        self._more.setVisible(bool(evidence))
        self._evidence.setPlainText(evidence)
        if not evidence:
            self._evidence.hide()

    def _toggle_evidence(self) -> None:
        self._evidence.setVisible(not self._evidence.isVisible())
        self._more.setText(self.tr("Fewer details") if self._evidence.isVisible() else self.tr("Details"))

    def _take_offer(self) -> None:
        if self._misfit is not None and self._misfit.offered_n_ctx is not None:
            self.set_context(self._misfit.offered_n_ctx)

    def _load(self) -> None:
        if self._card is not None:
            self.load_asked.emit(self._card.id, self._wish())

    def _remove(self) -> None:
        if self._card is not None:
            self.remove_asked.emit(self._card)


def facts(card: ModelCard) -> str:
    """``qwen3moe · 30.5 B parameters · MoE 8 of 128 · Q4_K_M · 17.3 GiB · Apache-2.0``."""
    parts = [display.byte_size(card.size_bytes)]
    if not card.fault:
        parts = [
            card.architecture,
            f"{display.parameters(card.parameters)} parameters" if card.parameters else "",
            kind_words(card),
            card.quantization,
            *parts,
            card.licence or "",
        ]
    return "\u00a0· ".join(part.replace(" ", "\u00a0") for part in parts if part)
