"""The Gate page: its sections, the offline switch, and the one sentence about what left this machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from PySide6.QtCore import QSize
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QApplication, QLayout, QStackedWidget, QWidget

from ui.desk import Command, Desk
from ui.pages.gate.budgets import BudgetsView
from ui.pages.gate.detectors import DetectorsView
from ui.pages.gate.labels import LabelsView
from ui.pages.gate.ledger import LedgerView
from ui.pages.gate.overview import OverviewView
from ui.pages.gate.providers import ProvidersView
from ui.theme import GRID
from ui.widgets.choice_bar import ChoiceBar
from ui.widgets.offline_switch import OfflineSwitch
from ui.widgets.parts import column, label, row

_NARROW = 1000
"""Below this the sections stand under the title."""
Section = QWidget


class GatePage(QWidget):
    """Each section is built when it is first wanted, and told when it comes to the front."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.setObjectName("page")
        self.setAccessibleName(self.tr("Gate"))
        self._desk, self._gate = desk, desk.services.gate
        self._makers: dict[str, tuple[str, str, Callable[[], QWidget]]] = {
            "map": (self.tr("Overview"), "shield-check", lambda: OverviewView(desk, self.show_section)),
            "ledger": (self.tr("Ledger"), "scroll-text", lambda: LedgerView(desk)),
            "providers": (self.tr("Providers"), "cloud", lambda: ProvidersView(desk)),
            "labels": (self.tr("Labels"), "tag", lambda: LabelsView(desk)),
            "detectors": (self.tr("Detectors"), "scan-text", lambda: DetectorsView(desk)),
            "budgets": (self.tr("Budgets"), "wallet", lambda: BudgetsView(desk)),
        }
        self.sections: dict[str, QWidget] = {}
        self.bar = ChoiceBar(self.tr("Sections"), [(key, made[0]) for key, made in self._makers.items()])
        self.bar.chosen.connect(self.show_section)
        self.offline = OfflineSwitch(desk, self.tr("Offline"))
        self._title = label(self.tr("Gate"), desk.themes.fonts.headline)
        self._pile = QStackedWidget()
        top = row(self._title, None, self.offline)
        self._head = row(self.bar, spacing=3 * GRID)
        whole = column(top, self._head, self._pile, spacing=2 * GRID, margin=3 * GRID)
        whole.setStretch(2, 1)
        self._top = top
        whole.setSizeConstraint(QLayout.SizeConstraint.SetNoConstraint)
        self.setLayout(whole)
        self.show_section("map")

    # the window's wishes

    def enter(self) -> None:
        self.offline.renew()
        self.bar.take_focus()
        self._tell("enter")

    def open_find(self) -> None:
        self.show_section("ledger")
        self._tell("open_find")

    def show_section(self, key: str) -> None:
        """Bring a section to the front: ``map``, ``ledger``, ``providers``, ``labels``, ``detectors``, ``budgets``."""
        if key not in self._makers:
            return
        if key not in self.sections:
            made = self._makers[key][2]()
            self.sections[key] = made
            self._pile.addWidget(made)
        held = self.bar.isAncestorOf(QApplication.focusWidget() or QWidget())
        self.bar.choose(key)
        if held:
            self.bar.take_focus()
        self._pile.setCurrentWidget(self.sections[key])
        self._tell("enter")

    def commands(self) -> Sequence[Command]:
        section = self.tr("Gate")
        found = [
            Command(
                f"gate.{key}", self.tr("Gate: %1").replace("%1", words), section, partial(self.show_at, key), "", icon
            )
            for key, (words, icon, _) in self._makers.items()
        ]
        offline = self._gate.offline()
        words = self.tr("Go online again") if offline else self.tr("Go offline")
        icon = "globe" if offline else "wifi-off"
        return [
            Command("gate.offline", words, section, partial(self.offline.ask_for, not offline), "", icon),
            *found,
            Command("gate.add", self.tr("Add a provider…"), section, self.add_provider, "", "plus"),
            Command("gate.verify", self.tr("Verify the ledger"), section, self.verify, "", "shield-check"),
            Command("gate.export", self.tr("Export the ledger…"), section, self.export, "", "download"),
            Command(
                "gate.try",
                self.tr("Try the detectors on a text"),
                section,
                partial(self.show_at, "detectors"),
                "",
                "scan-text",
            ),
        ]

    # actions

    def show_at(self, key: str) -> None:
        """A section, with this page in front."""
        self._desk.go(f"gate/{key}")

    def add_provider(self) -> None:
        self.show_at("providers")
        view = self.sections.get("providers")
        if isinstance(view, ProvidersView):
            view.begin_new()

    def verify(self) -> None:
        self.show_at("ledger")
        view = self.sections.get("ledger")
        if isinstance(view, LedgerView):
            view.verify()

    def export(self) -> None:
        self.show_at("ledger")
        view = self.sections.get("ledger")
        if isinstance(view, LedgerView):
            view.choose_file()

    def _tell(self, wish: str) -> None:
        run: Callable[[], None] | None = getattr(self._pile.currentWidget(), wish, None)
        if run is not None:
            run()

    def minimumSizeHint(self) -> QSize:
        """Of the narrow arrangement, so that a wide window can become narrow at once."""
        return QSize(self.bar.minimumSizeHint().width() + 6 * GRID, super().minimumSizeHint().height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Title, sections and switch in one line where there is room."""
        super().resizeEvent(event)
        narrow = event.size().width() < _NARROW
        inside = self._top.indexOf(self.bar) >= 0
        if narrow == inside:
            if narrow:
                self._top.removeWidget(self.bar)
                self._head.insertWidget(0, self.bar)
            else:
                self._head.removeWidget(self.bar)
                self._top.insertWidget(1, self.bar)
                self._top.setSpacing(3 * GRID)
