"""The disk under a download: how much is free, durable writes, and the sentences for when it fails."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from engine.errors import HubError

MARGIN_BYTES = 256 * 1_048_576
"""Left free for everything else that writes to the disk meanwhile."""


def free_bytes(folder: Path) -> int:
    """Free for this user on the disk of a folder that exists."""
    return shutil.disk_usage(folder).free


def open_part(path: Path) -> FileIO:
    """For reading and writing, unbuffered: what was written is counted, and nothing is left to fail on closing."""
    return FileIO(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o600), "r+")


@dataclass(frozen=True, slots=True)
class Disk:
    """The two things that a download asks of a disk and that a test may want to fail."""

    free_bytes: Callable[[Path], int] = free_bytes
    open_part: Callable[[Path], FileIO] = open_part


def check_space(folder: Path, needed_bytes: int, disk: Disk) -> None:
    """Raises: ``HubError`` (``disk_full``) when not all of it would fit with a margin."""
    free = disk.free_bytes(folder)
    if needed_bytes and needed_bytes + MARGIN_BYTES > free:
        raise HubError(
            "disk_full",
            f"{needed_bytes / 1e9:,.2f} GB are still to come, and {free / 1e9:,.2f} GB are free in {folder}.",
            f"Free {(needed_bytes + MARGIN_BYTES - free) / 1e9:,.2f} GB, or choose another folder for models.",
        )


def write_failed(error: OSError, folder: Path) -> HubError:
    """For a write that the system refused."""
    if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
        return HubError(
            "disk_full",
            f"The disk of {folder} filled up on the way.",
            "What has arrived is kept; free space and go on.",
        )
    if error.errno == errno.EFBIG:
        return HubError(
            "file_too_large",
            f"The file system of {folder} cannot hold a file of this size.",
            "FAT32 ends at 4 GiB; choose a folder on another disk.",
        )
    reason = error.strerror or type(error).__name__
    return HubError("unwritable", f"{folder} cannot be written: {reason}.", "Choose another folder for models.")


def write_durably(path: Path, content: bytes) -> None:
    """All or nothing, also when the power fails. Raises ``OSError``."""
    beside = path.with_name(path.name + ".new")
    with beside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames in it durable. Windows does that by itself."""
    if sys.platform != "win32":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
