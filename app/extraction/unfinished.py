"""A file that is there whole or not at all: written beside its place, then moved."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path


class Unfinished:
    """A file beside its place, moved there when it is whole."""

    def __init__(self, path: Path) -> None:
        self.path = path
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        os.close(handle)
        self.temporary = Path(name)

    def take_place(self) -> None:
        self.temporary.replace(self.path)

    def drop(self) -> None:
        with suppress(FileNotFoundError):
            self.temporary.unlink()
