"""Requests to end, as signals in Qt's event loop: Python runs handlers only when Qt lets it, so a socket wakes Qt."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable

from PySide6.QtCore import QObject, QSocketNotifier


def _watched() -> tuple[signal.Signals, ...]:
    """Also the end of the terminal that it was started from, unless it is to outlive that (``nohup``)."""
    hang_up = getattr(signal, "SIGHUP", None)  # Windows has none
    if hang_up is None or signal.getsignal(hang_up) is signal.SIG_IGN:
        return signal.SIGINT, signal.SIGTERM
    return signal.SIGINT, signal.SIGTERM, hang_up


class SignalWatch(QObject):
    """Calls ``stop`` in Qt's thread when the process is asked to end. Main thread only; ``restore`` before leaving."""

    def __init__(self, stop: Callable[[], object]) -> None:
        super().__init__()
        self._stop = stop
        self._near, self._far = socket.socketpair()
        self._near.setblocking(False)
        self._far.setblocking(False)
        self._notifier = QSocketNotifier(self._near.fileno(), QSocketNotifier.Type.Read, self)
        self._notifier.activated.connect(self._woken)
        self._before = {number: signal.signal(number, lambda *_: None) for number in _watched()}
        self._before_fd = signal.set_wakeup_fd(self._far.fileno(), warn_on_full_buffer=False)

    def restore(self) -> None:
        """Put the former handlers back."""
        signal.set_wakeup_fd(self._before_fd)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._notifier.setEnabled(False)
        self._near.close()
        self._far.close()

    def _woken(self) -> None:
        numbers = self._near.recv(64)
        if any(number in numbers for number in self._before):
            self._stop()
