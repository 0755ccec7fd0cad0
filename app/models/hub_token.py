"""The person's token of a hub, for models behind a gate: where the person's other secrets are. Blocking.

That is the keyring, or the file that is sealed with a passphrase; ``app.vault`` keeps both.
"""

from __future__ import annotations

import logging

from app.providers.keys import Secrets
from engine.errors import HubError, VaultError

NAME = "hub-token"
_log = logging.getLogger(__name__)
_LENGTH_LIMIT = 1_000


class HubToken:
    """Read once, then remembered for this run. Where no place is safe, a token lasts until the program ends."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets
        self._known = False
        self._token: str | None = None

    def read(self) -> str | None:
        if not self._known:
            try:
                self._token = self._secrets.get_secret(NAME)
            except VaultError as error:
                # Locked for now: models that need no token can be had all the same.
                _log.warning("The hub's token cannot be read now: %s", error.code)
                return None
            self._known = True
        return self._token

    def save(self, token: str | None) -> bool:
        """``None`` forgets it. Returns whether it is kept for good. Raises: ``HubError`` for what is none."""
        if token is not None:
            token = token.strip()
            if (
                not token
                or len(token) > _LENGTH_LIMIT
                or not token.isascii()
                or not token.isprintable()
                or " " in token
            ):
                raise HubError("bad_token", "This is not a token.", "Copy it whole from the hub's settings page.")
        self._token, self._known = token, True
        try:
            if token is None:
                self._secrets.delete_secret(NAME)
            else:
                self._secrets.put_secret(NAME, token)
        except VaultError as error:
            _log.warning("The hub's token is not kept: %s", error.code)
            return False
        return True


class GivenToken:
    """One that a command was given, for its run."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    def read(self) -> str | None:
        return self._token

    def save(self, token: str | None) -> bool:
        self._token = token
        return False
