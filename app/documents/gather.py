"""Files for a batch: what lies in the named files and folders. Looks at names and sizes only; nothing is opened.

Hidden files, those that programs leave beside documents, and what no person put into a folder are left out. Links to
folders are not followed, so that no circle can be walked in.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.errors import GatehouseError

MAX_FILES = 200_000
_LEFT_OUT = frozenset({"desktop.ini", "thumbs.db", "icon\r", "__macosx"})
_DIGITS = re.compile(r"(\d+)")
_WORDS_SUFFIXES = frozenset({".csv", ".tsv", ".txt"})


@dataclass(frozen=True, slots=True)
class Found:
    """A file that may be a document."""

    path: Path
    size_bytes: int
    modified_ns: int


def gather(paths: Sequence[Path], *, as_words: bool = False) -> tuple[Found, ...]:
    """The files of ``paths`` in a person's order (``2.pdf`` before ``10.pdf``), each once. Blocks on the disk.

    Named files are taken whatever they are called. ``as_words``: of folders only lists of words.

    Raises: ``GatehouseError`` when there are too many, or when a named one is not there.
    """
    found: dict[Path, Found] = {}
    for path in paths:
        absolute = Path(os.path.abspath(path))  # noqa: PTH100 - a link's own name is what the person knows
        if absolute.is_dir():
            files = _of_folder(_words_folder(absolute) if as_words else absolute, as_words)
        elif absolute.exists():
            files = iter((_look_at(absolute),))
        else:
            raise GatehouseError("file_missing", f"There is no {path}.", "It may have been moved or renamed.")
        for file in files:
            found.setdefault(file.path, file)
            if len(found) > MAX_FILES:
                raise GatehouseError(
                    "too_many_files",
                    f"More than {MAX_FILES:,} files are too many for one batch.",
                    "Name fewer folders.",
                )
    return tuple(found.values())


def order_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sorts names as people do: figures by their value, letters without their case."""
    parts = _DIGITS.split(name.casefold())
    return tuple((0, int(part[:18]), part) if part.isdecimal() else (1, 0, part) for part in parts if part)


def _of_folder(folder: Path, as_words: bool) -> Iterator[Found]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: order_key(entry.name))
    except OSError:
        return  # not ours to look into, or gone: the rest of the folders goes on
    for entry in entries:
        if _is_left_out(entry.name):
            continue
        try:
            if entry.is_dir(follow_symlinks=False):
                yield from _of_folder(Path(entry.path), as_words)
            elif entry.is_file() and not (as_words and Path(entry.name).suffix.casefold() not in _WORDS_SUFFIXES):
                yield _look_at(Path(entry.path))
        except OSError:
            continue  # it went away while we looked


def _words_folder(folder: Path) -> Path:
    """Where a set of the SROIE competition keeps its words; else the folder itself."""
    return folder / "box" if (folder / "box").is_dir() else folder


def _look_at(path: Path) -> Found:
    status = path.stat()
    return Found(path, status.st_size, status.st_mtime_ns)


def _is_left_out(name: str) -> bool:
    # ~$ are the locks of office programs, .part and .crdownload are downloads on their way.
    return (
        name.startswith((".", "~$"))
        or name.endswith(("~", ".tmp", ".part", ".partial", ".crdownload"))
        or name.casefold() in _LEFT_OUT
    )
