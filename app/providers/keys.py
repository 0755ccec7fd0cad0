"""The providers' keys: where the person's secrets are (the keyring, or a file sealed with a passphrase), nowhere else.

Never in the database, a log, an argument or the environment. Blocking.
"""

from __future__ import annotations

from typing import Final, Protocol

from engine.errors import GatehouseError

_LENGTH_LIMIT: Final = 4_000


class Keys(Protocol):
    """What a client of a provider needs of it."""

    def read(self, provider_id: str) -> str | None:
        """The key, or ``None`` when there is none. Raises ``GatehouseError`` when it cannot be had now."""


class Secrets(Protocol):
    """Secrets by name; ``app.vault`` keeps them. All raise ``GatehouseError`` when they cannot be had or kept."""

    def get_secret(self, name: str) -> str | None: ...

    def put_secret(self, name: str, value: str) -> object: ...

    def delete_secret(self, name: str) -> None: ...


class ProviderKeys:
    """A secret a provider, named by its id."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets

    def read(self, provider_id: str) -> str | None:
        return self._secrets.get_secret(_name(provider_id))

    def write(self, provider_id: str, key: str | None) -> None:
        """``None`` forgets it. Raises ``GatehouseError`` for what is no key, or when no place can keep it safe."""
        if key is None:
            self._secrets.delete_secret(_name(provider_id))
        else:
            self._secrets.put_secret(_name(provider_id), checked(key))


def checked(key: str) -> str:
    """The key without blanks around it. Raises ``GatehouseError`` for what cannot be one."""
    key = key.strip()
    if not key or len(key) > _LENGTH_LIMIT or not key.isascii() or not key.isprintable() or " " in key:
        raise GatehouseError("bad_key", "This is not a key.", "Copy it whole from the provider's page.")
    return key


def _name(provider_id: str) -> str:
    return f"provider-{provider_id}"
