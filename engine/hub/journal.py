"""What is known of a download between two starts of the program: the files, and how much of each is safe on disk.

The journal lies beside the unfinished files, so that a folder carried to another machine can be gone on with there.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from engine.hub.disk import write_durably
from engine.hub.install import PART_SUFFIX
from engine.hub.repository import RemoteFile, RemoteModel

SUFFIX = ".download.json"
_FORM = 1
_SIZE_LIMIT = 1_048_576


@dataclass(frozen=True, slots=True)
class Kept:
    """One file's progress."""

    file: RemoteFile
    kept_bytes: int
    """From the start of the file, flushed to the disk."""
    verified: bool
    """All bytes are there and their hash is right."""


@dataclass(frozen=True, slots=True)
class Journal:
    """An unfinished download."""

    model: RemoteModel
    files: tuple[Kept, ...]

    @property
    def kept_bytes(self) -> int:
        return sum(kept.kept_bytes for kept in self.files)

    @property
    def missing_bytes(self) -> int:
        return self.model.size_bytes - self.kept_bytes

    def with_file(self, index: int, *, kept_bytes: int, verified: bool = False) -> Journal:
        changed = replace(self.files[index], kept_bytes=kept_bytes, verified=verified)
        return replace(self, files=(*self.files[:index], changed, *self.files[index + 1 :]))


def carried_over(old: Journal | None, model: RemoteModel) -> Journal:
    """The journal for ``model`` with whatever of an older one is still true: the same file by hash and length."""
    known = {kept.file.path: kept for kept in old.files} if old is not None else {}
    files = []
    for file in model.files:
        kept = known.get(file.path)
        files.append(kept if kept is not None and kept.file == file else Kept(file, 0, False))
    return Journal(model, tuple(files))


def path_of(folder: Path, name: str) -> Path:
    return folder / f"{name}{SUFFIX}"


def part_of(folder: Path, file: RemoteFile) -> Path:
    return folder / f"{file.name}{PART_SUFFIX}"


def save(journal: Journal, folder: Path) -> None:
    """Raises ``OSError``."""
    content = {"form": _FORM, "model": asdict(journal.model), "files": [asdict(kept) for kept in journal.files]}
    write_durably(path_of(folder, journal.model.name), json.dumps(content, indent=1).encode())


def load(path: Path) -> Journal | None:
    """``None`` when there is none or it cannot be trusted: then the download starts over."""
    try:
        if path.stat().st_size > _SIZE_LIMIT:
            return None
        content = json.loads(path.read_bytes())
        if content["form"] != _FORM:
            return None
        files = tuple(_file(entry) for entry in content["model"].pop("files"))
        model = RemoteModel(**content["model"], files=files)
        kept = tuple(_kept(entry) for entry in content["files"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    texts = (model.repo, model.revision, model.wanted_revision, model.name, model.quantization)
    sound = all(isinstance(text, str) for text in texts) and path.name == f"{model.name}{SUFFIX}"
    return Journal(model, kept) if sound and tuple(entry.file for entry in kept) == files else None


def unfinished(folder: Path) -> tuple[Journal, ...]:
    """Every download in a folder of models (and below) that can be gone on with."""
    found = (load(path) for path in sorted(folder.rglob(f"*{SUFFIX}")))
    return tuple(journal for journal in found if journal is not None)


def _file(entry: dict[str, object]) -> RemoteFile:
    path, size, digest = entry["path"], entry["size_bytes"], entry["sha256"]
    if not isinstance(path, str) or not isinstance(size, int) or size < 0 or not isinstance(digest, str | None):
        raise TypeError("not a file")
    return RemoteFile(path, size, digest)


def _kept(entry: dict[str, object]) -> Kept:
    if not isinstance(entry["file"], dict):
        raise TypeError("not a file")
    file = _file(entry["file"])
    kept_bytes, verified = entry["kept_bytes"], entry["verified"]
    if not isinstance(kept_bytes, int) or not 0 <= kept_bytes <= file.size_bytes or not isinstance(verified, bool):
        raise TypeError("not a progress")
    return Kept(file, kept_bytes, verified)
