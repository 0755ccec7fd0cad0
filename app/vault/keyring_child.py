"""The child that asks the system's keyring (``python -m app.vault.keyring_child``).

The keyring's libraries take 25 MB and more, and a locked keyring waits for the person, so neither happens in the app's
process. One request as JSON on standard input, one answer as JSON on standard output; nothing secret is in arguments or
the environment.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

SERVICE: Final = "gatehouse"
_LEAST_PRIORITY: Final = 1
"""Below it are the null keyring, the failing one, and those that write a plain file.

Source: ``keyring.core.recommended``.
"""


def main() -> int:
    """Answer one request: ``{"op": "get" | "set" | "delete" | "probe", "name": …, "value": …}``."""
    request = json.load(sys.stdin)
    import keyring
    import keyring.errors

    try:
        backend = _safe(keyring.get_keyring())
        answer: dict[str, object] = {"fault": "no_keyring"}
        if backend is not None:
            answer = {"value": _carry_out(backend, request["op"], request["name"], request.get("value"))}
    except keyring.errors.NoKeyringError:
        answer = {"fault": "no_keyring"}
    except keyring.errors.KeyringLocked as error:
        answer = {"fault": "keyring_locked", "detail": type(error).__name__}
    except keyring.errors.KeyringError as error:
        answer = {"fault": "keyring_failed", "detail": type(error).__name__}
    json.dump(answer, sys.stdout)
    return 0


def _carry_out(backend: KeyringBackend, op: str, name: str, value: str | None) -> str | None:
    if op == "get":
        return backend.get_password(SERVICE, name)
    if op == "set" and value is not None:
        backend.set_password(SERVICE, name, value)
        return backend.get_password(SERVICE, name)  # what it really keeps
    if op == "delete":
        if backend.get_password(SERVICE, name) is not None:
            backend.delete_password(SERVICE, name)
        return None
    if op == "probe":
        return None
    raise ValueError(f"unknown request {op!r}")


def _safe(backend: KeyringBackend) -> KeyringBackend | None:
    """The backend, or the first of several behind it, that keeps what it is given sealed."""
    for member in getattr(backend, "backends", None) or (backend,):
        if member.priority >= _LEAST_PRIORITY and "alt.file" not in type(member).__module__:
            return member
    return None


if __name__ == "__main__":
    sys.exit(main())
