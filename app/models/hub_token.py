"""The person's token of a hub, for models behind a gate: in the system's keyring and nowhere else. Blocking."""

from __future__ import annotations

import os

from engine.errors import HubError

SERVICE = "gatehouse"
NAME = "hub-token"
NO_KEYRING_VARIABLE = "GATEHOUSE_NO_KEYRING"
_LENGTH_LIMIT = 1_000


class HubToken:
    """Read once, then remembered for this run. Without a keyring a token lasts until the program ends."""

    def __init__(self) -> None:
        self._known = False
        self._token: str | None = None

    def read(self) -> str | None:
        if not self._known:
            self._token = _from_keyring()
            self._known = True
        return self._token

    def save(self, token: str | None) -> bool:
        """``None`` forgets it. Returns whether the keyring keeps it. Raises: ``HubError`` for what is no token."""
        if token is not None:
            token = token.strip()
            if not token or len(token) > _LENGTH_LIMIT or not token.isascii() or not token.isprintable():
                raise HubError("bad_token", "This is not a token.", "Copy it whole from the hub's settings page.")
        self._token, self._known = token, True
        return _to_keyring(token)


class GivenToken:
    """One that a command was given, for its run."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    def read(self) -> str | None:
        return self._token

    def save(self, token: str | None) -> bool:
        self._token = token
        return False


def _from_keyring() -> str | None:
    if os.environ.get(NO_KEYRING_VARIABLE):
        return None
    import keyring
    import keyring.errors

    try:
        return keyring.get_password(SERVICE, NAME)
    except keyring.errors.KeyringError:
        # No keyring on this system, or it is locked: then there is no token.
        return None


def _to_keyring(token: str | None) -> bool:
    if os.environ.get(NO_KEYRING_VARIABLE):
        return False
    import keyring
    import keyring.errors

    try:
        if token is not None:
            keyring.set_password(SERVICE, NAME, token)
        elif keyring.get_password(SERVICE, NAME) is not None:
            keyring.delete_password(SERVICE, NAME)
    except keyring.errors.KeyringError:
        return False
    return True
