"""One window for one data folder. The second start asks the first to show itself, and ends.

A lock file says who is first; it outlives a kill -9 and is then recognised as stale. A local socket named for the
folder carries the wish. What *showing* means is the window's affair.
"""

from __future__ import annotations

import hashlib
from enum import Enum, auto
from pathlib import Path

from PySide6.QtCore import QLockFile, QObject, Signal
from PySide6.QtNetwork import QLocalServer, QLocalSocket

_SHOW = b"show\n"
_SHOWN = b"shown\n"
_ANSWER_MS = 3000


class Claim(Enum):
    """What came of wanting to be the first."""

    FIRST = auto()
    SHOWN = auto()
    """Another window has this folder, and was raised."""
    SILENT = auto()
    """Another process holds the lock but does not answer."""
    REFUSED = auto()
    """The folder does not let us write a lock."""


class Instance(QObject):
    """Our claim on a data folder. Ends with ``release``."""

    show_requested = Signal()

    def __init__(self, folder: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._name = socket_name(folder)
        self._lock = QLockFile(str(folder / "window.lock"))
        self._lock.setStaleLockTime(0)  # by age never; by a dead owner always
        self._server: QLocalServer | None = None

    def claim(self) -> Claim:
        """Become the first, or have the first raised. Blocks for some seconds at worst."""
        if self._lock.isLocked():
            return Claim.FIRST
        if self._lock.tryLock(0):
            self._listen()
            return Claim.FIRST
        if self._lock.error() is not QLockFile.LockError.LockFailedError:
            return Claim.REFUSED
        if _ask_to_show(self._name):
            return Claim.SHOWN
        # Nobody answers: the owner's number may have gone to another process. Removing succeeds only if it is unlocked.
        if self._lock.removeStaleLockFile() and self._lock.tryLock(0):
            self._listen()
            return Claim.FIRST
        return Claim.SILENT

    def release(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server.deleteLater()
            self._server = None
        self._lock.unlock()

    def _listen(self) -> None:
        QLocalServer.removeServer(self._name)
        server = QLocalServer(self)
        server.setSocketOptions(QLocalServer.SocketOption.UserAccessOption)
        server.newConnection.connect(self._accept)
        server.listen(self._name)  # without it a second start is told that the first is silent
        self._server = server

    def _accept(self) -> None:
        assert self._server is not None
        while (peer := self._server.nextPendingConnection()) is not None:
            peer.readyRead.connect(lambda peer=peer: self._answer(peer))
            peer.disconnected.connect(peer.deleteLater)

    def _answer(self, peer: QLocalSocket) -> None:
        if peer.canReadLine() and bytes(peer.readLine(64).data()) == _SHOW:
            self.show_requested.emit()
            peer.write(_SHOWN)
            peer.flush()


def socket_name(folder: Path) -> str:
    """The local socket of a data folder; short, since systems limit the length."""
    return "gatehouse-" + hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:20]


def _ask_to_show(name: str) -> bool:
    socket = QLocalSocket()
    socket.connectToServer(name)
    try:
        if not socket.waitForConnected(_ANSWER_MS):
            return False
        socket.write(_SHOW)
        return socket.waitForReadyRead(_ANSWER_MS) and bytes(socket.readLine(64).data()) == _SHOWN
    finally:
        socket.abort()
