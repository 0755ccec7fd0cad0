"""A splitter whose first part is as wide at the next start as one left it."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication, Qt, QTimer
from PySide6.QtWidgets import QSplitter

from ui.desk import Desk

_PAUSE_MS = 400
_REST = 10_000
"""The other part takes what is left."""


class KeptSplitter(QSplitter):
    """``setting`` is the name of a setting in pixels; ``width`` is the first part's until one has moved it."""

    def __init__(self, desk: Desk, setting: str, width: int) -> None:
        super().__init__(Qt.Orientation.Horizontal)
        self._desk, self._setting = desk, setting
        self.width_wanted = getattr(desk.services.settings.values, setting) or width
        self.setChildrenCollapsible(False)
        self._pause = QTimer(self, singleShot=True, interval=_PAUSE_MS)
        self._pause.timeout.connect(self._keep)
        self.splitterMoved.connect(self._pause.start)

    def settle(self) -> None:
        """Both parts are in it: give them their widths."""
        self.setStretchFactor(1, 1)
        self.setSizes([self.width_wanted, _REST])

    def _keep(self) -> None:
        try:
            self._desk.services.settings.update(**{self._setting: self.sizes()[0]})
        except OSError as error:
            words = QCoreApplication.translate("window", "The settings could not be saved.")
            self._desk.notices.show("warning", words, error.strerror or "")
