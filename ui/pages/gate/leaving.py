"""Removing with a way back where the service has none: the thing is out of sight at once and removed a little later."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, QTimer, Signal

from ui.desk import Action, Desk

_WAIT_MS = 8000
"""As long as a notice with an action stays."""


class Leaving(QObject):
    """``changed`` follows when something goes out of sight or comes back."""

    changed = Signal()

    def __init__(self, desk: Desk, owner: QObject) -> None:
        super().__init__(owner)
        self._desk = desk
        self._timers: dict[str, QTimer] = {}
        self._runs: dict[str, Callable[[], object]] = {}

    @property
    def keys(self) -> frozenset[str]:
        """What is out of sight and not yet removed."""
        return frozenset(self._timers)

    def begin(self, key: str, sentence: str, run: Callable[[], object]) -> None:
        """Hide ``key``, offer to take that back, and ``run`` when the time for it is over."""
        timer = QTimer(self, singleShot=True, interval=_WAIT_MS)
        timer.timeout.connect(lambda: self.finish(key))
        self._timers[key], self._runs[key] = timer, run
        timer.start()
        self._desk.notices.show("info", sentence, action=Action(self.tr("Undo"), lambda: self.take_back(key)))
        self.changed.emit()

    def take_back(self, key: str) -> None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.stop()
            del self._runs[key]
            self.changed.emit()

    def finish(self, key: str) -> None:
        """Remove it now."""
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.stop()
            self._runs.pop(key)()
