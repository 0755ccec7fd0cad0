"""Which experts a loaded mixture-of-experts model uses: watching on and off, and the heat map of what was counted."""

from __future__ import annotations

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QCheckBox, QFrame

from app.models.records import ModelCard
from engine.errors import GatehouseError
from engine.fit.routed import RoutedExperts
from ui.desk import Desk
from ui.theme import GRID
from ui.widgets.heat_map import HeatMap, summary
from ui.widgets.parts import column, frame, label, row

_AGAIN_MS = 2000


class ExpertsView(QFrame):
    """Off by default; there only for models that have experts, and of use only while one is loaded."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._model_id = ""
        fonts = desk.themes.fonts
        self.watch = QCheckBox(self.tr("Count which experts answer"))
        self.watch.clicked.connect(self._set)
        self._note = label("", fonts.caption, "muted", wrap=True)
        self.map = HeatMap(desk.themes)
        self.setLayout(
            column(
                frame("line"),
                label(self.tr("Experts seen"), fonts.strong),
                row(self.watch, None),
                self._note,
                self.map,
                spacing=GRID,
            )
        )
        self._timer = QTimer(self, interval=_AGAIN_MS)
        self._timer.timeout.connect(self._ask)
        self.hide()

    def show_model(self, card: ModelCard, *, ready: bool) -> None:
        """Another model, or another state of it."""
        self.setVisible(card.n_expert > 0 and not card.fault)
        another = card.id != self._model_id
        self._model_id = card.id
        self.watch.setEnabled(ready)
        if another or not ready:
            self.watch.setChecked(False)
            self.map.hide()
        if not ready:
            self._timer.stop()
            self._note.setText(self.tr("Load the model to see which experts its routers pick while it answers."))
        elif not self.isHidden():
            self._ask()

    def hideEvent(self, event: object) -> None:
        self._timer.stop()

    def _set(self, watching: bool) -> None:
        models = self._desk.services.models
        self._desk.bridge.call(lambda: models.watch_experts(watching), self._show, self._fail, owner=self)

    def _ask(self) -> None:
        models = self._desk.services.models
        self._desk.bridge.call(models.experts, self._show, self._fail, owner=self)

    def _show(self, routed: RoutedExperts | None) -> None:
        if routed is None:
            self._timer.stop()
            self.map.hide()
            self._note.setText(self.tr("Counting costs a little speed, so it is off until you want it."))
            return
        self.watch.setChecked(routed.watching)
        self.map.setVisible(routed.tokens > 0)
        if routed.tokens > 0:
            self.map.show_routing(routed)
            self._note.setText(summary(routed))
        elif routed.watching:
            self._note.setText(self.tr("Nothing counted yet: ask the model something."))
        else:
            self._note.setText(self.tr("Counting costs a little speed, so it is off until you want it."))
        if routed.watching and not self._timer.isActive():
            self._timer.start()
        elif not routed.watching:
            self._timer.stop()

    def _fail(self, error: GatehouseError) -> None:
        self._timer.stop()
        self.watch.setChecked(False)
        self.map.hide()
        self._note.setText(str(error))
