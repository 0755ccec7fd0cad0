"""SQLite's errors as sentences. Leaves raising and retrying to the lane and the services."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

from app.store import driver
from engine.errors import StoreError

DISK_FULL = "disk_full"
_NEARLY_FULL_BYTES = 4 << 20
"""Below this, an I/O error of SQLite is taken for a full disk: shared memory and journals fail with other codes."""

_PRIMARY = 0xFF
"""The low byte of an extended result code. Source: https://www.sqlite.org/rescode.html"""


def explain(error: driver.Error | OSError, database: Path) -> StoreError:
    """The error of the store that a person should read for ``error``."""
    if _is_disk_full(error, database):
        return _disk_full(database)
    match _primary(error):
        case driver.SQLITE_CORRUPT | driver.SQLITE_NOTADB:
            return damaged(str(error), database)
        case driver.SQLITE_BUSY | driver.SQLITE_LOCKED:
            return StoreError(
                "store_busy", "Another program is writing to the conversations.", "Try again in a moment."
            )
        case driver.SQLITE_READONLY | driver.SQLITE_PERM:
            sentence = f"The conversations in {database} cannot be written."
            return StoreError("store_readonly", sentence, "Check the folder's permissions.")
        case _:
            return StoreError("store_failed", f"The conversations in {database} cannot be read or written: {error}.")


def damaged(fault: str, database: Path) -> StoreError:
    """The database's content breaks its own rules; ``fault`` is SQLite's first finding."""
    return StoreError(
        "store_damaged",
        f"The file {database} is damaged: {fault.strip().splitlines()[0]}.",
        f"Copies made before upgrades lie in {database.parent / 'backups'}; move the damaged file away to start anew.",
    )


def _disk_full(database: Path) -> StoreError:
    return StoreError(
        DISK_FULL,
        f"The disk that holds {database.parent} is full, so the latest text is not saved.",
        "Free some space; saving goes on by itself.",
    )


def _primary(error: Exception) -> int | None:
    code = getattr(error, "sqlite_errorcode", None)
    return code & _PRIMARY if isinstance(code, int) else None


def _is_disk_full(error: Exception, database: Path) -> bool:
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    primary = _primary(error)
    if primary in (driver.SQLITE_IOERR, driver.SQLITE_CANTOPEN):
        return _nearly_full(database)
    return primary == driver.SQLITE_FULL


def _nearly_full(database: Path) -> bool:
    try:
        return shutil.disk_usage(database.parent).free < _NEARLY_FULL_BYTES
    except OSError:
        return False
