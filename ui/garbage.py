"""Keeps Python's collector of cyclic garbage from stopping the window.

A full collection looks at every object there is: with the openai package imported that takes 70 to 110 ms, in whichever
thread it strikes, and Qt's waits for it. What was imported and built lives as long as the process anyway; it is set
aside at the moments when most of it has come, so that later collections look at little.
"""

from __future__ import annotations

import gc

from PySide6.QtCore import QObject, QTimer

from app.events import LoadedModelChanged
from engine.worker.spec import Ready
from ui.bridge import Bridge

_AFTER_MS = 1_500
"""After the event: imports that it set off in other threads are done by then."""


class GarbageKeeper(QObject):
    """Sets aside after the start, when a model becomes ready, and after the first answer."""

    def __init__(self, bridge: Bridge, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._pause = QTimer(self, singleShot=True, interval=_AFTER_MS)
        self._pause.timeout.connect(set_aside)
        self._bridge = bridge
        bridge.loaded_model_changed.connect(self._loaded_changed)
        bridge.answer_finished.connect(self._first_answer)
        self._pause.start()

    def _loaded_changed(self, event: LoadedModelChanged) -> None:
        if isinstance(event.loaded.state, Ready):
            self._pause.start()

    def _first_answer(self) -> None:
        self._bridge.answer_finished.disconnect(self._first_answer)
        self._pause.start()


def set_aside() -> None:
    """Collect what is young, a few milliseconds, and never look at the rest again."""
    gc.collect(1)
    gc.freeze()
