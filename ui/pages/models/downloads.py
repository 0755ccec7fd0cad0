"""The queue of downloads at the foot of the page: how far each is, and pause, resume, cancel and order."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QCoreApplication, Qt, Signal
from PySide6.QtWidgets import QFrame, QProgressBar, QScrollArea, QVBoxLayout, QWidget

from app.events import DownloadProgressed, DownloadsChanged
from app.models.records import Download
from ui import display
from ui.desk import Action, Desk
from ui.theme import GRID, grown
from ui.widgets.icon_button import IconButton
from ui.widgets.parts import ElidedLabel, column, label, row, set_tone

_MOST_SHOWN = 3
_ROW_HEIGHT = 60


class DownloadRow(QWidget):
    """One download."""

    def __init__(self, desk: Desk, queue: DownloadsView) -> None:
        super().__init__()
        self._desk, self._queue = desk, queue
        fonts = desk.themes.fonts
        self.download: Download | None = None
        self._name = ElidedLabel(fonts.body)
        self._words = ElidedLabel(fonts.caption)
        self._words.setProperty("tone", "muted")
        self._bar = QProgressBar()
        self._bar.setTextVisible(False)
        self._bar.setRange(0, 1000)
        icons, themes = desk.icons, desk.themes
        self.up = IconButton("arrow-up", self.tr("Earlier"), icons, themes, size=28)
        self.up.clicked.connect(lambda: self._queue.shift(self.download, -1))
        self.down = IconButton("arrow-down", self.tr("Later"), icons, themes, size=28)
        self.down.clicked.connect(lambda: self._queue.shift(self.download, 1))
        self.go = IconButton("pause", self.tr("Pause"), icons, themes, size=28)
        self.go.clicked.connect(lambda: self._queue.toggle(self.download))
        self.cancel = IconButton("x", self.tr("Cancel"), icons, themes, size=28)
        self.cancel.clicked.connect(lambda: self._queue.cancel(self.download))
        words = column(self._name, self._words, self._bar, spacing=3)
        line = row(words, self.up, self.down, self.go, self.cancel, spacing=2)
        line.setStretch(0, 1)
        line.setContentsMargins(12, 6, GRID, 6)
        self.setLayout(line)
        self.setFixedHeight(grown(_ROW_HEIGHT))

    def show_download(self, download: Download, *, first: bool, last: bool) -> None:
        self.download = download
        self.setAccessibleName(download.name)
        self._name.setText(download.name)
        self._words.setText(words(download))
        set_tone(self._words, {"failed": "danger", "done": "success"}.get(download.state, "muted"))
        self.setToolTip(" ".join(filter(None, (download.error, download.hint, download.note))))
        self.setAccessibleDescription(words(download))
        self._bar.setValue(round(download.done_ratio * 1000))
        self._bar.setVisible(download.state != "done")
        self._bar.setAccessibleName(self.tr("Progress of %1").replace("%1", download.name))
        goes = download.state in ("running", "waiting")
        self.go.set_icon("pause" if goes else "play")
        name = self.tr("Pause") if goes else self.tr("Try again") if download.state == "failed" else self.tr("Resume")
        self.go.rename(name)
        self.go.setVisible(download.state != "done")
        self.cancel.rename(self.tr("Take off the list") if download.state == "done" else self.tr("Cancel"))
        self.up.setVisible(not first and download.state != "done")
        self.down.setVisible(not last and download.state != "done")


class DownloadsView(QFrame):
    """Hidden while there is nothing to fetch."""

    load_asked = Signal(object)

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self.setProperty("kind", "card")
        self.setAccessibleName(self.tr("Downloads"))
        self._downloads: tuple[Download, ...] = ()
        self.rows: list[DownloadRow] = []
        self._title = label("", desk.themes.fonts.strong)
        self._inner: QVBoxLayout = column(spacing=0)
        inner = QWidget()
        inner.setLayout(self._inner)
        self._scroll = QScrollArea()
        self._scroll.setProperty("kind", "clear")
        self._scroll.setWidgetResizable(True)
        self._scroll.setFrameShape(QFrame.Shape.NoFrame)
        self._scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._scroll.setWidget(inner)
        self._scroll.viewport().setAutoFillBackground(False)
        inner.setAutoFillBackground(False)
        head = row(self._title, None)
        head.setContentsMargins(12, GRID, 12, 2)
        whole = column(head, self._scroll, spacing=0)
        whole.setContentsMargins(1, 1, 1, GRID)
        self.setLayout(whole)
        desk.bridge.downloads_changed.connect(self._changed)
        desk.bridge.download_progressed.connect(self._progressed)
        self._show(desk.services.downloads.downloads())

    def _changed(self, event: DownloadsChanged) -> None:
        self._show(event.downloads)

    def _progressed(self, event: DownloadProgressed) -> None:
        now = event.download
        self._show(tuple(now if known.id == now.id else known for known in self._downloads))

    def _show(self, downloads: Sequence[Download]) -> None:
        self._downloads = tuple(downloads)
        self.setVisible(bool(downloads))
        self._title.setText(title(downloads))
        while len(self.rows) < len(downloads):
            made = DownloadRow(self._desk, self)
            self.rows.append(made)
            self._inner.addWidget(made)
        for place, view in enumerate(self.rows):
            view.setVisible(place < len(downloads))
            if place < len(downloads):
                view.show_download(downloads[place], first=place == 0, last=place == len(downloads) - 1)
        self._scroll.setFixedHeight(grown(_ROW_HEIGHT) * min(len(downloads), _MOST_SHOWN) + 4)

    # what the rows ask for

    def toggle(self, download: Download | None) -> None:
        """Pause what goes, resume what does not."""
        if download is None:
            return
        queue = self._desk.services.downloads
        goes = download.state in ("running", "waiting")
        self._desk.bridge.call(lambda: queue.pause(download.id) if goes else queue.resume(download.id), owner=self)

    def cancel(self, download: Download | None) -> None:
        """Stop it, and offer to take that back."""
        if download is None:
            return
        queue, bridge = self._desk.services.downloads, self._desk.bridge

        def cancelled(_: None) -> None:
            if download.state == "done":
                return
            undo = Action(self.tr("Undo"), lambda: bridge.call(lambda: queue.keep(download.id)))
            sentence = self.tr("Cancelled %1; %2 are thrown away.").replace("%1", download.name)
            self._desk.notices.show("info", sentence.replace("%2", display.byte_size(download.done_bytes)), action=undo)

        bridge.call(lambda: queue.cancel(download.id), cancelled, owner=self)

    def shift(self, download: Download | None, step: int) -> None:
        """Earlier or later in the queue."""
        if download is None:
            return
        queue = self._desk.services.downloads
        place = [known.id for known in self._downloads].index(download.id) + step
        self._desk.bridge.call(lambda: queue.move(download.id, place), owner=self)


def title(downloads: Sequence[Download]) -> str:
    """``Downloads · 1 running, 2 waiting``."""
    named = {
        "running": _tr("%1 running"),
        "waiting": _tr("%1 waiting"),
        "paused": _tr("%1 paused"),
        "failed": _tr("%1 failed"),
        "done": _tr("%1 done"),
    }
    counts = {state: sum(download.state == state for download in downloads) for state in named}
    parts = [words.replace("%1", display.integer(counts[state])) for state, words in named.items() if counts[state]]
    return f"{_tr('Downloads')} · {', '.join(parts)}"


def words(download: Download) -> str:
    """``7.3 of 17.3 GiB · 23.4 MB/s · 7 min 38 s left``."""
    amount = display.byte_pair(download.done_bytes, download.total_bytes)
    if download.state == "failed":
        return f"{download.error} {download.hint}".strip()
    if download.state == "done":
        return _tr("%1, whole and verified").replace("%1", display.byte_size(download.total_bytes))
    if download.state == "running" and download.doing != "downloading":
        doing = {
            "preparing": _tr("Preparing"),
            "checking": _tr("Checking what is there already"),
            "finishing": _tr("Verifying"),
        }
        return f"{doing.get(download.doing, download.doing)} · {amount}"
    parts = [amount]
    if download.state == "waiting":
        parts.append(_tr("waits for its turn"))
    elif download.state == "paused":
        parts.append(_tr("paused"))
    if download.bytes_per_s:
        parts.append(display.line_rate(download.bytes_per_s))
    if download.left_s is not None:
        parts.append(_tr("%1 left").replace("%1", display.duration(download.left_s)))
    if download.note:
        parts.append(download.note)
    return " · ".join(parts)


def _tr(text: str) -> str:
    return QCoreApplication.translate("downloads", text)
