"""A keyring for tests: a real backend of the keyring package, in the real child, that keeps strings in a JSON file.

``PYTHON_KEYRING_BACKEND=tests.app.vault.file_keyring.FileKeyring`` with ``FILE_KEYRING`` naming the file; a file that
says ``locked`` behaves like a keyring whose person did not unlock it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import keyring.backend
import keyring.errors


class FileKeyring(keyring.backend.KeyringBackend):
    priority = 5  # type: ignore[assignment]

    def get_password(self, service: str, username: str) -> str | None:
        return self._read().get(f"{service}/{username}")

    def set_password(self, service: str, username: str, password: str) -> None:
        self._write({**self._read(), f"{service}/{username}": password})

    def delete_password(self, service: str, username: str) -> None:
        self._write({name: value for name, value in self._read().items() if name != f"{service}/{username}"})

    def _read(self) -> dict[str, str]:
        path = Path(os.environ["FILE_KEYRING"])
        text = path.read_text() if path.exists() else "{}"
        if text == "locked":
            raise keyring.errors.KeyringLocked("locked")
        return dict(json.loads(text))

    def _write(self, kept: dict[str, str]) -> None:
        Path(os.environ["FILE_KEYRING"]).write_text(json.dumps(kept))


class PlainFileKeyring(FileKeyring):
    """One that the keyring package itself would not recommend."""

    priority = 0.5  # type: ignore[assignment]
