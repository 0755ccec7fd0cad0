"""Keeps two processes from writing the same model: a lock file that the system frees when its holder dies."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from engine.errors import HubError


class FolderLock:
    """Held from ``with`` to its end. The file stays away when nobody holds it."""

    def __init__(self, path: Path, what: str) -> None:
        self._path = path
        self._what = what
        self._descriptor = -1

    def __enter__(self) -> FolderLock:
        """Raises: ``HubError`` (``in_use``) when another process, or another thread, holds it."""
        while True:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
            if not _try_lock(descriptor):
                os.close(descriptor)
                raise HubError(
                    "in_use", f"{self._what} is being downloaded already, here or by another program.", "Let it finish."
                )
            if self._is_still_there(descriptor):
                self._descriptor = descriptor
                return self
            # Its last holder removed the file between our opening and our locking it.
            os.close(descriptor)

    def __exit__(self, *_: object) -> None:
        if sys.platform == "win32":
            # An open file cannot be removed there; whoever comes in between keeps it.
            os.close(self._descriptor)
            try:
                self._path.unlink(missing_ok=True)
            except PermissionError:
                return
        else:
            self._path.unlink(missing_ok=True)
            os.close(self._descriptor)

    def _is_still_there(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), self._path.stat())
        except FileNotFoundError:
            return False


def _try_lock(descriptor: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
