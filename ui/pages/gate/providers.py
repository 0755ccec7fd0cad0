"""Providers: who may be asked elsewhere. A table at the left, the chosen one's form at the right."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QItemSelectionModel, QModelIndex, Qt
from PySide6.QtWidgets import QScrollArea, QStackedWidget, QWidget

from app.gate.records import Provider
from engine.errors import GatehouseError
from ui.desk import Desk
from ui.models.provider_table import Column, ProviderTable
from ui.pages.gate.leaving import Leaving
from ui.pages.gate.provider_form import ProviderForm
from ui.theme import GRID
from ui.widgets.nothing import NothingView
from ui.widgets.parts import button, column, label, row, scrolled
from ui.widgets.plain_table import PlainTable
from ui.widgets.records_table import RECORD
from ui.widgets.side_by_side import SideBySide

_BESIDE = 400
_WIDTHS = {Column.MODEL: 168, Column.TRUST: 92, Column.PRICE: 124, Column.KEY: 76}


class ProvidersView(QWidget):
    """Nobody is asked here but by *Test*."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk, self._gate = desk, desk.services.gate
        self._known: tuple[Provider, ...] = ()
        self._wanted: str | None = None
        self._new = False
        fonts = desk.themes.fonts
        self._leaving = Leaving(desk, self)
        self._leaving.changed.connect(self._show)
        self._model = ProviderTable(desk.themes, desk.icons, self)
        self.view = PlainTable(
            self._model,
            fonts.caption,
            stretch=Column.NAME,
            least=140,
            widths=_WIDTHS,
            given_up=(Column.PRICE, Column.TRUST, Column.MODEL),
        )
        self.view.setAccessibleName(self.tr("Providers"))
        self.view.selectionModel().currentRowChanged.connect(self._chosen)
        self.nothing = NothingView(desk.themes, desk.icons)
        self._pile = QStackedWidget()
        self._pile.addWidget(self.nothing)
        self._pile.addWidget(self.view)
        self.form = ProviderForm(desk)
        self.form.saved.connect(self._save)
        self.form.test_wanted.connect(self._test)
        self.form.remove_wanted.connect(self._remove)
        self.form.forget_wanted.connect(self._forget)
        self.add = button(self.tr("Add a provider"), self.begin_new)
        note = label(
            self.tr("Anything that speaks the OpenAI API: a cloud with a key of your own, or a server of your team."),
            fonts.caption,
            "muted",
            wrap=True,
        )
        head = row(note, self.add, spacing=2 * GRID)
        head.setStretch(0, 1)
        lines = column(head, self._pile, spacing=12)
        lines.setStretch(1, 1)
        left = QWidget()
        left.setLayout(lines)
        self._beside = self._build_beside()
        self.setLayout(column(SideBySide(left, self._beside, _BESIDE)))
        desk.bridge.providers_changed.connect(lambda _event: self.refresh())
        self.nothing.tell("cloud", self.tr("Looking for providers…"))
        self._beside.hide()

    def enter(self) -> None:
        self.refresh()

    def refresh(self) -> None:
        self._desk.bridge.call(self._gate.providers, self._take, self._failed, owner=self)

    def begin_new(self) -> None:
        """An empty form, with the keyboard in it."""
        self._new = True
        self.view.clearSelection()
        self.form.show_provider(None)
        self._beside.show()
        self.form.name.setFocus(Qt.FocusReason.OtherFocusReason)

    # Showing.

    def _take(self, providers: Sequence[Provider]) -> None:
        self._known = tuple(providers)
        self._show()

    def _show(self) -> None:
        kept = self._wanted or self._current_id()
        self._wanted = None
        shown = [provider for provider in self._known if provider.id not in self._leaving.keys]
        self._model.replace(shown)
        if not shown:
            self.nothing.tell(
                "cloud-off",
                self.tr("No provider yet. Everything is answered on this machine."),
                self.tr(
                    "With a key of your own you can ask a cloud when you choose to, and see first what would leave."
                ),
                (self.tr("Add a provider"), self.begin_new),
            )
        self._pile.setCurrentWidget(self.view if shown else self.nothing)
        self.add.setVisible(bool(shown))
        if self._new:
            return
        self._beside.setVisible(bool(shown))
        self._select(kept)

    def _select(self, provider_id: str | None) -> None:
        place = max(self._model.row_of(provider_id or ""), 0)
        flags = QItemSelectionModel.SelectionFlag.ClearAndSelect | QItemSelectionModel.SelectionFlag.Rows
        self.view.selectionModel().setCurrentIndex(self._model.index(place, 0), flags)
        self._chosen(self._model.index(place, 0), QModelIndex())

    def _current_id(self) -> str | None:
        found = self.view.currentIndex().data(RECORD)
        return found.id if isinstance(found, Provider) else None

    def _chosen(self, current: QModelIndex, _before: QModelIndex) -> None:
        found = current.data(RECORD)
        if isinstance(found, Provider):
            self._new = False
            self.form.show_provider(found)

    def _failed(self, error: GatehouseError) -> None:
        self.nothing.tell("triangle-alert", error.sentence, error.hint, (self.tr("Try again"), self.refresh), "warning")
        self._pile.setCurrentWidget(self.nothing)
        self._beside.hide()

    # Doing.

    def _save(self, provider: Provider, key: str) -> None:
        def done(saved: Provider) -> None:
            self._new = False
            self._wanted = saved.id
            self.refresh()
            self.form.tell("success", self.tr("Saved. Nothing was asked of %1 yet.").replace("%1", saved.name))

        def failed(error: GatehouseError) -> None:
            self.form.tell("danger", f"{error.sentence} {error.hint}".strip())

        self._desk.bridge.call(lambda: self._gate.save_provider(provider, key or None), done, failed, owner=self)

    def _test(self, provider_id: str) -> None:
        def failed(error: GatehouseError) -> None:
            self.form.tell("danger", f"{error.sentence} {error.hint}".strip())

        self._desk.bridge.call(lambda: self._gate.test_provider(provider_id), self.form.show_test, failed, owner=self)

    def _remove(self, provider: Provider) -> None:
        words = self.tr("%1 and its key are removed.").replace("%1", provider.name)
        gate, bridge = self._gate, self._desk.bridge
        self._leaving.begin(provider.id, words, lambda: bridge.call(lambda: gate.remove_provider(provider.id)))

    def _forget(self, provider: Provider) -> None:
        words = self.tr("The key of %1 was forgotten.").replace("%1", provider.name)
        self._desk.bridge.call(
            lambda: self._gate.set_key(provider.id, None),
            lambda _none: self._desk.notices.show("info", words),
            owner=self,
        )

    def _build_beside(self) -> QScrollArea:
        inner = QWidget()
        inner.setLayout(column(self.form, spacing=0))
        return scrolled(inner)
