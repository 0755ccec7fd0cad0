"""Writing the store anew under another key, in an order in which the old or the new key opens it whatever happens.

Blocking. What is changed, and whether it may be, is ``app.vault.changing``'s and the vault's.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from app.vault import keyfile, moving
from app.vault.keyfile import Envelope, KeyFile
from app.vault.keyring import Keyring
from app.vault.records import Lock, StoreSecret
from engine.errors import StoreError

_log = logging.getLogger(__name__)


class Holder(Protocol):
    """What a change asks of the vault, which holds the key in use."""

    database: Path
    folder: Path
    keyring: Keyring

    @property
    def page_key(self) -> bytes | None: ...
    def adopt(self, secret: StoreSecret | None) -> None: ...
    def forget_entry(self, entry: str) -> None: ...
    def clear_kept_states(self) -> None: ...


def seal_with_keyring(vault: Holder) -> None:
    """Make a key, keep it in the keyring, and encrypt the store, if there is one already.

    Raises ``VaultError``, ``StoreError``, ``OSError``; the store is then as it was.
    """
    file = read(vault)
    secret = StoreSecret.make()
    change(vault, file, keyfile.sealed_envelope(Lock.KEYRING, secret, (), entry_of(file, secret)), secret)


def change(vault: Holder, file: KeyFile, envelope: Envelope, secret: StoreSecret | None) -> None:
    """Write the store anew under ``secret``, with both envelopes on disk meanwhile.

    Raises ``VaultError``, ``StoreError``, ``OSError``; the store is then as it was.
    """
    old = vault.page_key
    new = secret.page_key if secret is not None else None
    if envelope.entry and secret is not None:
        vault.keyring.put(envelope.entry, secret.joined().hex())  # durable before anything is sealed with it
    between = replace(file, next=envelope)
    try:
        keyfile.write(vault.folder, between)
        moving.reseal(vault.database, old, new)
    except (StoreError, OSError):
        keyfile.write(vault.folder, file)
        vault.forget_entry(envelope.entry)
        raise
    keyfile.write(vault.folder, replace(keyfile.promoted(between), failures=0, failed_at=0.0))
    vault.adopt(secret)
    vault.forget_entry(file.current.entry)
    _move_backups(vault, old, new)
    vault.clear_kept_states()


def _move_backups(vault: Holder, old: bytes | None, new: bytes | None) -> None:
    """Copies made before upgrades follow the store: a plain one would tell what the store no longer tells."""
    for backup in sorted((vault.folder / "backups").glob("schema-*.db")):
        try:
            if moving.opens(backup, old):
                moving.reseal(backup, old, new)
        except (StoreError, OSError) as error:
            _log.warning("A copy made before an upgrade could not follow the store: %s", type(error).__name__)
            if old is None:
                moving.scrub(backup)
                backup.unlink(missing_ok=True)


def read(vault: Holder) -> KeyFile:
    """How the key is kept; of a store that was never sealed, that it is plain."""
    found = keyfile.read(vault.folder)
    return found if found is not None else KeyFile(keyfile.new_id(), keyfile.PLAIN)


def entry_of(file: KeyFile, secret: StoreSecret) -> str:
    """The keyring's name for a secret: several stores, and two keys of one while it changes, lie side by side."""
    return f"store-{file.id}-{secret.key_id}"
