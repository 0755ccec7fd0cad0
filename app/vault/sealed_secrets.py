"""Secrets by name in one sealed file, for machines without a keyring service: keys of providers, a hub's token.

The file is AES-256-GCM under a key that only an open vault has, so what it holds is as safe as the passphrase. It lies
beside the store and not in it: whoever is shown the store is not shown the keys.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Final

from app.vault.wrapping import Unopened, seal, unseal
from engine.errors import VaultError

FILE_NAME: Final = "secrets.sealed"
_BOND: Final = b"gatehouse sealed secrets 1"
_LIMIT_BYTES: Final = 1 << 20


def read(path: Path, key: bytes) -> dict[str, str]:
    """All of them; empty when there is no file. Raises ``VaultError``, ``OSError``."""
    try:
        with path.open("rb") as file:
            sealed = file.read(_LIMIT_BYTES)
    except FileNotFoundError:
        return {}
    try:
        kept = json.loads(unseal(key, sealed, _BOND))
    except (Unopened, ValueError):
        raise VaultError(
            "secrets_damaged",
            f"The keys in {path} cannot be read: the file is damaged, or belongs to another store.",
            "Move it away and enter the keys again.",
        ) from None
    return {str(name): str(value) for name, value in kept.items()}


def write(path: Path, key: bytes, kept: dict[str, str]) -> None:
    """Replace the file as a whole. Raises ``OSError``."""
    replace_file(path, seal(key, json.dumps(kept).encode(), _BOND))


def replace_file(path: Path, content: bytes) -> None:
    """Write a file that only its owner reads; after a power cut it is the old or the new one. Raises ``OSError``."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(partial).replace(path)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames in a folder outlive a power cut, where the system can."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
