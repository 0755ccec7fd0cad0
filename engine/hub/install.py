"""Gives the verified files of a model their names, and takes them back when they are no model after all."""

from __future__ import annotations

from pathlib import Path

from engine.errors import ModelFileError
from engine.gguf.split import read_model
from engine.hub.disk import sync_folder
from engine.hub.verify import Receipt, receipt_path, save_receipt

PART_SUFFIX = ".part"


def install(receipt: Receipt, folder: Path) -> None:
    """Rename what is still unnamed, the first shard last: it is the one by which a model is found.

    Raises: ``ModelFileError`` after throwing everything away: the bytes are right, and still they are no model;
    ``OSError``.
    """
    for file in reversed(receipt.files):
        part = folder / f"{file.name}{PART_SUFFIX}"
        if part.exists():
            part.replace(folder / file.name)
    sync_folder(folder)
    try:
        read_model(folder / receipt.files[0].name)
    except ModelFileError:
        uninstall(receipt, folder)
        raise
    save_receipt(receipt, folder)


def uninstall(receipt: Receipt, folder: Path) -> int:
    """Delete a model and its receipt; returns the bytes that this freed. Raises ``OSError``."""
    freed = sum(delete(folder / file.name) for file in receipt.files)
    receipt_path(folder, receipt.name).unlink(missing_ok=True)
    return freed


def delete(path: Path) -> int:
    """Returns the bytes that this freed, 0 when there was nothing. Raises ``OSError``."""
    try:
        size = path.stat().st_size
        path.unlink()
    except FileNotFoundError:
        return 0
    return size
