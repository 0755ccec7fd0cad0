"""The folder of kept states: what is in it, what goes in and out, and what makes way. One thread at a time.

Nothing here is needed: a file that cannot be trusted is deleted and forgotten, a disk that refuses switches the shelf
off until the next start. How a file looks inside is ``kept``'s; what is worth keeping is decided elsewhere.
"""

from __future__ import annotations

import contextlib
import os
import time
from array import array
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from engine.llama.context import State
from engine.serving.kept.form import Binding, KeptFault, Name, Names, parse_name, read_contents, seal, unseal

MAX_FILES: Final = 1024
_PARTIAL: Final = ".part"
_ABANDONED_S: Final = 60.0
"""A half-written file that has not grown for so long is nobody's; a younger one may be another worker's."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One state on disk that this worker can use."""

    path: Path
    tokens: array[int]
    owner: str
    """Of its name."""
    state_bytes: int
    file_bytes: int


@dataclass(slots=True)
class ShelfCounts:
    """Totals since the start; any thread may read."""

    written: int = 0
    restored: int = 0
    rejected: int = 0
    """Files that could not be trusted and were deleted."""
    evicted: int = 0
    """Files that made way for others."""
    used_bytes: int = 0
    """Of all files in the folder, those of other models too."""
    off: str = ""
    """Why nothing is written any more."""


@dataclass(slots=True)
class _File:
    """Any kept state in the folder, usable here or not."""

    path: Path
    size_bytes: int
    used_at_ns: int


@dataclass(slots=True)
class KeptShelf:
    """The folder under one key, for one binding, within a budget of bytes."""

    folder: Path
    key: bytes = field(repr=False)
    binding: Binding
    budget_bytes: int
    counts: ShelfCounts = field(default_factory=ShelfCounts)
    entries: tuple[Kept, ...] = ()
    """Usable states; replaced as a whole, so that another thread may look at it."""
    _files: dict[Path, _File] = field(default_factory=dict)

    @property
    def names(self) -> Names:
        return Names(self.key)

    def open(self) -> None:
        """Look at what is there. Deletes what can never be used again: half-written, of another key or build."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = sorted(self.folder.iterdir())
        except OSError as error:
            self._switch_off(error)
            return
        names, usable = self.names, []
        build, use = names.build(self.binding), names.use(self.binding)
        for path in found:
            if path.name.endswith(_PARTIAL) and _age_s(path) > _ABANDONED_S:
                self._delete(path)
            name = parse_name(path.name)
            if name is None:
                continue
            if (name.key, name.build) != (names.own, build):
                self.reject(path)
            elif self._note(path) and name.use == use:
                usable.append((path, name))
        self._make_room(0)
        read = [self._look_into(path, name) for path, name in usable if path in self._files]
        self.entries = tuple(entry for entry in read if entry is not None)

    def _look_into(self, path: Path, name: Name) -> Kept | None:
        try:
            with path.open("rb") as file:
                contents = read_contents(file, self.key, self.binding)
        except (KeptFault, OSError):
            self.reject(path)
            return None
        return Kept(path, contents.tokens, name.owner, contents.state_bytes, self._files[path].size_bytes)

    def write(self, owner: str, tokens: array[int], state: State) -> Path | None:
        """Keep a state, under a name that appears only when the file is whole. Replaces what it continues.

        A full disk, or any other refusal, is no error: the shelf is off from then on. Returns where it is.
        """
        if self.counts.off or state.nbytes + 4 * len(tokens) > self.budget_bytes:
            return None
        path = self.folder / str(self.names.new(self.binding, owner))
        partial = path.with_name(path.name + _PARTIAL)
        replaced = [kept for kept in self.entries if kept.owner == owner and continues(tokens, kept.tokens)]
        self._make_room(state.nbytes)
        try:
            with open(partial, "xb", opener=_private) as file:
                size = seal(file, self.key, self.binding, tokens, state.data)
            partial.replace(path)
        except OSError as error:
            self._delete(partial)
            self._switch_off(error)
            return None
        self._note(path)
        self.entries += (Kept(path, tokens, owner, state.nbytes, size),)
        self.counts.written += 1
        for kept in replaced:
            self.remove(kept.path)
        self._make_room(0)
        return path

    def read(self, kept: Kept) -> State | None:
        """The state of an entry; ``None`` when it cannot be had, and it is gone from the shelf then."""
        state = np.empty(kept.state_bytes, np.uint8)
        try:
            with kept.path.open("rb", buffering=0) as file:
                found = unseal(file, self.key, self.binding, state.data)
            if found.tokens != kept.tokens:
                raise KeptFault("The file has changed.")
            os.utime(kept.path)
        except FileNotFoundError:
            self._drop_entry(kept.path)  # the application deleted the conversation
            return None
        except (KeptFault, OSError):
            self.reject(kept.path)
            return None
        self._note(kept.path)
        return state

    def remove_owned(self, owner: str | None) -> int:
        """Delete the states of one owner, of every model; ``None``: all states of the folder."""
        removed = 0
        for path in list(self._files):
            name = parse_name(path.name)
            if owner is None or (name is not None and name.owner == owner):
                self.remove(path)
                removed += 1
        return removed

    def remove(self, path: Path) -> None:
        """Delete a file that is not wanted any more."""
        self._delete(path)
        self._drop_entry(path)

    def reject(self, path: Path) -> None:
        """Delete a file that cannot be trusted."""
        self.counts.rejected += 1
        self.remove(path)

    def _make_room(self, n_bytes: int) -> None:
        """Delete what was used longest ago until so many bytes fit into the budget."""
        while self._files and (self.counts.used_bytes + n_bytes > self.budget_bytes or len(self._files) > MAX_FILES):
            self.remove(min(self._files.values(), key=lambda file: file.used_at_ns).path)
            self.counts.evicted += 1

    def _note(self, path: Path) -> bool:
        """Count a file as it is now; whether it is there."""
        try:
            facts = path.stat()
        except OSError:
            return False
        self._files[path] = _File(path, facts.st_size, facts.st_mtime_ns)
        self._count()
        return True

    def _drop_entry(self, path: Path) -> None:
        self._files.pop(path, None)
        self.entries = tuple(kept for kept in self.entries if kept.path != path)
        self._count()

    def _count(self) -> None:
        self.counts.used_bytes = sum(file.size_bytes for file in self._files.values())

    def _delete(self, path: Path) -> None:
        with contextlib.suppress(OSError):  # gone already, or not ours to delete; it is not trusted either way
            path.unlink()

    def _switch_off(self, error: OSError) -> None:
        self.counts.off = f"{error.strerror or error} ({self.folder})"


def continues(tokens: array[int], earlier: array[int]) -> bool:
    """Whether ``tokens`` begin with all of ``earlier``."""
    return len(earlier) <= len(tokens) and tokens[: len(earlier)] == earlier


def _age_s(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0.0


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
