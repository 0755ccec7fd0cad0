"""The folders that a batch watches: each by its name, with what is wrong with it and the button that ends watching."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QVBoxLayout, QWidget

from app.documents.batch_records import Batch, BatchState
from ui.icons import Icons
from ui.theme import ThemeStore
from ui.widgets.icon_button import IconButton
from ui.widgets.parts import ElidedLabel, column, label, row


class WatchStrip(QWidget):
    """Hidden while nothing is watched."""

    stopped = Signal(object)
    """The folder that shall not be watched any more."""

    def __init__(self, themes: ThemeStore, icons: Icons) -> None:
        super().__init__()
        self._themes, self._icons = themes, icons
        self._shown: tuple[Path, ...] | None = None
        self.told = label("", themes.fonts.caption, "muted", wrap=True)
        self.buttons: list[IconButton] = []
        self._rows = QVBoxLayout()
        self._rows.setContentsMargins(0, 0, 0, 0)
        self._rows.setSpacing(0)
        self.setLayout(column(self._rows, self.told, spacing=2))
        self.hide()

    def show_batch(self, batch: Batch | None) -> None:
        """The folders of a batch."""
        folders = batch.watched if batch is not None else ()
        if folders != self._shown:
            self._shown = folders
            self._build(folders)
        self.setVisible(bool(folders))
        if batch is None:
            return
        words = batch.watch_fault
        if batch.state is BatchState.CANCELLED:
            words = self.tr("The batch is cancelled: watching rests until its files are tried again.")
        elif batch.state is BatchState.PAUSED and not words:
            words = self.tr("The batch is paused: new files join it and wait.")
        self.told.setText(words)
        self.told.setVisible(bool(words))

    def _build(self, folders: tuple[Path, ...]) -> None:
        while (item := self._rows.takeAt(0)) is not None:
            old = item.widget()
            if old is not None:
                old.hide()
                old.deleteLater()
        self.buttons = []
        for folder in folders:
            name = ElidedLabel(self._themes.fonts.caption, Qt.TextElideMode.ElideMiddle)
            name.setText(self.tr("Watches %1").replace("%1", str(folder)))
            name.setProperty("tone", "muted")
            words = self.tr("Stop watching %1").replace("%1", folder.name or str(folder))
            stop = IconButton("x", words, self._icons, self._themes, size=24)
            stop.clicked.connect(partial(self._stop, folder))
            line = QWidget()
            made = row(name, stop, spacing=4)
            made.setStretch(0, 1)
            line.setLayout(made)
            self._rows.addWidget(line)
            self.buttons.append(stop)

    def _stop(self, folder: Path, _checked: bool = False) -> None:
        self.stopped.emit(folder)
