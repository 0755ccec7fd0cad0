"""One window for one data folder. The second start asks the first to show itself, and ends.

A lock file says who is first; it outlives a kill -9 and is then recognised as stale. A local socket named for the
folder carries the wish; it opens when the window is up, so that a start does not wait for it. What *showing* means is
the window's affair.
"""

from __future__ import annotations

import errno
import hashlib
import os
import time
from enum import Enum, auto
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QLockFile, QObject, Signal

from app.paths import Paths

if TYPE_CHECKING:
    from PySide6.QtNetwork import QLocalServer, QLocalSocket

_SHOW = b"show\n"
_SHOWN = b"shown\n"
_ANSWER_S = 5.0
"""How long a first window may take to answer; it may itself be starting."""
_PAUSE_S = 0.1


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
    """Our claim on a data folder: ``claim``, ``listen`` when the window is up, ``release``."""

    show_requested = Signal()

    def __init__(self, folder: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._name = socket_name(folder)
        self._lock = QLockFile(str(folder / "window.lock"))
        self._lock.setStaleLockTime(0)  # by age never; by a dead owner always
        self._server: QLocalServer | None = None

    def claim(self) -> Claim:
        """Become the first, or have the first raised. Blocks for some seconds at worst."""
        if self._lock.isLocked() or self._lock.tryLock(0):
            return Claim.FIRST
        if self._lock.error() is not QLockFile.LockError.LockFailedError:
            return Claim.REFUSED
        if _ask_to_show(self._name):
            return Claim.SHOWN
        # Nobody answers: the owner's number may have gone to another process. Removing works only if it is unlocked.
        if self._lock.removeStaleLockFile() and self._lock.tryLock(0):
            return Claim.FIRST
        return Claim.SILENT

    def listen(self) -> None:
        """Answer second starts from now on. A system without room for the socket leaves them unanswered."""
        from PySide6.QtNetwork import QLocalServer

        if self._server is not None or not self._lock.isLocked():
            return
        QLocalServer.removeServer(self._name)  # left behind by a kill -9; the lock says that it is nobody's
        server = QLocalServer(self)
        server.setSocketOptions(QLocalServer.SocketOption.UserAccessOption)
        server.newConnection.connect(self._accept)
        server.listen(self._name)
        self._server = server

    def release(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server.deleteLater()
            self._server = None
        self._lock.unlock()

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


def claim(paths: Paths, instance: Instance) -> Claim:
    """Make the folders and become their one window. Raises ``OSError`` for folders that cannot be written."""
    paths.make_folders()
    claimed = instance.claim()
    if claimed is Claim.REFUSED:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(paths.data))
    return claimed


def socket_name(folder: Path) -> str:
    """The local socket of a data folder; short, since systems limit the length."""
    return "gatehouse-" + hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:20]


def _ask_to_show(name: str) -> bool:
    from PySide6.QtNetwork import QLocalSocket

    deadline = time.monotonic() + _ANSWER_S
    while (left_s := deadline - time.monotonic()) > 0:
        socket = QLocalSocket()
        socket.connectToServer(name)
        try:
            if socket.waitForConnected(round(left_s * 1000)):
                socket.write(_SHOW)
                return socket.waitForReadyRead(round(left_s * 1000)) and bytes(socket.readLine(64).data()) == _SHOWN
        finally:
            socket.abort()
        time.sleep(_PAUSE_S)  # it is starting and does not listen yet
    return False
