"""Labels: what the four mean, and the workspaces and folders that hand theirs to everything in them."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QItemSelectionModel, QModelIndex, QTimer
from PySide6.QtWidgets import QGridLayout, QLineEdit, QSizePolicy, QStackedWidget, QWidget

from app.gate.label import DEFAULT_LABEL, Label
from app.gate.records import Place
from engine.errors import GatehouseError
from ui import gate_words
from ui.desk import Desk
from ui.models.place_table import Column, PlaceTable
from ui.pages.gate.leaving import Leaving
from ui.theme import GRID
from ui.widgets.choice_bar import ChoiceBar
from ui.widgets.nothing import NothingView
from ui.widgets.parts import button, column, frame, label, row, scrolled
from ui.widgets.plain_table import PlainTable
from ui.widgets.records_table import RECORD
from ui.widgets.side_by_side import SideBySide

_BESIDE = 400
_TYPING_MS = 500


class LabelsView(QWidget):
    """A table of places at the left, the chosen one at the right; a change holds at once."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk, self._gate = desk, desk.services.gate
        self._known: tuple[Place, ...] = ()
        self._wanted: str | None = None
        fonts = desk.themes.fonts
        self._leaving = Leaving(desk, self)
        self._leaving.changed.connect(self._show)
        self._model = PlaceTable(desk.themes, desk.icons, self)
        self.view = PlainTable(
            self._model,
            fonts.caption,
            stretch=Column.NAME,
            least=160,
            widths={Column.LABEL: 116, Column.EFFECTIVE: 116},
            given_up=(Column.LABEL,),
        )
        self.view.setAccessibleName(self.tr("Workspaces and folders"))
        self.view.selectionModel().currentRowChanged.connect(self._chosen)
        self.nothing = NothingView(desk.themes, desk.icons)
        self._pile = QStackedWidget()
        self._pile.addWidget(self.nothing)
        self._pile.addWidget(self.view)
        self.new_name = QLineEdit()
        self.new_name.setPlaceholderText(self.tr("Name of a new workspace"))
        self.new_name.setAccessibleName(self.new_name.placeholderText())
        self.new_name.returnPressed.connect(self.add_workspace)
        add = button(self.tr("Add"), self.add_workspace, name=self.tr("Add a workspace"))
        lines = column(self._legend(), row(self.new_name, add), self._pile, spacing=12)
        lines.setStretch(2, 1)
        left = QWidget()
        left.setLayout(lines)
        self.beside = self._build_beside()
        self.setLayout(column(SideBySide(left, self.beside, _BESIDE)))
        desk.bridge.gate_changed.connect(lambda _event: self.refresh())
        self.nothing.tell("tag", self.tr("Looking for workspaces…"))
        self.beside.hide()

    def enter(self) -> None:
        self.refresh()

    def refresh(self) -> None:
        self._desk.bridge.call(self._gate.places, self._take, self._failed, owner=self)

    def add_workspace(self) -> None:
        name = self.new_name.text().strip()
        if name:
            self.new_name.clear()
            self._add(name, DEFAULT_LABEL, None)

    @property
    def chosen(self) -> Place | None:
        found = self.view.currentIndex().data(RECORD)
        return found if isinstance(found, Place) else None

    # Showing.

    def _take(self, places: Sequence[Place]) -> None:
        self._known = tuple(places)
        self._show()

    def _show(self) -> None:
        kept = self._wanted or (self.chosen.id if self.chosen is not None else "")
        self._wanted = None
        gone = self._leaving.keys
        shown = [place for place in self._known if place.id not in gone and place.parent_id not in gone]
        self._model.replace(shown)
        if not shown:
            self.nothing.tell(
                "tag",
                self.tr("No workspaces yet. Every conversation has its own label; new ones are internal."),
                self.tr("A workspace hands its label to everything in it: folders, documents, conversations."),
            )
        self._pile.setCurrentWidget(self.view if shown else self.nothing)
        self.beside.setVisible(bool(shown))
        flags = QItemSelectionModel.SelectionFlag.ClearAndSelect | QItemSelectionModel.SelectionFlag.Rows
        index = self._model.index(max(self._model.row_of(kept), 0), 0)
        self.view.selectionModel().setCurrentIndex(index, flags)
        self._chosen(index, QModelIndex())

    def _chosen(self, _current: QModelIndex, _before: QModelIndex) -> None:
        place = self.chosen
        if place is None:
            return
        if not self.name.hasFocus() or self.name.property("place") != place.id:
            self.name.setText(place.name)
        self.name.setProperty("place", place.id)
        self.labels.choose(place.label.value)
        words = gate_words.label_meaning(place.label)
        if place.effective is not place.label:
            words = self.tr("It lies in a place that is %1, so it is too. %2").replace(
                "%2", gate_words.label_meaning(place.effective)
            )
            words = words.replace("%1", gate_words.label_words(place.effective).lower())
        self._meaning.setText(words)
        self._folder.setVisible(place.parent_id is None)

    def _failed(self, error: GatehouseError) -> None:
        self.nothing.tell("triangle-alert", error.sentence, error.hint, (self.tr("Try again"), self.refresh), "warning")
        self._pile.setCurrentWidget(self.nothing)
        self.beside.hide()

    # Doing.

    def _add(self, name: str, tag: Label, parent_id: str | None) -> None:
        def added(place: Place) -> None:
            self._wanted = place.id
            self.refresh()

        self._desk.bridge.call(lambda: self._gate.add_place(name, tag, parent_id), added, self._told, owner=self)

    def _add_folder(self) -> None:
        place, name = self.chosen, self.folder_name.text().strip()
        if place is not None and name:
            self.folder_name.clear()
            self._add(name, place.label, place.id)

    def _label(self, key: str) -> None:
        place = self.chosen
        if place is not None:
            self._change(place, None, Label(key))

    def _rename(self) -> None:
        place, name = self.chosen, self.name.text().strip()
        if place is not None and name and name != place.name:
            self._change(place, name, None)

    def _change(self, place: Place, name: str | None, tag: Label | None) -> None:
        self._wanted = place.id
        self._desk.bridge.call(
            lambda: self._gate.change_place(place.id, name, tag), lambda _none: self.refresh(), self._told, owner=self
        )

    def _remove(self) -> None:
        place = self.chosen
        if place is None:
            return
        words = self.tr("“%1” is removed. What lay in it keeps its label.").replace("%1", place.name)
        gate, bridge = self._gate, self._desk.bridge
        self._leaving.begin(place.id, words, lambda: bridge.call(lambda: gate.remove_place(place.id)))

    def _told(self, error: GatehouseError) -> None:
        self._desk.notices.show("error", error.sentence, error.hint)

    # Building.

    def _legend(self) -> QWidget:
        fonts = self._desk.themes.fonts
        grid = QGridLayout()
        grid.setHorizontalSpacing(2 * GRID)
        grid.setVerticalSpacing(2)
        grid.setColumnStretch(1, 1)
        for number, tag in enumerate(Label):
            grid.addWidget(label(gate_words.label_words(tag), fonts.caption, gate_words.label_tone(tag)), number, 0)
            grid.addWidget(label(gate_words.label_meaning(tag), fonts.caption, "muted"), number, 1)
        made = frame("card")
        made.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        grid.setContentsMargins(14, 10, 14, 10)
        made.setLayout(grid)
        return made

    def _build_beside(self) -> QWidget:
        fonts = self._desk.themes.fonts
        self.name = QLineEdit()
        self.name.setAccessibleName(self.tr("Name of the place"))
        pause = QTimer(self, singleShot=True, interval=_TYPING_MS)
        pause.timeout.connect(self._rename)
        self.name.textEdited.connect(lambda _text: pause.start())
        self.labels = ChoiceBar(self.tr("Label of the place"), [(t.value, gate_words.label_words(t)) for t in Label])
        self.labels.chosen.connect(self._label)
        self._meaning = label("", fonts.caption, "muted", wrap=True)
        self.folder_name = QLineEdit()
        self.folder_name.setPlaceholderText(self.tr("Name of a new folder in it"))
        self.folder_name.setAccessibleName(self.folder_name.placeholderText())
        self.folder_name.returnPressed.connect(self._add_folder)
        self._folder = QWidget()
        self._folder.setLayout(
            row(self.folder_name, button(self.tr("Add"), self._add_folder, name=self.tr("Add a folder")))
        )
        self.remove = button(self.tr("Remove"), self._remove, "quiet")
        name = column(label(self.tr("Name"), fonts.caption, "muted"), self.name, spacing=4)
        tag = column(label(self.tr("Label"), fonts.caption, "muted"), self.labels, self._meaning, spacing=6)
        inner = QWidget()
        inner.setLayout(column(name, tag, self._folder, row(None, self.remove), None, spacing=2 * GRID))
        return scrolled(inner)
