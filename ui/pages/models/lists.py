"""The left side of the page: the lists (here, catalogue, hub), their filters, the table, what to say without rows."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Sequence
from typing import Literal

from PySide6.QtCore import QItemSelectionModel, QModelIndex, Qt, Signal
from PySide6.QtWidgets import QWidget

from app.models.offers import Offer
from app.models.records import LoadedModel, ModelCard
from engine.errors import GatehouseError
from ui.desk import Desk
from ui.models.model_table import ROW_ROLE, Column, ModelFilter, ModelTable
from ui.models.rows import Row, row_of_card, row_of_offer
from ui.pages.models.filters import FilterLine
from ui.pages.models.searching import SearchLine
from ui.pages.models.table import ModelsTable
from ui.widgets.nothing import NothingView
from ui.widgets.parts import column

Place = Literal["here", "catalogue", "hub"]


class ModelLists(QWidget):
    """``chosen`` carries the row that is current now, or ``None``; ``activated`` follows Enter or a double click."""

    chosen = Signal(object)
    activated = Signal(object)
    catalogue_wanted = Signal()

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self.place: Place = "here"
        self._rows: dict[Place, list[Row] | None] = {"here": None, "catalogue": None, "hub": None}
        self._kept: dict[Place, str | None] = {"here": None, "catalogue": None, "hub": None}
        self._trouble: dict[Place, GatehouseError | None] = {"here": None, "catalogue": None, "hub": None}
        self._searching: concurrent.futures.Future[Sequence[Offer]] | None = None
        self._searched = ""
        self._table = ModelTable(desk.themes, self)
        self._filter = ModelFilter(self)
        self._filter.setSourceModel(self._table)
        self.search = SearchLine(desk.themes, desk.services.hub.host())
        self.search.asked.connect(self.ask_hub)
        self.search.stopped.connect(self.stop_search)
        self.search.hide()
        self.filters = FilterLine()
        self.filters.changed.connect(self._filters_changed)
        self.view = ModelsTable(self._filter, desk.themes.fonts.caption)
        self.view.setAccessibleName(self.tr("Models"))
        self.view.selectionModel().currentRowChanged.connect(self._selected)
        self.view.activated.connect(self._activated)
        self.nothing = NothingView(desk.themes, desk.icons)
        whole = column(self.search, self.filters, self.view, self.nothing, spacing=12)
        whole.setStretch(2, 1)
        whole.setStretch(3, 1)
        self.setLayout(whole)
        desk.themes.changed.connect(self.view.viewport().update)

    # which list

    def go(self, place: Place) -> None:
        """Show another list; the catalogue is read when it is first wanted."""
        if place != self.place:
            self._kept[self.place] = self.current_key()
            if place == "here":
                self.view.sort_by_name()
            else:
                self.view.sort_as_given()
        self.place = place
        self.search.setVisible(place == "hub")
        self.filters.show_for(place)
        self._show_rows()
        if place == "catalogue" and self._rows["catalogue"] is None:
            self._read_catalogue()

    def show_cards(self, cards: Sequence[ModelCard], wanted: str | None) -> None:
        """The models on this machine; ``wanted`` becomes the current one."""
        self._rows["here"] = [row_of_card(card) for card in cards]
        if wanted is not None:
            self._kept["here"] = wanted
        elif self.place == "here":
            self._kept["here"] = self.current_key()
        if self.place == "here":
            self._show_rows()

    def show_offer(self, offer: Offer) -> None:
        """Another version of an offer, in its place."""
        row = row_of_offer(offer)
        for place in ("catalogue", "hub"):
            rows = self._rows[place]
            if rows is not None:
                rows[:] = [row if known.key == row.key else known for known in rows]
        self._table.renew(row)

    def show_loaded(self, loaded: LoadedModel) -> None:
        self._table.show_loaded(loaded)

    def rows(self) -> Sequence[Row]:
        """All of the present list, whatever is filtered."""
        return self._table.rows()

    def current_key(self) -> str | None:
        row = self.view.currentIndex().data(ROW_ROLE)
        return row.key if isinstance(row, Row) else None

    def select(self, key: str | None) -> None:
        """Make a model's row the current one; the first when it is not there."""
        place = self._table.row_of(key) if key else -1
        index = self._filter.mapFromSource(self._table.index(max(place, 0), 0))
        if not index.isValid():
            index = self._filter.index(0, 0)
        flags = QItemSelectionModel.SelectionFlag.ClearAndSelect | QItemSelectionModel.SelectionFlag.Rows
        self.view.selectionModel().setCurrentIndex(index, flags)
        self._selected(index)

    def _show_rows(self) -> None:
        kept = self._kept[self.place]
        place = max(self.view.currentIndex().row(), 0)
        self._table.replace(self._rows[self.place] or [])
        self._filter.set_filters(self.filters.filters())
        known = any(row.fitness.decode_tok_s is not None for row in self._table.rows())
        self.view.leave_out(frozenset() if known else frozenset({Column.SPEED}))
        if kept is not None and self._table.row_of(kept) < 0:  # it was removed: its neighbour follows
            neighbour = self._filter.index(min(place, self._filter.rowCount() - 1), 0).data(ROW_ROLE)
            kept = neighbour.key if isinstance(neighbour, Row) else None
        self.select(kept)
        self._tell_nothing()

    def _selected(self, index: QModelIndex, _before: QModelIndex | None = None) -> None:
        row = index.data(ROW_ROLE) if index.isValid() else None
        self.chosen.emit(row if isinstance(row, Row) else None)

    def _activated(self, index: QModelIndex) -> None:
        row = index.data(ROW_ROLE)
        if isinstance(row, Row):
            self.activated.emit(row)

    def _filters_changed(self) -> None:
        kept = self.current_key()
        self._filter.set_filters(self.filters.filters())
        self.select(kept)
        self._tell_nothing()

    # the catalogue and the hub

    def _read_catalogue(self) -> None:
        hub = self._desk.services.hub

        def show(offers: Sequence[Offer]) -> None:
            self._rows["catalogue"] = [row_of_offer(offer) for offer in offers]
            self._trouble["catalogue"] = None
            if self.place == "catalogue":
                self._show_rows()

        self._desk.bridge.call(hub.catalogue, show, lambda error: self._failed("catalogue", error), owner=self)

    def ask_hub(self, words: str) -> None:
        """Search; an answer to an earlier question is not waited for any more."""
        self.stop_search()
        query = self.filters.query(words)
        hub = self._desk.services.hub

        def show(offers: Sequence[Offer]) -> None:
            self._end_search()
            self._searched = words
            self._rows["hub"] = [row_of_offer(offer) for offer in offers]
            self._kept["hub"] = None
            if self.place == "hub":
                self._show_rows()

        def fail(error: GatehouseError) -> None:
            self._end_search()
            self._rows["hub"] = None
            self._failed("hub", error)

        self._trouble["hub"] = None
        self.search.show_busy(True)
        self._searching = self._desk.bridge.call(lambda: hub.search(query), show, fail, owner=self)
        self._tell_nothing()

    def stop_search(self) -> None:
        if self._searching is not None:
            self._searching.cancel()
        self._end_search()
        self._tell_nothing()

    def _end_search(self) -> None:
        self._searching = None
        self.search.show_busy(False)

    def _failed(self, place: Place, error: GatehouseError) -> None:
        self._trouble[place] = error
        if self.place == place:
            self._show_rows()

    # when there is nothing

    def _tell_nothing(self) -> None:
        empty = self._filter.rowCount() == 0 or (self.place == "hub" and self._searching is not None)
        held = self.view.hasFocus() if empty else self.nothing.hasFocus()
        if empty:
            self._tell_why()
        self.view.setVisible(not empty)
        self.nothing.setVisible(empty)
        if held:  # else Qt hands the keyboard to whatever comes next in the window
            (self.nothing if empty else self.view).setFocus(Qt.FocusReason.OtherFocusReason)

    def _tell_why(self) -> None:
        if self.place == "hub":
            self._tell_of_hub()
        elif self._rows[self.place] and self.filters.narrowed:
            self.nothing.tell(
                "search",
                self.tr("No model passes these filters."),
                action=(self.tr("Show all"), self.filters.clear),
            )
        elif self.place == "catalogue":
            trouble = self._trouble["catalogue"]
            self.nothing.tell("boxes", str(trouble) if trouble else self.tr("Reading the catalogue…"))
        elif self._rows["here"] is None:
            self.nothing.tell("box", self.tr("Looking for models on this machine…"))
        else:
            self.nothing.tell(
                "box",
                self.tr("No models yet."),
                self.tr("Fetch one from the catalogue, or drop a GGUF file here."),
                (self.tr("See the catalogue"), self.catalogue_wanted.emit),
            )

    def _tell_of_hub(self) -> None:
        host = self._desk.services.hub.host()
        trouble = self._trouble["hub"]
        if self._searching is not None:
            self.nothing.tell("search", self.tr("Asking %1…").replace("%1", host))
        elif trouble is not None:
            again = (self.tr("Try again"), lambda: self.ask_hub(self.search.field.text()))
            self.nothing.tell("triangle-alert", trouble.sentence, trouble.hint, again, "warning")
        elif self._rows["hub"] is None:
            self.nothing.tell(
                "search",
                self.tr("Nothing has been asked yet."),
                self.tr("Everything in the other two lists is known without going online."),
            )
        elif self._rows["hub"]:
            self.nothing.tell(
                "search", self.tr("No result passes these filters."), action=(self.tr("Show all"), self.filters.clear)
            )
        else:
            words = self.tr("%1 knows no GGUF model for “%2”.").replace("%1", host).replace("%2", self._searched)
            self.nothing.tell("search", words, self.tr("Try fewer words, or a maker's name."))
