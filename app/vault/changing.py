"""Changing how the store's key is kept: passphrase, recovery code, rotation. Blocking.

Each change writes the store anew under a new key (``app.vault.sealing``). Nobody, this process included, may have the
store open.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from app.gate.ledger_keys import PURPOSE, keep_former
from app.vault import keyfile, sealed_secrets
from app.vault.keyfile import KeyFile
from app.vault.records import Lock, StoreSecret
from app.vault.sealing import change, entry_of, read
from app.vault.vault import Vault
from app.vault.wrapping import Slot, make_recovery_code, passphrase_slot, recovery_slot
from engine.errors import VaultError

LEAST_LETTERS: Final = 8
"""Of a passphrase. Source: NIST SP 800-63B-4, 3.1.1.2, with a second factor (the machine itself)."""


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
    file = read(vault)
    present = _open_secret(vault, file)
    secret = present.renewed() if present is not None else StoreSecret.make()
    code = make_recovery_code()
    slots = (passphrase_slot(secret.master, passphrase), recovery_slot(secret.master, code))
    change(vault, file, keyfile.sealed_envelope(Lock.PASSPHRASE, secret, slots), secret)
    return code


def remove_passphrase(vault: Vault) -> Lock:
    """Back to the keyring; where none runs, to a plain store. Returns which.

    Raises ``VaultError`` (``locked``; ``keys_need_passphrase`` when providers' keys would lie open), ``StoreError``.
    """
    file = read(vault)
    present = _open_secret(vault, file)
    if file.current.lock is not Lock.PASSPHRASE or present is None:
        raise VaultError("no_passphrase", "This store has no passphrase.")
    if vault.keyring.is_there():
        secret = present.renewed()
        change(vault, file, keyfile.sealed_envelope(Lock.KEYRING, secret, (), entry_of(file, secret)), secret)
        return Lock.KEYRING
    if (vault.folder / sealed_secrets.FILE_NAME).exists():
        raise VaultError(
            "keys_need_passphrase",
            "Keys of providers are sealed with this passphrase, and no keyring service runs here to take them.",
            "Remove the keys first: `gatehouse providers remove NAME`.",
        )
    change(vault, file, keyfile.PLAIN, None)
    # Only now: had the change failed, the key would still protect the ledger, and lie there in clear.
    keep_former(vault.folder, present.lasting(PURPOSE))
    return Lock.PLAIN


def renew_recovery_code(vault: Vault) -> str:
    """A new code; the one before no longer opens the store. Raises ``VaultError``, ``OSError``."""
    file = read(vault)
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
    file = read(vault)
    present = _open_secret(vault, file)
    if present is None:
        raise VaultError("store_plain", "The store is not encrypted, so it has no key.", "Choose a passphrase first.")
    fresh = present.renewed()
    slots = file.current.slots
    # Passphrase and code open the master key, and only the person has them: then it stays.
    secret = replace(fresh, master=present.master) if slots else fresh
    entry = entry_of(file, secret) if file.current.lock is Lock.KEYRING else ""
    change(vault, file, keyfile.sealed_envelope(file.current.lock, secret, slots, entry), secret)


def _open_secret(vault: Vault, file: KeyFile) -> StoreSecret | None:
    """The secret in use; ``None`` for a plain store. Raises ``VaultError`` when it is not here."""
    if file.current.lock is Lock.PLAIN:
        return None
    if vault.secret is None:
        vault.open()
    return vault.secret
