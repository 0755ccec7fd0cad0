"""Proves that a file is the one that was meant: SHA-256 over its bytes, and the receipt that says so afterwards."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from engine.errors import HubError
from engine.hub.disk import write_durably
from engine.hub.patience import Halt, Halted
from engine.hub.trash import is_trash

RECEIPT_SUFFIX = ".gatehouse.json"
_FORM = 1
_BLOCK = 1_048_576
_SIZE_LIMIT = 1_048_576


class Hash(Protocol):
    """A running SHA-256."""

    def update(self, data: bytes, /) -> None: ...

    def hexdigest(self) -> str: ...


@dataclass(frozen=True, slots=True)
class VerifiedFile:
    """A file whose hash was found to be right."""

    name: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """Where a model came from, and that its files were whole and right when they arrived."""

    name: str
    repo: str
    revision: str
    licence: str | None
    files: tuple[VerifiedFile, ...]
    """The shards in order."""


def hash_file(path: Path, end: int, halt: Halt, report: Callable[[int], None] = lambda _: None) -> Hash:
    """Hash the first ``end`` bytes; ``report`` gets the bytes done.

    Raises: ``OSError``; ``EOFError`` when the file is shorter; ``Halted``.
    """
    running = hashlib.sha256()
    done = 0
    with path.open("rb", buffering=0) as file:
        while done < end:
            if halt.is_set():
                raise Halted
            block = file.read(min(_BLOCK, end - done))
            if not block:
                raise EOFError(f"{path.name} ends after {done} bytes")
            running.update(block)
            done += len(block)
            report(done)
    return running


def check_hash(name: str, found: str, wanted: str) -> None:
    """Raises: ``HubError`` (``checksum_mismatch``)."""
    if found != wanted.lower():
        raise HubError(
            "checksum_mismatch",
            f"{name} arrived whole but is not the file that was meant: its SHA-256 is {found[:12]}…, "
            f"and {wanted[:12]}… was promised.",
            "It was thrown away. Try again; if that does not help, the mirror or a proxy changes files.",
        )


def receipt_path(folder: Path, name: str) -> Path:
    return folder / f"{name}{RECEIPT_SUFFIX}"


def save_receipt(receipt: Receipt, folder: Path) -> None:
    """Raises ``OSError``."""
    content = {"form": _FORM, **asdict(receipt)}
    write_durably(receipt_path(folder, receipt.name), json.dumps(content, indent=1).encode())


def load_receipt(path: Path) -> Receipt | None:
    """``None`` when there is none or it is not in our form."""
    try:
        if path.stat().st_size > _SIZE_LIMIT:
            return None
        return parse_receipt(json.loads(path.read_bytes()))
    except (OSError, ValueError, RecursionError):
        return None


def parse_receipt(content: object) -> Receipt:
    """Raises: ``ValueError`` when it is not in our form."""
    if not isinstance(content, dict) or content.get("form") != _FORM or not isinstance(content.get("files"), list):
        raise ValueError("not a receipt")
    files = []
    for entry in content["files"]:
        if not isinstance(entry, dict):
            raise ValueError("not a file of a receipt")
        name, size, digest = (entry.get(key) for key in ("name", "size_bytes", "sha256"))
        if not isinstance(name, str) or not isinstance(size, int) or not isinstance(digest, str) or len(digest) != 64:
            raise ValueError("not a file of a receipt")
        if not _is_file_name(name):
            raise ValueError("not the name of a file")
        files.append(VerifiedFile(name, size, digest))
    texts = [content.get(key) for key in ("name", "repo", "revision")]
    licence = content.get("licence")
    sound = all(isinstance(text, str) for text in texts) and _is_file_name(str(texts[0]))
    if not files or not sound or not isinstance(licence, str | None):
        raise ValueError("not a receipt")
    return Receipt(str(texts[0]), str(texts[1]), str(texts[2]), licence, tuple(files))


def _is_file_name(name: str) -> bool:
    return bool(name) and name.isprintable() and not name.startswith(".") and not set(name) & set('/\\:*?"<>|')


def receipts(models: Path) -> tuple[tuple[Receipt, Path], ...]:
    """Those of all models that a folder of models holds completely, each with the folder of its files."""
    found = []
    for path in sorted(models.rglob(f"*{RECEIPT_SUFFIX}")):
        if is_trash(path, models):
            continue
        receipt = load_receipt(path)
        if receipt is not None and is_in_place(receipt, path.parent):
            found.append((receipt, path.parent))
    return tuple(found)


def is_in_place(receipt: Receipt, folder: Path) -> bool:
    """All its files are there with their lengths. Says nothing about their bytes now."""
    try:
        return all((folder / file.name).stat().st_size == file.size_bytes for file in receipt.files)
    except OSError:
        return False
