"""The quiet line at the window's foot: which model, how full the memory is, what runs, and how the gate stands."""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from PySide6.QtCore import QCoreApplication, QSize, Qt, QTimer
from PySide6.QtGui import QHideEvent, QShowEvent
from PySide6.QtWidgets import QFrame, QLabel, QPushButton

from app.events import AnswerFinished, AnswerGrew, LoadedModelChanged, MessageAdded, OfflineChanged
from app.gate.records import BytesLeft
from app.models.records import LoadedModel
from engine.errors import GatehouseError
from engine.hardware.profile import Machine
from engine.worker.spec import Failed, Loading, Ready, Starting, Stopped
from ui import display, gate_words
from ui.desk import Desk
from ui.icons import Icons
from ui.memory import machine_segments
from ui.theme import GRID, ThemeStore, grown
from ui.widgets.gate_control import GateSetting, look_of
from ui.widgets.memory_bar import MemoryBar
from ui.widgets.parts import label, row

_MEASURE_MS = 1500
"""After the start: measuring takes a child process, and the first moments are for the window."""
_GLANCE_MS = 4000
"""Between two looks at the free memory, while somebody can see the bar and a model is loaded."""


class StatusBar(QFrame):
    """Model · memory · queue · gate."""

    def __init__(self, themes: ThemeStore, icons: Icons) -> None:
        super().__init__()
        self.setProperty("kind", "bar")
        self.setFixedHeight(grown(4 * GRID))
        self._themes, self._icons = themes, icons
        self._desk: Desk | None = None
        self._running: set[str] = set()
        self._machine: Machine | None = None
        caption = themes.fonts.caption
        self._dot = QLabel()
        self._model = QPushButton(self.tr("Starting…"))
        self._model.setProperty("kind", "status")
        self._model.setFont(caption)
        self._model.setFlat(True)
        self._model.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self._model.setAccessibleName(self.tr("Model in use"))
        self._model.clicked.connect(self._go_to_models)
        self._bar = MemoryBar(themes, height=6, legend=False)
        self._bar.setFixedWidth(14 * GRID)
        self._free = label("", caption, "muted")
        self._queue = label("", caption, "muted")
        self._queue.setAccessibleName(self.tr("Answers under way"))
        self._setting = GateSetting()
        self._left: BytesLeft | None = None
        self.gate = QPushButton()
        self.gate.setProperty("kind", "status")
        self.gate.setFont(caption)
        self.gate.setFlat(True)
        self.gate.setIconSize(QSize(14, 14))
        self.gate.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.gate.clicked.connect(self._go_to_gate)
        layout = row(self._dot, self._model, None, self._bar, self._free, self._queue, self.gate)
        layout.setContentsMargins(2 * GRID, 0, GRID, 0)
        layout.insertSpacing(layout.indexOf(self.gate), GRID)
        self.setLayout(layout)
        self._bar.hide()
        self._queue.hide()
        self._glances = QTimer(self, interval=_GLANCE_MS)
        self._glances.timeout.connect(self.glance)
        themes.changed.connect(self._draw)
        self._tone = "faint"
        self._draw()

    def mount(self, desk: Desk) -> None:
        """The services are up: show their state and follow it."""
        self._desk = desk
        bridge = desk.bridge
        bridge.loaded_model_changed.connect(self._loaded_changed)
        bridge.offline_changed.connect(self._offline_changed)
        bridge.ledger_grew.connect(self._count_bytes)
        self._setting = replace(self._setting, offline=desk.services.gate.offline())
        self._draw_gate()
        self._count_bytes()
        bridge.message_added.connect(self._message_added)
        bridge.answer_grew.connect(self._answer_grew)
        bridge.answer_finished.connect(self._answer_finished)
        self._show_loaded(desk.services.models.loaded())
        QTimer.singleShot(_MEASURE_MS, self, self.measure)

    def measure(self, *, again: bool = False) -> None:
        """Ask what the machine has; the bar follows. ``again`` does not take the remembered answer."""
        desk = self._desk
        if desk is not None:
            models = desk.services.models
            desk.bridge.call(lambda: models.machine(refresh=again), self._show_machine, _ignore, owner=self)

    def glance(self) -> None:
        """Ask how much memory is free now; the bar follows."""
        desk = self._desk
        if desk is not None and not self.window().isMinimized():
            desk.bridge.call(desk.services.models.glance, self._show_glance, _ignore, owner=self)

    def _show_glance(self, machine: Machine | None) -> None:
        if machine is not None:
            self._show_machine(machine)

    @property
    def watching(self) -> bool:
        """Whether the memory is looked at every few seconds."""
        return self._glances.isActive()

    def _watch(self) -> None:
        """Look now and then while there is something to see, and somebody who could."""
        desk = self._desk
        wanted = desk is not None and self.isVisible() and desk.services.models.loaded().state is not None
        if wanted and not self._glances.isActive():
            self._glances.start()
        elif not wanted:
            self._glances.stop()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._watch()

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        self._watch()

    def _loaded_changed(self, event: LoadedModelChanged) -> None:
        self._show_loaded(event.loaded)
        if isinstance(event.loaded.state, Ready | Failed | Stopped) or event.loaded.state is None:
            self.measure(again=True)

    def _show_loaded(self, loaded: LoadedModel) -> None:
        self._model.setText(model_words(loaded))
        self._tone = state_tone(loaded)
        self._draw()
        self._show_bar()
        self._watch()

    def _show_machine(self, machine: Machine) -> None:
        self._machine = machine
        self._show_bar()

    def _show_bar(self) -> None:
        if self._machine is None or self._desk is None:
            return
        bars = machine_segments(self._machine, self._desk.services.models.loaded())
        # The device that the model fills most; main memory when nothing is loaded.
        memory = max(bars, key=lambda bar: bar.ours_bytes)
        self._bar.show_segments(memory.segments, memory.total_bytes, memory.name)
        self._bar.show()
        kind = self.tr("RAM") if memory is bars[0] else self.tr("VRAM")
        free = self.tr("%1 %2 free").replace("%1", kind).replace("%2", display.byte_size(memory.free_bytes))
        self._free.setText(free)

    def _message_added(self, event: MessageAdded) -> None:
        if event.message.role == "assistant" and event.message.status in ("pending", "streaming"):
            self._running.add(event.message.id)
            self._show_queue()

    def _answer_grew(self, event: AnswerGrew) -> None:
        if event.message_id not in self._running:
            self._running.add(event.message_id)
            self._show_queue()

    def _answer_finished(self, event: AnswerFinished) -> None:
        self._running.discard(event.message.id)
        self._show_queue()

    def _show_queue(self) -> None:
        count = len(self._running)
        text = self.tr("1 answer running") if count == 1 else self.tr("%1 answers running")
        self._queue.setText("· " + text.replace("%1", display.integer(count)))
        self._queue.setVisible(count > 0)

    def _draw(self) -> None:
        density = self.devicePixelRatioF()
        self._dot.setPixmap(self._icons.pixmap("box", self._tone, 14, density))
        self._draw_gate()

    def show_gate(self, setting: GateSetting) -> None:
        """How the gate of the conversation that is open on the Chat page stands."""
        self._setting = replace(setting, offline=self._setting.offline)
        self._draw_gate()

    def _count_bytes(self, _event: object = None) -> None:
        if self._desk is not None:
            self._desk.bridge.call(self._desk.services.gate.bytes_left, self._show_bytes, _ignore, owner=self)

    def _show_bytes(self, left: BytesLeft) -> None:
        self._left = left
        self._draw_gate()

    def _offline_changed(self, event: OfflineChanged) -> None:
        self._setting = replace(self._setting, offline=event.offline)
        self._draw_gate()

    def _draw_gate(self) -> None:
        look = look_of(self._setting)
        words, icon, tone = look.words.split(" · ")[0], look.icon, look.tone
        if self._setting.offline:
            words, icon, tone = self.tr("Offline"), "wifi-off", "muted"
        self.gate.setIcon(self._icons.icon(icon, tone))
        self.gate.setText(" " + words)
        told = look.sentence
        if self._left is not None:
            told = f"{told}\n{gate_words.bytes_words(self._left)}"
        self.gate.setToolTip(told)
        self.gate.setAccessibleName(self.tr("Gate: %1").replace("%1", words))
        self.gate.setAccessibleDescription(told)
        shown = "" if self._setting.shut else self._setting.mode.value
        if self.gate.property("gate") != shown:
            self.gate.setProperty("gate", shown)
            self.gate.style().unpolish(self.gate)
            self.gate.style().polish(self.gate)

    def _go_to_gate(self) -> None:
        if self._desk is not None:
            self._desk.go("gate")

    def _go_to_models(self) -> None:
        if self._desk is not None:
            self._desk.go("models")


