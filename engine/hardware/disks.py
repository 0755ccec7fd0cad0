"""The file systems that hold our folders: what they are and what is free on them.

A dead network disk blocks whoever looks at it, so those are looked at in a child.
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from typing import Final

import psutil

from engine.hardware.attempt import ask_child
from engine.hardware.profile import Disk

_REMOTE: Final = re.compile(r"nfs\d?|cifs|smb\w*|afpfs|webdav|davfs2?|9p|ceph|glusterfs|lustre|afs|autofs|fuse\.\w+")


def read_disk(folder: Path, *, root: Path = Path("/"), timeout_s: float = 3.0) -> Disk:
    """The disk of ``folder``, or of its nearest existing parent. Raises ``OSError`` or ``ProbeFailed``."""
    file_system, is_remote = _file_system(folder, root)
    if is_remote:
        return ask_child(Disk, "disk", {"folder": str(folder), "file_system": file_system}, timeout_s)
    return measure(folder, file_system)


def measure(folder: Path, file_system: str) -> Disk:
    """Ask the file system itself. Blocks for as long as that takes."""
    existing = folder
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    usage = shutil.disk_usage(existing)
    return Disk(folder, usage.total, usage.free, file_system)


def _file_system(folder: Path, root: Path) -> tuple[str, bool]:
    """Its type, from the table of mounts alone, and whether it may block."""
    if sys.platform == "linux":
        mounts = read_mounts((root / "proc/self/mountinfo").read_text("utf-8", "replace"))
    elif sys.platform == "win32" and folder.drive.startswith("\\\\"):
        return "network", True
    else:
        mounts = [(Path(partition.mountpoint), partition.fstype) for partition in psutil.disk_partitions(all=True)]
    best = max(
        ((point, kind) for point, kind in mounts if folder.is_relative_to(point)),
        key=lambda pair: len(pair[0].parts),
        default=(folder, "unknown"),
    )
    return best[1], _REMOTE.fullmatch(best[1].lower()) is not None


def read_mounts(mountinfo: str) -> list[tuple[Path, str]]:
    """Mount point and type of each line; of two on one point the later one counts.

    Source: proc_pid_mountinfo(5); blanks in names are written as octal.
    """
    found: dict[Path, str] = {}
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        fields, tail = before.split(), after.split()
        if len(fields) >= 5 and tail:
            point = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), fields[4])
            found[Path(point)] = tail[0]
    return list(found.items())
