"""The app's lock: when it closes (by hand, or when nobody is there), and the page that opens it again.

It asks ``StoreApi`` to lock and unlock; covering the window is ``ui.window``'s.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from PySide6.QtCore import QEvent, QObject, QTimer

from engine.errors import GatehouseError
from ui.desk import Desk
from ui.icons import Icons
from ui.pages.unlock import UnlockPage
from ui.theme import ThemeStore
from ui.window import Window

_LOOK_MS = 5_000
_INPUT = frozenset(
    {
        QEvent.Type.KeyPress,
        QEvent.Type.MouseButtonPress,
        QEvent.Type.MouseMove,
        QEvent.Type.Wheel,
        QEvent.Type.TouchBegin,
    }
)


class AppLock(QObject):
    """Locks and unlocks a window whose services are up."""

    def __init__(self, window: Window, desk: Desk, themes: ThemeStore, icons: Icons) -> None:
        super().__init__(window)
        self._window, self._desk = window, desk
        self._themes, self._icons = themes, icons
        self.idle = IdleWatch(window, self._minutes, self._lock_idle)
        window.lock_requested.connect(self.lock)

    def lock(self) -> None:
        """Because the person wants it. Without a passphrase a notice says what to do first."""
        store = self._desk.services.store
        self._desk.bridge.call(store.lock, lambda _: self._cover(), self._refused, owner=self)

    def _lock_idle(self) -> None:
        if not self._window.covered:
            store = self._desk.services.store
            self._desk.bridge.call(store.lock, lambda _: self._cover(), lambda _: None, owner=self)

    def _cover(self) -> None:
        self._window.cover(UnlockPage(self._attempt, self._window.close, self._themes, self._icons))

    def _attempt(self, typed: str, failed: Callable[[GatehouseError], None]) -> None:
        store = self._desk.services.store
        self._desk.bridge.call(lambda: store.unlock(typed), lambda _: self._uncover(), failed, owner=self)

    def _uncover(self) -> None:
        self.idle.touch()
        self._window.cover(None)

    def _refused(self, error: GatehouseError) -> None:
        self._desk.notices.show("info", error.sentence, error.hint)

    def _minutes(self) -> int | None:
        return self._desk.services.settings.values.relock_minutes


class IdleWatch(QObject):
    """Calls when nobody has typed or pointed for so many minutes. Watches the native window, not every widget."""

    def __init__(self, window: Window, minutes: Callable[[], int | None], on_idle: Callable[[], object]) -> None:
        super().__init__(window)
        self._minutes, self._on_idle = minutes, on_idle
        self._touched_at = time.monotonic()
        handle = window.windowHandle()
        if handle is not None:
            handle.installEventFilter(self)
        self._timer = QTimer(self, interval=_LOOK_MS)
        self._timer.timeout.connect(self.look)
        self._timer.start()

    def touch(self) -> None:
        """Somebody is there."""
        self._touched_at = time.monotonic()

    def look(self) -> None:
        """Whether it is time."""
        minutes = self._minutes()
        if minutes is not None and time.monotonic() - self._touched_at >= 60 * minutes:
            self.touch()
            self._on_idle()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() in _INPUT:
            self.touch()
        return False
