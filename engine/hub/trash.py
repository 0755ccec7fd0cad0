"""Deleted models, until it is certain that nobody wants them back: moved aside inside the folder of models.

A rename frees nothing and copies nothing, so putting away and putting back take no time whatever the size. The trash
begins with a dot, so that nothing which looks for models finds it. When to empty it is decided elsewhere.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from engine.errors import HubError
from engine.hub.disk import write_failed

FOLDER = ".trash"


@dataclass(frozen=True, slots=True)
class Trashed:
    """Files that were put away together."""

    id: str
    files: tuple[Path, ...]
    """Where they were, relative to the folder of models; the first shard is the last."""
    size_bytes: int


def put_away(models: Path, files: Sequence[Path]) -> Trashed:
    """Move files of one model out of sight, the first one first: by it the model is found.

    Raises: ``HubError``, after moving back what was moved.
    """
    identity = uuid.uuid4().hex
    size = 0
    moved: list[Path] = []
    try:
        for file in files:
            if not file.is_file():
                continue
            inner = file.relative_to(models)
            target = models / FOLDER / identity / inner
            target.parent.mkdir(parents=True, exist_ok=True)
            size += file.stat().st_size
            file.replace(target)
            moved.insert(0, inner)
    except OSError as error:
        with suppress(HubError):
            put_back(models, Trashed(identity, tuple(moved), size))
        raise write_failed(error, models) from error
    for file in files:
        _remove_empty(file.parent, models)
    return Trashed(identity, tuple(moved), size)


def put_back(models: Path, trashed: Trashed) -> None:
    """Undo ``put_away``. Raises: ``HubError`` when it was emptied meanwhile or the place is taken."""
    own = models / FOLDER / trashed.id
    try:
        for inner in trashed.files:
            target = models / inner
            if target.exists():
                raise HubError("name_taken", f"Another file called {inner.name} lies there by now.", "Move it away.")
            target.parent.mkdir(parents=True, exist_ok=True)
            (own / inner).replace(target)
    except FileNotFoundError as error:
        raise HubError("gone", "The model was deleted for good already.", "Download it again.") from error
    except OSError as error:
        raise write_failed(error, models) from error
    shutil.rmtree(own, ignore_errors=True)


def empty(models: Path, identity: str | None = None) -> None:
    """Delete one that was put away, or all of them, for good. What cannot be deleted now is tried at the next start."""
    folder = models / FOLDER
    shutil.rmtree(folder / identity if identity is not None else folder, ignore_errors=True)
    with suppress(OSError):
        folder.rmdir()


def is_trash(path: Path, models: Path) -> bool:
    """Whether a path below the folder of models lies in the trash."""
    return FOLDER in path.relative_to(models).parts[:1]


def _remove_empty(folder: Path, models: Path) -> None:
    while folder != models and folder.is_relative_to(models):
        try:
            folder.rmdir()
        except OSError:
            return
        folder = folder.parent