def model_words(loaded: LoadedModel) -> str:
    """The model and its state in a few words."""
    name = loaded.plan.model_name if loaded.plan is not None else loaded.model_id or ""
    state = loaded.state
    if state is None:
        return _tr("No model loaded")
    if isinstance(state, Starting):
        return _tr("%1 · starting").replace("%1", name)
    if isinstance(state, Loading):
        return _tr("%1 · loading %2").replace("%1", name).replace("%2", display.percent(state.progress_ratio))
    if isinstance(state, Ready):
        context = display.tokens_short(loaded.plan.n_ctx) if loaded.plan is not None else ""
        return _tr("%1 · %2 context").replace("%1", name).replace("%2", context) if context else name
    if isinstance(state, Failed):
        return _tr("%1 · failed").replace("%1", name)
    if isinstance(state, Stopped):
        return _tr("No model loaded")
    assert_never(state)


def state_tone(loaded: LoadedModel) -> str:
    """The colour name that says how the model fares."""
    state = loaded.state
    if isinstance(state, Ready):
        return "success"
    if isinstance(state, Failed):
        return "danger"
    return "accent" if isinstance(state, Starting | Loading) else "faint"


def _ignore(error: GatehouseError) -> None:
    """The bar keeps what it showed; the Models page tells of a machine that cannot be measured."""


def _tr(text: str) -> str:
    return QCoreApplication.translate("status", text)
