"""Drives the real window by keys and clicks, told what to do by lines on its standard input.

``start`` presses the Welcome page's button; ``say TEXT`` types into the composer and presses Enter; ``minimise`` puts
the window away; ``quit`` closes it. What happened is printed as JSON lines: ``window`` with its page, ``ready`` with
the worker's process, ``growing`` once for each answer, ``finished`` with the answer, ``minimised``, and
``asked_to_show`` after another start.
"""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path

from PySide6.QtCore import QObject, Qt, QTimer, Signal
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from app.events import AnswerFinished, AnswerGrew, LoadedModelChanged
from app.paths import resolve
from engine.worker.spec import Ready
from ui.application import run
from ui.instance import Instance
from ui.pages.chat import ChatPage
from ui.pages.welcome import WelcomePage
from ui.window import Window


class Pilot(QObject):
    """Lives in Qt's thread; a thread of its own reads the orders."""

    ordered = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._heard: set[str] = set()
        self._listening = False
        self.ordered.connect(self._obey)
        self._look = QTimer(self, interval=20)
        self._look.timeout.connect(self._look_for_window)
        self._look.start()

    def _look_for_window(self) -> None:
        window = self._window()
        desk = window._desk if window is not None else None
        if window is None or desk is None or window.page(window.current) is None:
            return
        self._look.stop()
        desk.bridge.answer_grew.connect(self._grew)
        desk.bridge.answer_finished.connect(self._finished)
        desk.bridge.loaded_model_changed.connect(self._loaded)
        instance = QApplication.instance().findChild(Instance)
        assert instance is not None
        instance.show_requested.connect(lambda: self._say(event="asked_to_show", minimised=window.isMinimized()))
        self._say(event="window", page=window.current)
        self._loaded(LoadedModelChanged(desk.services.models.loaded()))
        threading.Thread(target=self._read, name="orders", daemon=True).start()

    def _read(self) -> None:
        for line in sys.stdin:
            self.ordered.emit(line.rstrip("\n"))

    def _obey(self, order: str) -> None:
        verb, _, rest = order.partition(" ")
        window = self._window()
        assert window is not None
        if verb == "start":
            page = window.page("welcome")
            assert isinstance(page, WelcomePage)
            self._when_enabled(page)
        elif verb == "say":
            page = window.page("chat")
            assert isinstance(page, ChatPage)
            QTest.keyClicks(page.composer.text, rest)
            QTest.keyClick(page.composer.text, Qt.Key.Key_Return)
        elif verb == "minimise":
            window.showMinimized()
            self._say(event="minimised", minimised=window.isMinimized())
        elif verb == "quit":
            window.close()

    def _when_enabled(self, page: WelcomePage) -> None:
        if page.start.isEnabled():
            QTest.mouseClick(page.start, Qt.MouseButton.LeftButton)
        else:
            QTimer.singleShot(20, self, lambda: self._when_enabled(page))

    def _loaded(self, event: LoadedModelChanged) -> None:
        if isinstance(event.loaded.state, Ready):
            self._say(event="ready", pid=event.loaded.state.pid)

    def _grew(self, event: AnswerGrew) -> None:
        if event.message_id not in self._heard:
            self._heard.add(event.message_id)
            self._say(event="growing", id=event.message_id)

    def _finished(self, event: AnswerFinished) -> None:
        message = event.message
        self._say(event="finished", id=message.id, status=message.status.value, text=message.text, error=message.error)

    @staticmethod
    def _window() -> Window | None:
        return next((widget for widget in QApplication.topLevelWidgets() if isinstance(widget, Window)), None)

    @staticmethod
    def _say(**what: object) -> None:
        sys.stdout.write(json.dumps(what) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    application = QApplication(["gatehouse"])
    pilot = Pilot()
    sys.exit(run(resolve(Path(sys.argv[1]))))
