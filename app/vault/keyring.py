"""The system's keyring, asked through a child. Blocking; call it from a thread that may wait for a person."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from engine.errors import VaultError

NO_KEYRING_VARIABLE: Final = "GATEHOUSE_NO_KEYRING"
_TIMEOUT_S: Final = 60.0
"""A locked keyring asks the person for its password."""

_log = logging.getLogger(__name__)


class Keyring:
    """Strings by name, as the person's login keeps them. Remembers that there is no service, which costs a child."""

    def __init__(self) -> None:
        self._absent = not _may_exist()

    @property
    def absent(self) -> bool:
        """Whether it is known that no service runs."""
        return self._absent

    def is_there(self) -> bool:
        """Ask whether a service runs, which may need the person to unlock it."""
        if self._absent:
            return False
        try:
            self._ask("probe", "")
        except VaultError:
            return False
        return True

    def get(self, name: str) -> str | None:
        """``None`` when nothing is kept under the name. Raises ``VaultError``."""
        return self._ask("get", name)

    def put(self, name: str, value: str) -> None:
        """Raises ``VaultError``, also when what it keeps afterwards is not what it was given."""
        if self._ask("set", name, value) != value:
            raise VaultError("keyring_failed", "The system's keyring did not keep what it was given.")

    def delete(self, name: str) -> None:
        """Nothing under the name is fine. Raises ``VaultError``."""
        self._ask("delete", name)

    def _ask(self, op: str, name: str, value: str | None = None) -> str | None:
        if self._absent:
            raise _no_keyring()
        command = [sys.executable, "-m", "app.vault.keyring_child"]
        request = json.dumps({"op": op, "name": name, "value": value})
        try:
            done = subprocess.run(
                command, input=request, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired:
            raise VaultError(
                "keyring_locked",
                f"The system's keyring did not answer within {_TIMEOUT_S:.0f} s.",
                "Unlock it, then try again.",
            ) from None
        if done.returncode != 0:
            _log.warning("The keyring's child ended with %d: %s", done.returncode, _last_line(done.stderr))
            raise VaultError("keyring_failed", "The system's keyring could not be asked.")
        return self._read(done.stdout)

    def _read(self, text: str) -> str | None:
        try:
            answer = json.loads(text)
            fault, value = answer.get("fault"), answer.get("value")
        except (ValueError, AttributeError):
            raise VaultError("keyring_failed", "The system's keyring gave no answer that can be read.") from None
        if fault == "no_keyring":
            self._absent = True
            raise _no_keyring()
        if fault == "keyring_locked":
            raise VaultError("keyring_locked", "The system's keyring is locked.", "Unlock it, then try again.")
        if fault:
            detail = answer.get("detail", "")
            raise VaultError("keyring_failed", f"The system's keyring refused: {detail}.")
        return value if isinstance(value, str) else None


def _no_keyring() -> VaultError:
    return VaultError(
        "no_keyring", "No keyring service runs here.", "Choose a passphrase in Set-up, or `gatehouse store passphrase`."
    )


def _may_exist() -> bool:
    """False when it is certain without asking: the person said so, or there is no session bus on Linux."""
    if os.environ.get(NO_KEYRING_VARIABLE):
        return False
    if not sys.platform.startswith("linux") or os.environ.get("PYTHON_KEYRING_BACKEND"):
        return True
    bus = Path(os.environ.get("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}")) / "bus"
    return bool(os.environ.get("DBUS_SESSION_BUS_ADDRESS")) or bus.exists()


def _last_line(text: str) -> str:
    """Python's last line names the exception; earlier ones could quote what was given."""
    lines = text.strip().splitlines()
    return lines[-1].partition(":")[0][:80] if lines else ""
