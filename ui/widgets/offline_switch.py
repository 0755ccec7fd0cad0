"""The offline switch, wherever it stands: it asks the gate and shows what the gate says."""

from __future__ import annotations

from app.events import OfflineChanged
from engine.errors import GatehouseError
from ui.desk import Desk
from ui.widgets.switch import Switch


class OfflineSwitch(Switch):
    """On: nothing asks anybody but this machine."""

    def __init__(self, desk: Desk, words: str = "") -> None:
        super().__init__(words, desk.themes)
        self._desk, self._gate = desk, desk.services.gate
        self.setAccessibleName(self.tr("Offline"))
        told = self.tr("While it is on, nothing of Gatehouse asks anybody but this machine.")
        self.setAccessibleDescription(told)
        self.setToolTip(told)
        self.clicked.connect(lambda _checked: self.ask_for(self.isChecked()))
        desk.bridge.offline_changed.connect(self._show)
        self.renew()

    def renew(self) -> None:
        """Show what holds now."""
        self.setChecked(self._gate.offline())

    def ask_for(self, on: bool) -> None:
        """Set it; what the environment holds on stays on, and that is said."""

        def failed(error: GatehouseError) -> None:
            self.renew()
            self._desk.notices.show("error", error.sentence, error.hint)

        def done(_none: None) -> None:
            self.renew()
            if self._gate.offline() and not on:
                words = self.tr("The environment holds Gatehouse offline.")
                self._desk.notices.show("warning", words, self.tr("Start it without GATEHOUSE_OFFLINE."))

        self._desk.bridge.call(lambda: self._gate.set_offline(on), done, failed, owner=self)

    def _show(self, event: OfflineChanged) -> None:
        self.setChecked(event.offline)
