"""The Models page: the machine on top, the lists, one model beside them, and what is on its way here."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QResizeEvent
from PySide6.QtWidgets import QFileDialog, QMenu, QScrollArea, QWidget

from app.events import BundleProgressed, DownloadFinished, LoadedModelChanged
from app.models.bundles import Piece
from app.models.offers import Offer
from app.models.records import Copied, ModelCard, Removed
from engine.errors import GatehouseError
from engine.fit.plan import Plan, Wish
from engine.hardware.profile import Machine
from engine.worker.spec import Loading, Starting
from ui import display
from ui.desk import Action, Command, Desk
from ui.models.rows import Row
from ui.pages.models.detail import DetailView
from ui.pages.models.downloads import DownloadsView
from ui.pages.models.lists import ModelLists, Place
from ui.pages.models.machine import MachineView
from ui.pages.models.offer import OfferView
from ui.theme import GRID, grown
from ui.widgets.choice_bar import ChoiceBar
from ui.widgets.parts import button, column, label, row, scrolled

_DETAIL_LEAST, _DETAIL_MOST, _DETAIL_SHARE = 408, 456, 0.38


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
        self.machine = MachineView(desk.themes, side_by_side=True)
        self.lists = ModelLists(desk)
        self.lists.chosen.connect(self._chosen)
        self.lists.activated.connect(self._activated)
        self.lists.catalogue_wanted.connect(lambda: self.go("catalogue"))
        self.detail = DetailView(desk)
        self.detail.load_asked.connect(self.load)
        self.detail.unload_asked.connect(self.unload)
        self.detail.remove_asked.connect(self.remove)
        self.detail.export_asked.connect(self.choose_export)
        self.offer = OfferView(desk)
        self.offer.looked_into.connect(self._looked_into)
        self.downloads = DownloadsView(desk)
        self.places = ChoiceBar(
            self.tr("Which models"),
            [
                ("here", self.tr("On this machine")),
                ("catalogue", self.tr("Catalogue")),
                ("hub", self.tr("Search")),
            ],
        )
        self.places.chosen.connect(lambda key: self.go(_place(key)))
        head = row(
            label(self.tr("Models"), desk.themes.fonts.headline),
            self.places,
            None,
            self._add_button(),
            spacing=3 * GRID,
        )
        left = column(self.lists, self.downloads, spacing=12)
        left.setStretch(0, 1)
        self.beside = self._build_beside()
        body = row(left, self.beside, spacing=0)
        body.setStretch(0, 1)
        whole = column(head, self.machine, body, spacing=2 * GRID, margin=3 * GRID)
        whole.setStretch(2, 1)
        self.setLayout(whole)
        bridge = desk.bridge
        bridge.models_changed.connect(lambda _event: self.refresh())
        bridge.loaded_model_changed.connect(self._loaded_changed)
        bridge.download_finished.connect(self._arrived)
        bridge.bundle_progressed.connect(self._show_bundle)
        self._show_loaded()
        self.detail.show_card(None)
        self.offer.show_offer(None)
        self.refresh()

    @property
    def view(self) -> QWidget:
        """The table."""
        return self.lists.view

    # the window's wishes

    def enter(self) -> None:
        self.measure(again=True)
        self.lists.view.setFocus(Qt.FocusReason.OtherFocusReason)

    def open_find(self) -> None:
        field = self.lists.search.field if self.lists.place == "hub" else self.lists.filters.field
        field.setFocus(Qt.FocusReason.ShortcutFocusReason)
        field.selectAll()

    def commands(self) -> Sequence[Command]:
        section = self.tr("Models")
        again = partial(self.measure, again=True)
        found = [
            Command("models.add", self.tr("Add a model file…"), section, self.choose_file, "", "file-plus"),
            Command(
                "models.catalogue",
                self.tr("See the catalogue of models"),
                section,
                partial(self.go, "catalogue"),
                "",
                "boxes",
            ),
            Command("models.search", self.tr("Search for models online…"), section, self._search, "", "search"),
            Command(
                "models.import", self.tr("Import a bundle of models…"), section, self.choose_import, "", "download"
            ),
            Command("models.measure", self.tr("Measure memory again"), section, again, "", "refresh-cw"),
        ]
        if self._desk.services.models.loaded().state is not None:
            found.append(Command("models.unload", self.tr("Unload the model"), section, self.unload, "", "power-off"))
        for entry in self.lists.rows():
            if isinstance(entry.source, ModelCard) and not entry.fault:
                title = self.tr("Load %1").replace("%1", entry.name)
                run = partial(self.load, entry.key, None)
                found.append(Command(f"models.load.{entry.key}", title, section, run, "", "play"))
        return found

    # actions

    def show_section(self, section: str) -> None:
        """``here``, ``catalogue`` or ``hub``, as the window's addresses name them."""
        self.go(_place(section))

    def go(self, place: Place) -> None:
        """Another list."""
        self.places.choose(place)
        self.lists.go(place)
        if place == "hub" and not self.lists.rows():
            self.lists.search.field.setFocus(Qt.FocusReason.OtherFocusReason)

    def select(self, key: str | None) -> None:
        """Make a model of the present list the current one."""
        self.lists.select(key)

    def refresh(self) -> None:
        """Read the list of files again."""
        self._desk.bridge.call(self._desk.services.models.models, self._show_cards, owner=self)

    def measure(self, *, again: bool = False) -> None:
        """Ask what the machine has; ``again`` does not take the remembered answer."""
        models = self._desk.services.models
        self._desk.bridge.call(
            lambda: models.machine(refresh=again),
            self._show_machine,
            lambda error: self.machine.show_error(str(error)),
            owner=self,
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

    def load(self, model_id: str, wish: Wish | None) -> None:
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
        """Forget a file or delete a model of ours; the notice brings it back."""
        services, notices = self._desk.services, self._desk.notices

        def removed(done: Removed) -> None:
            undo = Action(self.tr("Undo"), lambda: self._restore(done))
            words = self.tr("Removed %1. The file stays where it is.")
            if done.freed_bytes:
                words = self.tr("Deleted %1; %2 are free again.").replace("%2", display.byte_size(done.freed_bytes))
            notices.show("info", words.replace("%1", done.name), action=undo)

        self._desk.bridge.call(lambda: services.models.remove(card.id), removed, self._tell, owner=self)

    def _restore(self, done: Removed) -> None:
        models = self._desk.services.models
        self._desk.bridge.call(lambda: models.restore(done.token), None, self._tell)

    # bundles

    def choose_export(self, card: ModelCard, plan: Plan | None) -> None:
        """Ask for the folder of a bundle."""
        self._choose_folder(
            self.tr("Folder for the bundle"), lambda folder: self.export([Piece(card.id, plan)], folder)
        )

    def choose_import(self) -> None:
        self._choose_folder(self.tr("Folder of a bundle"), self.take_over)

    def export(self, pieces: Sequence[Piece], folder: Path) -> None:
        """Copy models with their hashes, for a machine without a network."""
        bundles = self._desk.services.bundles

        def done(copied: Sequence[Copied]) -> None:
            words = self.tr("%1 now holds %2, with hashes; import it on the other machine.")
            names = ", ".join(entry.name for entry in copied)
            self._desk.notices.show("success", words.replace("%1", str(folder)).replace("%2", names))

        self._desk.bridge.call(lambda: bundles.export(pieces, folder), done, self._tell, owner=self)

    def take_over(self, folder: Path) -> None:
        """Verify and copy the models of a bundle."""
        bundles = self._desk.services.bundles

        def done(copied: Sequence[Copied]) -> None:
            whole = [entry.name for entry in copied if not entry.error]
            if whole:
                words = self.tr("Imported and verified: %1.").replace("%1", ", ".join(whole))
                self._desk.notices.show("success", words)
            for entry in copied:
                if entry.error:
                    self._desk.notices.show("error", f"{entry.name}: {entry.error}")
                elif entry.plan and not entry.plan_holds:
                    self._desk.notices.show("warning", f"{entry.name}: {entry.plan}")

        self._desk.bridge.call(lambda: bundles.take_over(folder), done, self._tell, owner=self)

    def _show_bundle(self, event: BundleProgressed) -> None:
        words = self.tr("Copying %1: %2.").replace("%1", event.file)
        self._desk.notices.show("info", words.replace("%2", display.byte_pair(event.done_bytes, event.total_bytes)))

    def _choose_folder(self, title: str, use: object) -> None:
        dialog = QFileDialog(self, title)
        dialog.setFileMode(QFileDialog.FileMode.Directory)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.fileSelected.connect(lambda path: use(Path(path)))  # type: ignore[operator]
        dialog.open()

    # showing

    def _add_button(self) -> QWidget:
        made = button(self.tr("Add"))
        menu = QMenu(made)
        menu.addAction(self._desk.icons.icon("file-plus"), self.tr("A file…"), self.choose_file)
        menu.addAction(self._desk.icons.icon("folder-open"), self.tr("A bundle…"), self.choose_import)
        made.setMenu(menu)
        made.setAccessibleName(self.tr("Add a model"))
        return made

    def _build_beside(self) -> QScrollArea:
        inner = QWidget()
        inner.setLayout(column(self.detail, self.offer, spacing=0))
        return scrolled(inner)

    def resizeEvent(self, event: QResizeEvent) -> None:
        wanted = round(self.width() * _DETAIL_SHARE)
        self.beside.setFixedWidth(max(grown(_DETAIL_LEAST), min(grown(_DETAIL_MOST), wanted)))
        super().resizeEvent(event)

    def _show_cards(self, cards: Sequence[ModelCard]) -> None:
        wanted, self._wanted = self._wanted, None
        if wanted is None and not self.lists.rows():
            wanted = self._desk.services.models.loaded().model_id
        self.lists.show_cards(cards, wanted)

    def _chosen(self, found: Row | None) -> None:
        source = found.source if found is not None else None
        self.detail.show_card(source if isinstance(source, ModelCard) else None)
        self.offer.show_offer(source if isinstance(source, Offer) else None)

    def _activated(self, found: Row) -> None:
        """Enter or a double click on a row loads it, or shows its plan."""
        act = self.detail.load_button if isinstance(found.source, ModelCard) else self.offer.plan_button
        if act.isEnabled() and not act.isHidden():
            act.click()

    def _looked_into(self, offer: Offer) -> None:
        self.lists.show_offer(offer)
        if self.lists.current_key() == offer.id:
            self.offer.show_offer(offer)

    def _arrived(self, event: DownloadFinished) -> None:
        """A model is here: say so, and offer to load it."""
        models, path = self._desk.services.models, event.download.path

        def show(cards: Sequence[ModelCard]) -> None:
            card = next((card for card in cards if card.path == path), None)
            if card is not None:
                use = Action(self.tr("Load"), lambda: self.load(card.id, None))
                words = self.tr("%1 has arrived, whole and verified.").replace("%1", event.download.name)
                self._desk.notices.show("success", words, action=use)

        self._desk.bridge.call(models.models, show, owner=self)

    def _search(self) -> None:
        self.go("hub")
        self.open_find()

    def _loaded_changed(self, event: LoadedModelChanged) -> None:
        self._show_loaded()
        if not isinstance(event.loaded.state, Starting | Loading):
            self.measure()

    def _show_loaded(self) -> None:
        loaded = self._desk.services.models.loaded()
        self.lists.show_loaded(loaded)
        self.detail.show_loaded(loaded)
        if self._machine is not None:
            self.machine.show_machine(self._machine, loaded)

    def _show_machine(self, machine: Machine) -> None:
        first = self._machine is None
        self._machine = machine
        self.detail.show_machine(machine)
        self.offer.show_machine(machine)
        self.machine.show_machine(machine, self._desk.services.models.loaded())
        if first:
            self.refresh()  # what fits is known now

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


def _place(key: str) -> Place:
    return "catalogue" if key == "catalogue" else "hub" if key == "hub" else "here"
