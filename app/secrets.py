"""The store's key: 32 random bytes that seal what is kept on disk. Made when it is first needed. Blocking.

It lies in the system's keyring. Where no keyring service runs it lies in a file of the data folder that only the person
can read: that protects copies of the other files (backups, a folder that is synchronised), not against somebody who can
read the folder itself. The keyring's libraries take 25 MB and more, so a child asks it (``python -m app.secrets``),
which writes its answer to a pipe; nothing secret is in arguments or the environment.
"""

from __future__ import annotations

import logging
import os
import secrets
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

NO_KEYRING_VARIABLE: Final = "GATEHOUSE_NO_KEYRING"
SERVICE: Final = "gatehouse"
NAME: Final = "store-key"
KEY_FILE: Final = "store.key"
_KEY_BYTES: Final = 32
_TIMEOUT_S: Final = 60.0
"""A locked keyring asks the person for its password."""
_NO_KEYRING: Final = "no keyring"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StoreKey:
    """The key and where it lies."""

    key: bytes = field(repr=False)
    place: Literal["keyring", "file"]


def read_or_make(data_folder: Path) -> StoreKey | None:
    """The key of this person, made if there is none; ``None`` when it cannot be had now, such as from a locked keyring.

    A key that once had to go into a file stays there.
    """
    path = data_folder / KEY_FILE
    try:
        found = _read_file(path)
        if found is not None:
            return StoreKey(found, "file")
        answer = _NO_KEYRING if os.environ.get(NO_KEYRING_VARIABLE) else _ask_child()
        if answer == _NO_KEYRING:
            return StoreKey(_make_file(path), "file")
    except OSError as error:
        _log.warning("The store's key could not be read or made: %s", error.strerror or error)
        return None
    key = _parse(answer)
    return StoreKey(key, "keyring") if key is not None else None


def lies_in_file(data_folder: Path) -> bool:
    """Whether the key had to go into a file."""
    return (data_folder / KEY_FILE).is_file()


def _ask_child() -> str:
    """What :func:`main` writes, or nothing."""
    command = [sys.executable, "-m", "app.secrets"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        _log.warning("The keyring did not answer within %.0f s.", _TIMEOUT_S)
        return ""
    if done.returncode != 0:
        _log.warning("The keyring could not be used: %s", done.stderr.strip()[-300:])
    return done.stdout.strip()


def _read_file(path: Path) -> bytes | None:
    try:
        text = path.read_text("ascii")
    except (FileNotFoundError, UnicodeDecodeError):
        return None
    return _parse(text.strip())


def _make_file(path: Path) -> bytes:
    """Write a new key, or read the one that another process has just written. Raises ``OSError``."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}-{os.getpid()}")
    key = secrets.token_bytes(_KEY_BYTES)
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(key.hex())
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(partial, path)  # unlike a rename this lets the first one win
    except FileExistsError:
        found = _read_file(path)
        if found is not None:
            return found
        partial.replace(path)  # what is there is no key
        return key
    except OSError:
        partial.replace(path)  # a file system without links
        return key
    finally:
        partial.unlink(missing_ok=True)
    return key


def _parse(text: str) -> bytes | None:
    try:
        key = bytes.fromhex(text)
    except ValueError:
        return None
    return key if len(key) == _KEY_BYTES else None


def main() -> int:
    """In the child: write the key from the keyring, after making one if there is none, or that there is no keyring."""
    import keyring
    import keyring.errors

    try:
        found = keyring.get_password(SERVICE, NAME)
        if found is None or _parse(found) is None:
            keyring.set_password(SERVICE, NAME, secrets.token_hex(_KEY_BYTES))
            found = keyring.get_password(SERVICE, NAME)  # another process may have been quicker
    except keyring.errors.NoKeyringError:
        found = _NO_KEYRING
    except keyring.errors.KeyringError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return 1
    sys.stdout.write(f"{found or ''}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
