"""The left side of the Documents page: batches, and below them the files of the one that is chosen."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import QModelIndex, QPoint, Qt, Signal
from PySide6.QtWidgets import QAbstractItemView, QListView, QSplitter, QStyledItemDelegate, QWidget

from app.documents.batch_records import Batch, BatchFile, BatchState, FileState
from app.events import BatchChanged, BatchRemoved, FileChanged, FilesAdded
from ui import display
from ui.desk import Action, Desk
from ui.models.batches import RecordModel
from ui.pages.documents.queue_menus import batch_menu, file_menu
from ui.pages.documents.queue_rows import BatchRows, FileRows
from ui.pages.documents.watching import WatchStrip
from ui.theme import GRID
from ui.widgets.parts import button, column, frame, label, row


class QueueView(QWidget):
    """Follows batches and files by their events."""

    file_chosen = Signal(object)
    """A ``BatchFile``, or ``None``."""
    batch_chosen = Signal(object)
    """A ``Batch``, or ``None``."""
    file_came_further = Signal(object)

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk, self._documents = desk, desk.services.documents
        self._wanted = ""
        self.batches: RecordModel[Batch] = RecordModel(self)
        self.files: RecordModel[BatchFile] = RecordModel(self)
        self.batch_list = _list(self.batches, BatchRows(desk.themes, desk.icons, self), self.tr("Batches"))
        self.file_list = _list(self.files, FileRows(desk.themes, desk.icons, self), self.tr("Files of the batch"))
        self.batch_list.selectionModel().currentChanged.connect(self._batch_current)
        self.file_list.selectionModel().currentChanged.connect(self._file_current)
        for view, show in ((self.batch_list, self._batch_menu), (self.file_list, self._file_menu)):
            view.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
            view.customContextMenuRequested.connect(show)
        self.act = button("", self._act, "quiet")
        self.models = button(self.tr("Choose a model…"), lambda: desk.go("models"))
        self.told = label("", desk.themes.fonts.caption, "muted", wrap=True)
        self.watched = WatchStrip(desk.themes, desk.icons)
        self.watched.stopped.connect(self._stop_watching)
        whole = column(self._build(), spacing=0)
        whole.setContentsMargins(0, 6, 0, 0)
        self.setLayout(whole)
        bridge = desk.bridge
        bridge.batch_changed.connect(self._batch_changed)
        bridge.batch_removed.connect(self._batch_removed)
        bridge.files_added.connect(self._files_added)
        bridge.file_changed.connect(self._file_changed)
        self._show_act()
        desk.themes.changed.connect(lambda _: (self.batch_list.viewport().update(), self.file_list.viewport().update()))
        self.refresh()

    # what is chosen

    @property
    def batch(self) -> Batch | None:
        return self.batches.record(self.batch_list.currentIndex().row())

    @property
    def file(self) -> BatchFile | None:
        return self.files.record(self.file_list.currentIndex().row())

    def refresh(self, wanted: str = "") -> None:
        """Read the batches again; ``wanted`` is then the current one."""
        keep = wanted or (self.batch.id if self.batch is not None else "")
        self._desk.bridge.call(self._documents.batches, partial(self._show_batches, keep), owner=self)

    def choose_batch(self, batch_id: str) -> None:
        place = self.batches.row_of(batch_id)
        if place is not None:
            self.batch_list.setCurrentIndex(self.batches.index(place, 0))

    def choose_file(self, file_id: str) -> None:
        """Make a file the current one, now or when its batch has been read."""
        place = self.files.row_of(file_id)
        if place is None:
            self._wanted = file_id
        else:
            self.file_list.setCurrentIndex(self.files.index(place, 0))

    def choose_next(self) -> bool:
        """The next file with something to check, going round; ``False`` when there is none."""
        rows = self.files.records
        here = self.file_list.currentIndex().row()
        for step in range(1, len(rows) + 1):
            file = rows[(here + step) % len(rows)]
            if file.state is FileState.DONE and file.doubtful_values and (self.file is None or file.id != self.file.id):
                self.choose_file(file.id)
                return True
        return False

    # batches

    def _show_batches(self, keep: str, batches: Sequence[Batch]) -> None:
        self.batches.show_all(batches)
        if not batches:
            self.files.show_all(())
            self.batch_chosen.emit(None)
            return
        self.choose_batch(keep if self.batches.row_of(keep) is not None else batches[0].id)

    def _batch_current(self, now: QModelIndex, _before: QModelIndex) -> None:
        batch = self.batches.record(now.row())
        self.batch_chosen.emit(batch)
        self._show_act()
        if batch is None:
            self.files.show_all(())
        else:
            self._read_files(batch.id)

    def _read_files(self, batch_id: str) -> None:
        self._desk.bridge.call(lambda: self._documents.files(batch_id), partial(self._show_files, batch_id), owner=self)

    def _show_files(self, batch_id: str, files: Sequence[BatchFile]) -> None:
        if self.batch is None or self.batch.id != batch_id:
            return
        keep = self._wanted or (self.file.id if self.file is not None else "")
        self._wanted = ""
        self.files.show_all(files)
        place = self.files.row_of(keep)
        if place is None:
            place = next((n for n, file in enumerate(self.files.records) if file.doubtful_values), 0 if files else None)
        if place is None:
            self.file_chosen.emit(None)
        else:
            self.file_list.setCurrentIndex(self.files.index(place, 0))

    def _batch_changed(self, event: BatchChanged) -> None:
        first = not self.batches.records
        self.batches.put(event.batch)
        if first:
            self.choose_batch(event.batch.id)
        self._show_act()

    def _batch_removed(self, event: BatchRemoved) -> None:
        self.batches.remove(event.batch_id)
        if not event.for_good:  # retention says itself what it did
            undo = Action(self.tr("Undo"), lambda: self._ask(lambda: self._documents.restore(event.batch_id)))
            self._desk.notices.show("info", self.tr("Removed %1.").replace("%1", event.title), action=undo)
        if not self.batches.records:
            self.batch_chosen.emit(None)

    def _files_added(self, event: FilesAdded) -> None:
        if self.batch is not None and self.batch.id == event.batch_id:
            self._read_files(event.batch_id)

    def _file_changed(self, event: FileChanged) -> None:
        if self.files.find(event.file.id) is None:
            return
        self.files.put(event.file)
        self.file_came_further.emit(event.file)

    def _file_current(self, now: QModelIndex, _before: QModelIndex) -> None:
        file = self.files.record(now.row())
        self.file_chosen.emit(file)

    # acting

    def _act(self) -> None:
        """The one thing that is most wanted of a batch in its state."""
        batch = self.batch
        if batch is None:
            return
        if batch.state is BatchState.RUNNING:
            self._ask(lambda: self._documents.pause(batch.id))
        elif batch.state is BatchState.PAUSED:
            self._ask(lambda: self._documents.resume(batch.id))
        else:
            self._ask(lambda: self._documents.retry(batch.id))

    def _show_act(self) -> None:
        batch = self.batch
        words = ""
        if batch is not None:
            again = batch.counts.failed + batch.counts.cancelled
            words = {
                BatchState.RUNNING: self.tr("Pause"),
                BatchState.PAUSED: self.tr("Resume"),
            }.get(batch.state, self.tr("Try %1 again").replace("%1", display.integer(again)) if again else "")
        self.act.setText(words)
        self.act.setVisible(bool(words))
        told = [batch.waits_for] if batch is not None and batch.waits_for else []
        if batch is not None and not told and batch.state is BatchState.RUNNING and batch.file_s is not None:
            told.append(self.tr("%1 a file.").replace("%1", display.duration(batch.file_s)))
        if batch is not None:
            told += [f"{display.integer(cause.count)} × {cause.sentence}" for cause in batch.causes[:2]]
        self.told.setText("\n".join(told))
        self.told.setVisible(bool(told))
        no_model = batch is not None and bool(batch.waits_for) and self._desk.services.models.loaded().model_id is None
        self.models.setVisible(no_model)
        self.watched.show_batch(batch)

    def _ask(self, make: Callable[[], Coroutine[Any, Any, object]]) -> None:
        self._desk.bridge.call(make, owner=self)

    def _batch_menu(self, place: QPoint) -> None:
        batch = self.batches.record(_meant(self.batch_list, place).row())
        if batch is not None:
            last = batch.position >= len(self.batches.records) - 1
            menu = batch_menu(self, batch, last, self._documents, self._desk.icons, self._ask)
            menu.popup(self.batch_list.viewport().mapToGlobal(place))

    def _file_menu(self, place: QPoint) -> None:
        file = self.files.record(_meant(self.file_list, place).row())
        if file is not None:
            menu = file_menu(self, file, self._documents, self._desk.icons, self._ask)
            menu.popup(self.file_list.viewport().mapToGlobal(place))

    def _stop_watching(self, folder: Path) -> None:
        batch = self.batch
        if batch is None:
            return
        documents, batch_id = self._documents, batch.id
        self._ask(lambda: documents.watch(batch_id, folder, False))
        undo = Action(self.tr("Undo"), lambda: self._ask(lambda: documents.watch(batch_id, folder)))
        words = self.tr("%1 is not watched any more.").replace("%1", folder.name or str(folder))
        self._desk.notices.show("info", words, action=undo)

    def _build(self) -> QWidget:
        fonts = self._desk.themes.fonts
        files = QWidget()
        head = row(label(self.tr("Files"), fonts.caption, "muted"), None, self.act)
        head.setContentsMargins(12, GRID, GRID, 0)
        below = column(self.told, self.models, self.watched, spacing=4)
        below.setContentsMargins(12, 4, 12, GRID)
        inner = column(frame("line"), head, self.file_list, below, spacing=4)
        inner.setStretch(2, 1)
        files.setLayout(inner)
        pile = QSplitter(Qt.Orientation.Vertical)
        pile.addWidget(self.batch_list)
        pile.addWidget(files)
        pile.setChildrenCollapsible(False)
        pile.setSizes([230, 500])
        return pile


def _meant(view: QListView, place: QPoint) -> QModelIndex:
    """The row under the pointer, or the current one when the menu was asked for by a key."""
    under = view.indexAt(place)
    return under if under.isValid() else view.currentIndex()


def _list(model: Any, rows: QStyledItemDelegate, name: str) -> QListView:
    made = QListView()
    made.setAccessibleName(name)
    made.setModel(model)
    made.setItemDelegate(rows)
    made.setMouseTracking(True)
    made.setFrameShape(QListView.Shape.NoFrame)
    made.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
    made.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
    made.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    return made
