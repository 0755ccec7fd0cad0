"""One model on this machine: what it is, what loading it takes, how fast it is, and what became of the last try."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFrame, QProgressBar, QWidget

from app.models.records import LoadedModel, Measured, ModelCard
from engine.errors import GatehouseError
from engine.fit.concession import Concession
from engine.fit.plan import Misfit, Plan, Wish
from engine.hardware.profile import Machine
from engine.worker.spec import Failed, Loading, Ready, Starting
from ui import display
from ui.desk import Desk
from ui.models.rows import kind_words, row_of_card
from ui.pages.models.experts import ExpertsView
from ui.pages.models.knobs import Shape
from ui.pages.models.plan_panel import PlanPanel
from ui.pages.models.trouble import TroubleFrame, WayOut
from ui.theme import GRID
from ui.widgets.parts import button, column, label, row


class DetailView(QFrame):
    """Shows a card. Asks for loading, unloading and removal by signals."""

    load_asked = Signal(str, object)
    unload_asked = Signal()
    remove_asked = Signal(object)
    export_asked = Signal(object, object)
    """A card and its plan, if there is one."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._card: ModelCard | None = None
        self._loaded = LoadedModel(None, None, None, None)
        self._asked = 0
        self._waiting_for: str | None = None
        self._misfit: Misfit | None = None
        self.setObjectName("page")
        self.setAccessibleName(self.tr("Model details"))
        fonts = desk.themes.fonts
        self._name = label("", fonts.title, wrap=True)
        self._facts = label("", tone="muted", wrap=True)
        self._path = label("", fonts.caption, "faint", wrap=True)
        self._trouble = TroubleFrame(desk.themes)
        self.plan_panel = PlanPanel(desk.themes)
        self.plan_panel.wanted.connect(self._ask_plan)
        self.experts = ExpertsView(desk)
        self._progress = QProgressBar()
        self._progress.setTextVisible(False)
        self._progress.setRange(0, 1000)
        self._progress.setAccessibleName(self.tr("Loading progress"))
        self.load_button = button(self.tr("Load"), self._load, "primary")
        self.unload_button = button(self.tr("Unload"), self.unload_asked.emit)
        self.remove_button = button(self.tr("Remove"), self._remove, "quiet")
        self.pin_button = button(self.tr("Pin this plan"), self._pin, "link")
        self.pin_button.setCheckable(True)
        self.copy_button = button(self.tr("Copy as llama-server command"), self._copy_command, "link")
        self.export_button = button(self.tr("Export for another machine…"), self._export, "link")
        self._deeds = QWidget()
        self._deeds.setLayout(
            column(
                row(self.pin_button, None),
                row(self.copy_button, None),
                row(self.export_button, None),
                spacing=GRID // 2,
            )
        )
        whole = column(
            self._name,
            self._facts,
            self._path,
            row(self.load_button, self.unload_button, None, self.remove_button),
            self._progress,
            self._trouble,
            self.plan_panel,
            self._deeds,
            self.experts,
            None,
            spacing=12,
        )
        whole.setContentsMargins(3 * GRID, 0, 12, 2 * GRID)
        self.setLayout(whole)
        desk.bridge.answer_finished.connect(lambda _event: self._ask_measured())

    # what the page tells

    def show_card(self, card: ModelCard | None) -> None:
        """Another model, or none."""
        self.setVisible(card is not None)
        same = card is not None and self._card is not None and card.id == self._card.id
        self._card = card
        if card is None:
            self.plan_panel.stop()
            return
        self._name.setText(card.name)
        self._facts.setText(facts(card))
        where = self.tr("Used in place, read only: %1") if card.holder else "%1"
        self._path.setText(where.replace("%1", str(card.path)))
        self.remove_button.setVisible(not card.built_in and not card.holder)
        self.remove_button.setText(
            self.tr("Delete · frees %1").replace("%1", display.byte_size(card.size_bytes))
            if card.managed
            else self.tr("Remove from the list")
        )
        usable = not card.fault
        self.plan_panel.setVisible(usable)
        if not same:
            self._misfit = None
            self._begin(card)
        elif usable:
            self.plan_panel.ask()
        self._show_state()

    def show_machine(self, machine: Machine) -> None:
        self.plan_panel.show_machine(machine)

    def wait_for(self, model_id: str | None) -> None:
        """This model was asked for and its worker is not there yet; ``None`` ends the waiting."""
        self._waiting_for = model_id
        self._show_state()

    def show_loaded(self, loaded: LoadedModel) -> None:
        self._loaded = loaded
        self._show_state()
        if self._card is not None:
            self.experts.show_model(self._card, ready=self._is_ready())

    def set_context(self, n_ctx: int) -> None:
        """Move the slider to a context; a stop is added for one that is not among them."""
        self.plan_panel.knobs.context.set_value(n_ctx)

    @property
    def planning(self) -> bool:
        """Whether a knob moved and its plan was not asked for yet."""
        return self.plan_panel.planning

    @property
    def trouble(self) -> str:
        """What is wrong, as the page says it; empty when nothing is."""
        return self._trouble.sentence

    @property
    def progress_ratio(self) -> float:
        return self._progress.value() / self._progress.maximum()

    # the plan

    def _begin(self, card: ModelCard) -> None:
        services = self._desk.services
        pinned = services.models.pinned(card.id)
        wish = pinned or Wish(n_ctx=services.settings.values.n_ctx)
        if self._loaded.model_id == card.id and self._loaded.plan is not None:
            wish = self._loaded.wish or Wish(n_ctx=self._loaded.plan.n_ctx)
        self.pin_button.setChecked(pinned is not None)
        self._name_pin()
        if card.fault:
            self.plan_panel.stop()
            return
        self.plan_panel.set_model(Shape(card.n_ctx_train, card.n_layer, card.n_expert, card.n_expert_used), wish)
        self._ask_measured()
        self.experts.show_model(card, ready=self._is_ready())

    def _ask_measured(self) -> None:
        card, models = self._card, self._desk.services.models
        if card is not None:
            self._desk.bridge.call(
                lambda: models.measured(card.id), lambda found: self._show_measured(card.id, found), owner=self
            )

    def _show_measured(self, model_id: str, found: Measured | None) -> None:
        if self._card is not None and self._card.id == model_id:
            self.plan_panel.show_measured(found)

    def _ask_plan(self) -> None:
        card, wish = self._card, self.plan_panel.wish()
        if card is None or card.fault:
            return
        self._asked += 1
        asked = self._asked
        models = self._desk.services.models
        self._show_state()

        def show(found: Plan | Misfit) -> None:
            if asked == self._asked:
                self._show_plan(found)

        def fail(error: GatehouseError) -> None:
            if asked == self._asked:
                self._show_plan(Misfit(error.sentence, error.hint, 0, 0, None))

        self._desk.bridge.call(lambda: models.plan(card.id, wish), show, fail, owner=self)

    def _show_plan(self, found: Plan | Misfit) -> None:
        if isinstance(found, Misfit):
            self._misfit = found
            self.plan_panel.clear()
        else:
            self._misfit = None
            self.plan_panel.show_plan(found)
        self._show_state()

    # state

    def _is_ready(self) -> bool:
        ours = self._card is not None and self._loaded.model_id == self._card.id
        return ours and isinstance(self._loaded.state, Ready)

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
        self._deeds.setVisible(self.plan_panel.plan is not None and not card.fault)
        if held and self.remove_button.hasFocus():
            # Qt hands the keyboard of a button that goes to the next one; a second Enter must not remove the model.
            self.setFocus(Qt.FocusReason.OtherFocusReason)
        self._show_trouble(card, state)

    def _as_loaded(self, state: object) -> bool:
        """Whether what the knobs ask for is what is loaded."""
        loaded = self._loaded.plan
        if not isinstance(state, Ready) or loaded is None:
            return False
        wish = self.plan_panel.wish()
        return (
            wish.n_ctx in (None, loaded.n_ctx)
            and wish.kv_type in (None, loaded.kv_type)
            and wish.experts_in_ram in (None, len(loaded.experts_in_ram))
            and wish.n_expert_used in (None, loaded.n_expert_used)
        )

    def _show_trouble(self, card: ModelCard, state: object) -> None:
        if card.fault:
            self._trouble.tell(card.fault, kind="danger")
        elif isinstance(state, Failed):
            ways = [
                WayOut(self.tr("Load this way"), partial(self._try, way), way.sentence) for way in state.concessions
            ]
            self._trouble.tell(state.sentence, state.hint, "danger", state.evidence, ways)
        elif self._misfit is not None:
            offer = self._misfit.offered_n_ctx
            words = self.tr("Use %1").replace("%1", display.tokens(offer)) if offer is not None else ""
            ways = [WayOut(words, self._take_offer)] if offer is not None else []
            self._trouble.tell(self._misfit.sentence, self._misfit.hint, ways=ways)
        else:
            self._trouble.tell("")

    def _try(self, way: Concession) -> None:
        """Give one thing up and load again, because a person chose so."""
        if self._card is not None:
            self.load_asked.emit(self._card.id, way.wish(self.plan_panel.wish()))

    def _take_offer(self) -> None:
        if self._misfit is not None and self._misfit.offered_n_ctx is not None:
            self.set_context(self._misfit.offered_n_ctx)

    def _load(self) -> None:
        if self._card is not None:
            self.load_asked.emit(self._card.id, self.plan_panel.wish())

    def _remove(self) -> None:
        if self._card is not None:
            self.remove_asked.emit(self._card)

    # the plan, kept and carried elsewhere

    def _pin(self) -> None:
        card, plan = self._card, self.plan_panel.plan
        if card is None or plan is None:
            self.pin_button.setChecked(False)
            return
        models, wish = self._desk.services.models, self.plan_panel.wish()
        pinned = plan if self.pin_button.isChecked() else None
        self._desk.bridge.call(lambda: models.pin(card.id, wish, pinned), owner=self)
        self._name_pin()

    def _name_pin(self) -> None:
        pinned = self.pin_button.isChecked()
        self.pin_button.setText(self.tr("Pinned: loads like this every time") if pinned else self.tr("Pin this plan"))

    def _copy_command(self) -> None:
        plan = self.plan_panel.plan
        if plan is None:
            return
        models, notices = self._desk.services.models, self._desk.notices

        def copied(command: str) -> None:
            QGuiApplication.clipboard().setText(command)
            notices.show("success", self.tr("Copied. It loads the model in llama-server as this plan does."))

        self._desk.bridge.call(lambda: models.command(plan), copied, owner=self)

    def _export(self) -> None:
        if self._card is not None:
            self.export_asked.emit(self._card, self.plan_panel.plan)


def facts(card: ModelCard) -> str:
    """``qwen3moe · 30.5 B parameters · MoE 8 of 128 · Q4_K_M · 17.3 GiB · Apache-2.0``."""
    parts = [display.byte_size(card.size_bytes)]
    if not card.fault:
        parts = [
            card.holder,
            card.architecture,
            f"{display.parameters(card.parameters)} parameters" if card.parameters else "",
            kind_words(row_of_card(card)),
            card.quantization,
            *parts,
            display.licence(card.licence or ""),
        ]
    return "\u00a0· ".join(part.replace(" ", "\u00a0") for part in parts if part)
