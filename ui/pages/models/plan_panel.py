"""A plan: bytes on each device, the speed that is to be expected and what was measured, the knobs, and the reasons."""

from __future__ import annotations

from PySide6.QtCore import QTimer, Signal
from PySide6.QtWidgets import QWidget

from app.models.records import Measured
from engine.fit.plan import Plan, Wish
from engine.hardware.profile import Machine
from ui import display
from ui.memory import plan_segments
from ui.pages.models.knobs import Knobs, Shape
from ui.pages.models.machine import DeviceList
from ui.theme import GRID, ThemeStore
from ui.widgets.parts import column, label
from ui.widgets.speed_view import SpeedView

_SETTLE_MS = 150
"""How long the knobs rest before the plan is asked for."""


class PlanPanel(QWidget):
    """``wanted`` follows when the knobs have come to rest."""

    wanted = Signal()

    def __init__(self, themes: ThemeStore) -> None:
        super().__init__()
        self._themes = themes
        self._machine: Machine | None = None
        self.plan: Plan | None = None
        self._measured: Measured | None = None
        self.knobs = Knobs(themes)
        self.knobs.changed.connect(self._changed)
        self._devices = DeviceList(themes)
        self.decode = SpeedView(themes, self.tr("Answers"))
        self.prefill = SpeedView(themes, self.tr("Prompts"))
        self._speeds = QWidget()
        self._speeds.setLayout(
            column(label(self.tr("Speed"), themes.fonts.strong), self.decode, self.prefill, spacing=GRID)
        )
        self._reasons = label("", themes.fonts.caption, "muted", wrap=True)
        self._why = QWidget()
        self._why.setLayout(
            column(label(self.tr("Why this plan"), themes.fonts.strong), self._reasons, spacing=GRID // 2)
        )
        self.setLayout(column(self._speeds, self._devices, self.knobs, self._why, spacing=2 * GRID))
        self._timer = QTimer(self, singleShot=True, interval=_SETTLE_MS)
        self._timer.timeout.connect(self.wanted.emit)
        self.clear()

    @property
    def planning(self) -> bool:
        """Whether a knob moved and its plan was not asked for yet."""
        return self._timer.isActive()

    def show_machine(self, machine: Machine) -> None:
        self._machine = machine
        self.knobs.set_cards(any(gpu.backend and not gpu.unified for gpu in machine.gpus))
        if self.plan is not None:
            self._show_devices(self.plan, machine)

    def set_model(self, shape: Shape, wish: Wish) -> None:
        """Another model; its plan is asked for."""
        self.clear()
        self._measured = None
        self.knobs.set_model(shape, wish)
        self._timer.start()

    def ask(self) -> None:
        """Want the plan again, e.g. after memory was measured anew."""
        self._timer.start()

    def stop(self) -> None:
        """Want nothing."""
        self._timer.stop()

    def clear(self) -> None:
        """No plan yet, or none possible."""
        self.plan = None
        self._devices.hide()
        self._speeds.hide()
        self._why.hide()

    def show_plan(self, plan: Plan) -> None:
        self.plan = plan
        self.knobs.say(plan)
        if self._machine is not None:
            self._show_devices(plan, self._machine)
        self._reasons.setText("\n".join(f"• {reason}" for reason in plan.reasons))
        self._why.setVisible(bool(plan.reasons))
        self._show_speeds()

    def _show_devices(self, plan: Plan, machine: Machine) -> None:
        self._devices.show_devices(plan_segments(plan, machine))
        self._devices.show()

    def show_measured(self, measured: Measured | None) -> None:
        """What answers of this model really reached."""
        self._measured = measured
        self._show_speeds()

    def _show_speeds(self) -> None:
        speed = self.plan.speed if self.plan is not None else None
        measured = self._measured
        note = ""
        if measured is not None:
            count = display.integer(measured.answers)
            note = self.tr("1 answer") if measured.answers == 1 else self.tr("%1 answers").replace("%1", count)
        self.decode.show_speed(speed.decode_tok_s if speed else None, measured.decode_tok_s if measured else None, note)
        self.prefill.show_speed(speed.prefill_tok_s if speed else None, measured.prefill_tok_s if measured else None)
        self._speeds.setVisible(self.plan is not None and (speed is not None or measured is not None))

    def _changed(self) -> None:
        self._timer.start()

    def wish(self) -> Wish:
        return self.knobs.wish()
