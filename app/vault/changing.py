"""Changing how the store's key is kept: sealing a plain store, passphrase, recovery code, rotation. Blocking.

Each change writes the store anew under a new key (``app.vault.moving``) with both envelopes on disk meanwhile, so that
the old or the new key opens it whatever happens. Nobody, this process included, may have the store open.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Final

from app.gate.ledger_keys import PURPOSE, keep_former
from app.vault import keyfile, moving, sealed_secrets
from app.vault.keyfile import Envelope, KeyFile
from app.vault.records import Lock, StoreSecret
from app.vault.vault import Vault
from app.vault.wrapping import Slot, make_recovery_code, passphrase_slot, recovery_slot
from engine.errors import StoreError, VaultError

LEAST_LETTERS: Final = 8
"""Of a passphrase. Source: NIST SP 800-63B-4, 3.1.1.2, with a second factor (the machine itself)."""

_log = logging.getLogger(__name__)


def seal_with_keyring(vault: Vault) -> None:
    """Make a key, keep it in the keyring, and encrypt the store, if there is one already.

    Raises ``VaultError``, ``StoreError``, ``OSError``; the store is then as it was.
    """
    file = _read(vault)
    secret = StoreSecret.make()
    _change(vault, file, keyfile.sealed_envelope(Lock.KEYRING, secret, (), _entry(file, secret)), secret)


def set_passphrase(vault: Vault, passphrase: str) -> str:
    """Choose or change the passphrase; the store gets a new key. Returns the recovery code, which is written nowhere.

    Raises ``VaultError`` (``weak_passphrase``, ``locked``), ``StoreError``, ``OSError``.
    """
    if len(passphrase) < LEAST_LETTERS or not passphrase.strip():
        raise VaultError(
            "weak_passphrase",
            f"A passphrase needs at least {LEAST_LETTERS} letters; this one has {len(passphrase)}.",
            "Four words that nobody would put together are good.",
        )
    file = _read(vault)
    present = _open_secret(vault, file)
    secret = present.renewed() if present is not None else StoreSecret.make()
    code = make_recovery_code()
    slots = (passphrase_slot(secret.master, passphrase), recovery_slot(secret.master, code))
    _change(vault, file, keyfile.sealed_envelope(Lock.PASSPHRASE, secret, slots), secret)
    return code


def remove_passphrase(vault: Vault) -> Lock:
    """Back to the keyring; where none runs, to a plain store. Returns which.

    Raises ``VaultError`` (``locked``; ``keys_need_passphrase`` when providers' keys would lie open), ``StoreError``.
    """
    file = _read(vault)
    present = _open_secret(vault, file)
    if file.current.lock is not Lock.PASSPHRASE or present is None:
        raise VaultError("no_passphrase", "This store has no passphrase.")
    if vault.keyring.is_there():
        secret = present.renewed()
        _change(vault, file, keyfile.sealed_envelope(Lock.KEYRING, secret, (), _entry(file, secret)), secret)
        return Lock.KEYRING
    if (vault.folder / sealed_secrets.FILE_NAME).exists():
        raise VaultError(
            "keys_need_passphrase",
            "Keys of providers are sealed with this passphrase, and no keyring service runs here to take them.",
            "Remove the keys first: `gatehouse providers remove NAME`.",
        )
    _change(vault, file, keyfile.PLAIN, None)
    # Only now: had the change failed, the key would still protect the ledger, and lie there in clear.
    keep_former(vault.folder, present.lasting(PURPOSE))
    return Lock.PLAIN


def renew_recovery_code(vault: Vault) -> str:
    """A new code; the one before no longer opens the store. Raises ``VaultError``, ``OSError``."""
    file = _read(vault)
    secret = _open_secret(vault, file)
    if secret is None:
        raise VaultError(
            "store_plain", "The store is not encrypted, so there is nothing to recover.", "Choose a passphrase first."
        )
    code = make_recovery_code()
    others = tuple(slot for slot in file.current.slots if slot.kind != "recovery")
    slots: tuple[Slot, ...] = (*others, recovery_slot(secret.master, code))
    keyfile.write(vault.folder, replace(file, current=replace(file.current, slots=slots)))
    return code


def rotate(vault: Vault) -> None:
    """A new page key; passphrase and recovery code stay. Old copies of the file, and what is left of it on the disk,
    no longer open. Raises ``VaultError``, ``StoreError``, ``OSError``."""
    file = _read(vault)
    present = _open_secret(vault, file)
    if present is None:
        raise VaultError("store_plain", "The store is not encrypted, so it has no key.", "Choose a passphrase first.")
    fresh = present.renewed()
    slots = file.current.slots
    # Passphrase and code open the master key, and only the person has them: then it stays.
    secret = replace(fresh, master=present.master) if slots else fresh
    entry = _entry(file, secret) if file.current.lock is Lock.KEYRING else ""
    _change(vault, file, keyfile.sealed_envelope(file.current.lock, secret, slots, entry), secret)


def _change(vault: Vault, file: KeyFile, envelope: Envelope, secret: StoreSecret | None) -> None:
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


def _move_backups(vault: Vault, old: bytes | None, new: bytes | None) -> None:
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


def _read(vault: Vault) -> KeyFile:
    found = keyfile.read(vault.folder)
    return found if found is not None else KeyFile(keyfile.new_id(), keyfile.PLAIN)


def _open_secret(vault: Vault, file: KeyFile) -> StoreSecret | None:
    """The secret in use; ``None`` for a plain store. Raises ``VaultError`` when it is not here."""
    if file.current.lock is Lock.PLAIN:
        return None
    if vault.secret is None:
        vault.open()
    return vault.secret


def _entry(file: KeyFile, secret: StoreSecret) -> str:
    """The keyring's name for a secret: several stores, and two keys of one while it changes, lie side by side."""
    return f"store-{file.id}-{secret.key_id}"
