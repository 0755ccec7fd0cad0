"""The bytes of a file, read once and whole: what is parsed is exactly what was hashed, whatever happens to the file."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from app.documents.faults import DocumentError

MAX_FILE_BYTES: Final = 512 << 20


@dataclass(frozen=True, slots=True)
class Source:
    """A file's content and name."""

    data: bytes
    name: str
    sha256: str
    path: Path | None = None
    """Where it lies; ``None`` for a file within a file."""


def load(path: Path, expected_sha256: str = "") -> Source:
    """Read a file. Raises ``DocumentError`` when it is missing, no file, too large, or changes meanwhile."""
    try:
        before = path.stat()
        if not stat.S_ISREG(before.st_mode):
            raise DocumentError("not_a_file", f"{path.name or path} is not a file.")
        if before.st_size > MAX_FILE_BYTES:
            said = f"{path.name} has {before.st_size / 1e6:,.0f} MB; at most {MAX_FILE_BYTES / 1e6:,.0f} MB are read."
            raise DocumentError("too_large", said, "Split it into parts.")
        with path.open("rb") as file:
            data = file.read(before.st_size + 1)  # a byte more would show that it has grown
            after = os.fstat(file.fileno())
    except FileNotFoundError as error:
        raise DocumentError("file_missing", f"{path.name} is not there any more.", "Add it again.") from error
    except OSError as error:
        raise DocumentError("unreadable", f"{path.name} cannot be read: {error.strerror or error}.") from error
    same = (before.st_size, before.st_mtime_ns, before.st_ino) == (after.st_size, after.st_mtime_ns, after.st_ino)
    if not same or len(data) != before.st_size:
        raise DocumentError("file_changed", f"{path.name} changed while it was being read.", "Try again in a moment.")
    if not data:
        raise DocumentError("empty_file", f"{path.name} is empty (0 bytes).")
    digest = hashlib.sha256(data).hexdigest()
    if expected_sha256 and digest != expected_sha256:
        raise DocumentError("file_changed", f"{path.name} has changed since it was read.", "Read it again.")
    return Source(data, path.name, digest, path)
