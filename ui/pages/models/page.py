"""The Models page: the machine, the table of what is on disk, one model beside it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from PySide6.QtCore import QItemSelectionModel, QModelIndex, Qt
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import (
    QFileDialog,
    QFrame,
    QLineEdit,
    QScrollArea,
    QTableView,
    QWidget,
)

from app.events import LoadedModelChanged
from app.models.records import ModelCard
from engine.errors import GatehouseError
from engine.fit.plan import Wish
from engine.hardware.profile import Machine
from engine.worker.spec import Loading, Starting
from ui.desk import Action, Command, Desk
from ui.models.model_table import CARD_ROLE, ModelFilter, ModelTable
from ui.pages.models.detail import DetailView
from ui.pages.models.machine import MachineView
from ui.pages.models.table import ModelsTable
from ui.theme import GRID
from ui.widgets.parts import button, column, label, row

_DETAIL_WIDTH = 344


class ModelsPage(QWidget):
    """Files can be dropped anywhere on it."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.setObjectName("page")
        self.setAccessibleName(self.tr("Models"))
        self.setAcceptDrops(True)
        self._desk = desk
        self._wanted: str | None = None
        self._machine: Machine | None = None
        self._table = ModelTable(desk.themes, self)
        self._filter = ModelFilter(self)
        self._filter.setSourceModel(self._table)
        self.machine = MachineView(desk.themes)
        self.detail = DetailView(desk)
        self.detail.load_asked.connect(self.load)
        self.detail.unload_asked.connect(self.unload)
        self.detail.remove_asked.connect(self.remove)
        self.field = QLineEdit()
        self.field.setPlaceholderText(self.tr("Filter"))
        self.field.setAccessibleName(self.tr("Filter models"))
        self.field.setClearButtonEnabled(True)
        self.field.setFixedWidth(30 * GRID)
        self.field.textChanged.connect(self._filter_by)
        self.view = self._build_view()
        self._nothing = label("", tone="muted")
        self._nothing.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._nothing.hide()
        head = row(
            label(self.tr("Models"), desk.themes.fonts.headline),
            None,
            self.field,
            button(self.tr("Add a file…"), self.choose_file),
        )
        left = column(self.view, self._nothing, spacing=0)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        scroll.setFixedWidth(_DETAIL_WIDTH)
        scroll.setWidget(self.detail)
        body = row(left, scroll, spacing=0)
        body.setStretch(0, 1)
        whole = column(head, self.machine, body, spacing=2 * GRID, margin=3 * GRID)
        whole.setStretch(2, 1)
        self.setLayout(whole)
        bridge = desk.bridge
        bridge.models_changed.connect(lambda _event: self.refresh())
        bridge.loaded_model_changed.connect(self._loaded_changed)
        desk.themes.changed.connect(self.view.viewport().update)
        self._show_loaded()
        self.detail.show_card(None)
        self.refresh()

    # the window's wishes

    def enter(self) -> None:
        self.measure(again=True)
        self.view.setFocus(Qt.FocusReason.OtherFocusReason)

    def open_find(self) -> None:
        self.field.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.field.selectAll()

    def commands(self) -> Sequence[Command]:
        section = self.tr("Models")
        found = [
            Command("models.add", self.tr("Add a model file…"), section, self.choose_file, "", "file-plus"),
            Command(
                "models.measure",
                self.tr("Measure memory again"),
                section,
                partial(self.measure, again=True),
                "",
                "refresh-cw",
            ),
        ]
        if self._desk.services.models.loaded().state is not None:
            found.append(Command("models.unload", self.tr("Unload the model"), section, self.unload, "", "power-off"))
        for place in range(self._table.rowCount()):
            card = self._table.index(place, 0).data(CARD_ROLE)
            if isinstance(card, ModelCard) and not card.fault:
                title = self.tr("Load %1").replace("%1", card.name)
                found.append(
                    Command(f"models.load.{card.id}", title, section, partial(self.load, card.id, Wish()), "", "play")
                )
        return found

    # actions

    def refresh(self) -> None:
        """Read the list of files again."""
        self._desk.bridge.call(self._desk.services.models.models, self._show_cards, owner=self)

    def measure(self, *, again: bool = False) -> None:
        """Ask what the machine has; ``again`` does not take the remembered answer."""
        models = self._desk.services.models
        self._desk.bridge.call(
            lambda: models.machine(refresh=again), self._show_machine, self._show_machine_error, owner=self
        )

    def choose_file(self) -> None:
        """Ask for a GGUF file; the dialog does not block."""
        dialog = QFileDialog(self, self.tr("Add a model file"), "", self.tr("Models (*.gguf)"))
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.fileSelected.connect(lambda path: self.add(Path(path)))
        dialog.open()

    def add(self, path: Path) -> None:
        """Use a file where it lies."""
        models = self._desk.services.models

        def added(card: ModelCard) -> None:
            self._wanted = card.id
            self._desk.notices.show("success", self.tr("Added %1.").replace("%1", card.name))
            self.refresh()

        self._desk.bridge.call(lambda: models.add_file(path), added, self._tell, owner=self)

    def load(self, model_id: str, wish: Wish) -> None:
        """Replace the loaded model; what comes of it comes as events."""
        models = self._desk.services.models

        def fail(error: GatehouseError) -> None:
            self.detail.wait_for(None)
            self._tell(error)

        self.detail.wait_for(model_id)
        self._desk.bridge.call(
            lambda: models.load(model_id, wish), lambda _: self.detail.wait_for(None), fail, owner=self
        )

    def unload(self) -> None:
        self._desk.bridge.call(self._desk.services.models.unload, None, self._tell, owner=self)

    def remove(self, card: ModelCard) -> None:
        """Forget a file; the notice brings it back."""
        models, notices = self._desk.services.models, self._desk.notices

        def removed(_: None) -> None:
            undo = Action(self.tr("Undo"), lambda: self.add(card.path))
            sentence = self.tr("Removed %1. The file stays where it is.").replace("%1", card.name)
            notices.show("info", sentence, action=undo)
            self.refresh()

        self._desk.bridge.call(lambda: models.remove(card.id), removed, self._tell, owner=self)

    # showing

    def _build_view(self) -> QTableView:
        view = ModelsTable(self._filter, self._desk.themes.fonts.caption)
        view.setAccessibleName(self.tr("Models on disk"))
        view.selectionModel().currentRowChanged.connect(self._selected)
        view.activated.connect(self._activated)
        return view

    def _show_cards(self, cards: Sequence[ModelCard]) -> None:
        kept = self._wanted or self._current_id() or self._desk.services.models.loaded().model_id
        place = max(self.view.currentIndex().row(), 0)
        self._wanted = None
        self._table.replace(cards)
        if kept is not None and self._table.row_of(kept) < 0:  # it was removed: its neighbour follows
            neighbour = self._filter.index(min(place, self._filter.rowCount() - 1), 0).data(CARD_ROLE)
            kept = neighbour.id if isinstance(neighbour, ModelCard) else None
        self.select(kept)
        self._tell_nothing()

    def select(self, model_id: str | None) -> None:
        """Make a model's row the current one; the first when it is not there."""
        place = self._table.row_of(model_id) if model_id else -1
        index = self._filter.mapFromSource(self._table.index(max(place, 0), 0))
        if not index.isValid():
            index = self._filter.index(0, 0)
        flags = QItemSelectionModel.SelectionFlag.ClearAndSelect | QItemSelectionModel.SelectionFlag.Rows
        self.view.selectionModel().setCurrentIndex(index, flags)
        self._selected(index)

    def _selected(self, index: QModelIndex, _before: QModelIndex | None = None) -> None:
        card = index.data(CARD_ROLE) if index.isValid() else None
        self.detail.show_card(card if isinstance(card, ModelCard) else None)

    def _activated(self, index: QModelIndex) -> None:
        """Enter or a double click on a row loads it."""
        if self.detail.load_button.isEnabled():
            self.detail.load_button.click()

    def _current_id(self) -> str | None:
        card = self.view.currentIndex().data(CARD_ROLE)
        return card.id if isinstance(card, ModelCard) else None

    def _filter_by(self, text: str) -> None:
        kept = self._current_id()
        self._filter.set_words(text)
        self.select(kept)
        self._tell_nothing()

    def _tell_nothing(self) -> None:
        empty = self._filter.rowCount() == 0
        self.view.setVisible(not empty)
        self._nothing.setVisible(empty)
        words = self.field.text().strip()
        self._nothing.setText(
            self.tr("No model matches “%1”.").replace("%1", words)
            if words
            else self.tr("No models yet. Add a GGUF file, or drop one here.")
        )

    def _loaded_changed(self, event: LoadedModelChanged) -> None:
        self._show_loaded()
        if not isinstance(event.loaded.state, Starting | Loading):
            self.measure()

    def _show_loaded(self) -> None:
        loaded = self._desk.services.models.loaded()
        self._table.show_loaded(loaded)
        self.detail.show_loaded(loaded)
        if self._machine is not None:
            self.machine.show_machine(self._machine, loaded)

    def _show_machine(self, machine: Machine) -> None:
        self._machine = machine
        self.detail.show_machine(machine)
        self.machine.show_machine(machine, self._desk.services.models.loaded())

    def _show_machine_error(self, error: GatehouseError) -> None:
        self.machine.show_error(str(error))

    def _tell(self, error: GatehouseError) -> None:
        self._desk.notices.show("error", error.sentence, error.hint)

    # drops

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if _dropped(event):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        for path in _dropped(event):
            self.add(path)
        event.acceptProposedAction()


def _dropped(event: QDropEvent) -> list[Path]:
    paths = [Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()]
    return [path for path in paths if path.suffix.lower() == ".gguf"]
