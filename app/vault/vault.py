"""The store's key: found at the start, opened by a passphrase, forgotten by a lock; and what is derived from it.

Blocking, and safe to call from any thread. How the key is changed is ``app.vault.changing``'s; this class finds out
which of two envelopes counts after a power cut.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from app.store.database import alone, is_sealed
from app.vault import keyfile, moving, sealed_secrets, tries
from app.vault.keyfile import Envelope, KeyFile
from app.vault.keyring import Keyring
from app.vault.records import Lock, SecretPlace, StoreSecret, VaultState
from app.vault.sealing import seal_with_keyring
from app.vault.wrapping import Unopened, read_recovery_code
from engine.errors import GatehouseError, StoreError, VaultError

_KEPT_FOLDER: Final = "kept"
_LEGACY_KEY: Final = "store.key"
_SECRETS_PURPOSE: Final = "sealed secrets"
_PASSPHRASE_HINT: Final = "Choose a passphrase in Set-up, or with `gatehouse store passphrase`."

_log = logging.getLogger(__name__)


class Vault:
    """The key of one store."""

    def __init__(self, database: Path, keyring: Keyring | None = None, clock: Callable[[], float] = time.time) -> None:
        self.database = database
        self.folder = database.parent
        self.keyring = keyring if keyring is not None else Keyring()
        self._clock = clock
        self._secret: StoreSecret | None = None
        self._reason = ""
        self._opened = False
        self._guard = threading.RLock()

    # the start

    def needs_passphrase(self) -> bool:
        """Whether somebody has to type a passphrase (or a recovery code) before :meth:`open`. Reads a small file.

        Raises ``VaultError``, ``OSError``.
        """
        with self._guard:
            file = None if self._opened else keyfile.read(self.folder)
            if file is None:
                return False
            locks = {envelope.lock for envelope in (file.current, file.next) if envelope is not None}
            if Lock.PASSPHRASE not in locks:
                return False
            if file.next is None:
                return True
            try:
                self._settle(file, None)  # a power cut left two ways; one of them may do without
            except VaultError as error:
                if error.code != "locked":
                    raise
                return True
            self._opened = True
            return False

    def open(self) -> bytes | None:
        """The key to open the store with, ``None`` for a plain one.

        At the first start with a keyring service the key is made, and a store that is plain is moved over. Raises
        ``VaultError`` (``locked``, ``key_missing``, ``keyring_locked``, …), ``StoreError``, ``OSError``.
        """
        with self._guard:
            if not self._opened:
                self._drop_legacy_key()
                file = keyfile.read(self.folder)
                if file is None or (file.current.lock is Lock.PLAIN and file.next is None):
                    self._open_plain(file)
                else:
                    self._settle(file, None)
                self._opened = True
                if self._secret is not None:
                    _refuse_core_dumps()
            return self.page_key

    def unlock(self, typed: str) -> None:
        """With the passphrase, or with the recovery code.

        Raises ``VaultError``: ``too_soon`` after several wrong ones, with the time to wait; ``wrong_passphrase``.
        """
        with self._guard:
            file = keyfile.read(self.folder)
            if file is None:
                raise VaultError("no_passphrase", "This store has no passphrase.")
            tries.refuse_haste(self.folder, file, self._clock())
            try:
                self._settle(file, read_recovery_code(typed) or typed)
            except Unopened:
                raise tries.count(self.folder, file, self._clock()) from None
            self._opened = True
            _refuse_core_dumps()
            tries.forget(self.folder)
            found = keyfile.read(self.folder)
            if found is not None and found.current.lock is Lock.KEYRING and self._secret is not None:
                self.keep_in_keyring(found.current.entry, self._secret)  # it had lost it

    def unlock_if(self, typed: str) -> bool:
        """Unlock with what was typed for something else, if it fits; a miss is not counted as a try."""
        with self._guard:
            file = keyfile.read(self.folder)
            try:
                if file is not None:
                    tries.refuse_haste(self.folder, file, self._clock())
                    self._settle(file, read_recovery_code(typed) or typed)
                    self._opened = True
            except (Unopened, VaultError):
                return False
            return file is not None

    def forget(self) -> None:
        """Lock: the key is no longer here. What was derived from it is its holders' affair."""
        with self._guard:
            self._secret = None
            self._opened = False

    # what is derived

    @property
    def page_key(self) -> bytes | None:
        """SQLCipher's key, if the store is sealed and the vault open."""
        secret = self._secret
        return secret.page_key if secret is not None else None

    @property
    def secret(self) -> StoreSecret | None:
        return self._secret

    def derive(self, purpose: str) -> bytes | None:
        """32 bytes for one use, others after a rotation; ``None`` while the store is plain or locked."""
        secret = self._secret
        return secret.derive(purpose) if secret is not None else None

    def lasting(self, purpose: str) -> bytes | None:
        """32 bytes for one use that rotations, copies and restoring leave alone (the ledger's chain); or ``None``.

        A store that is moved over from plain has one from then on.
        """
        secret = self._secret
        return secret.lasting(purpose) if secret is not None else None

    # secrets by name

    def get_secret(self, name: str) -> str | None:
        """From the keyring, else from the sealed file. Raises ``VaultError`` (``locked``, ``keyring_locked``, …)."""
        found = None if self.keyring.absent else self._from_keyring(name)
        path = self._secrets_file
        if found is not None or not path.exists():
            return found
        return sealed_secrets.read(path, self._secrets_key()).get(name)

    def put_secret(self, name: str, value: str) -> SecretPlace:
        """Into the keyring, else into the sealed file. Raises ``VaultError``: ``no_place`` when neither is there."""
        try:
            self.keyring.put(name, value)
        except VaultError as error:
            if error.code != "no_keyring":
                raise
        else:
            return "keyring"
        with self._guard:
            if self._secret is None and not self.needs_passphrase():
                raise VaultError(
                    "no_place",
                    "There is no place that keeps a key safe: no keyring service runs here, and the store has no"
                    " passphrase.",
                    _PASSPHRASE_HINT,
                )
            key = self._secrets_key()
            kept = sealed_secrets.read(self._secrets_file, key)
            sealed_secrets.write(self._secrets_file, key, {**kept, name: value})
        return "sealed file"

    def delete_secret(self, name: str) -> None:
        """Wherever it lies; none is fine. Raises ``VaultError``."""
        if not self.keyring.absent:
            try:
                self.keyring.delete(name)
            except VaultError as error:
                if error.code != "no_keyring":
                    raise
        with self._guard:
            path = self._secrets_file
            if path.exists():
                key = self._secrets_key()
                kept = sealed_secrets.read(path, key)
                if kept.pop(name, None) is not None:
                    sealed_secrets.write(path, key, kept)

    # what is said about it

    def state(self) -> VaultState:
        """Reads two small files' facts. Raises ``VaultError``, ``OSError``."""
        file = keyfile.read(self.folder)
        envelope = file.current if file is not None else keyfile.PLAIN
        plain = envelope.lock is Lock.PLAIN
        return VaultState(
            envelope.lock,
            locked=envelope.lock is Lock.PASSPHRASE and self._secret is None,
            has_recovery_code=envelope.has_recovery_code,
            keyring=False if self.keyring.absent else None,
            key_id=envelope.key_id,
            reason=(self._reason or "Nobody has chosen a passphrase, and no keyring service runs here.")
            if plain
            else "",
            next_step=_PASSPHRASE_HINT if plain else "",
            size_bytes=self.database.stat().st_size if self.database.exists() else 0,
            backed_up_at=file.backed_up_at if file is not None else None,
        )

    def adopt(self, secret: StoreSecret | None) -> None:
        """The key was changed (``app.vault.sealing``)."""
        with self._guard:
            self._secret, self._opened = secret, True

    def read_envelope(self, envelope: Envelope) -> StoreSecret | None:
        """What an envelope holds, of this store or of a copy, without anything typed. Raises ``VaultError``."""
        return self._open_envelope(envelope, None)

    def keep_in_keyring(self, entry: str, secret: StoreSecret) -> None:
        """So that nothing has to be typed at the next start, if a keyring can be had."""
        try:
            self.keyring.put(entry, secret.joined().hex())
        except VaultError as error:
            _log.warning("The store's key could not be put into the keyring: %s", error.code)

    def forget_entry(self, entry: str) -> None:
        """Remove a key that opens nothing any more from the keyring, if it can be had."""
        if not entry:
            return
        try:
            self.keyring.delete(entry)
        except VaultError as error:
            _log.warning("A key that is no longer used stays in the keyring: %s", error.code)

    def clear_kept_states(self) -> None:
        """What the model remembers of chats is sealed with a key that is gone now."""
        for path in (self.folder / _KEPT_FOLDER).glob("*"):
            try:
                path.unlink()
            except OSError as error:
                _log.warning("A kept state could not be removed: %s", error.strerror)

    # inside

    def _drop_legacy_key(self) -> None:
        """Earlier versions wrote a key into a file, for kept states only. No key lies open any more."""
        path = self.folder / _LEGACY_KEY
        if path.exists():
            moving.scrub(path)
            path.unlink()
            self.clear_kept_states()

    def _open_plain(self, file: KeyFile | None) -> None:
        sealed = is_sealed(self.database)
        if sealed and self.database.stat().st_size % moving.PAGE_BYTES == 0:
            raise VaultError(
                "key_missing",
                f"The store {self.database} is encrypted, but {self.folder / keyfile.FILE_NAME}, which says how its key"
                " is kept, is not there.",
                "Put it back, or restore a copy: `gatehouse store restore COPY`.",
            )
        if self.keyring.absent:
            self._reason = "No keyring service runs here, and nobody has chosen a passphrase."
            return
        try:
            with alone(self.database):
                file = keyfile.read(self.folder)
                if file is None or file.current.lock is Lock.PLAIN:
                    seal_with_keyring(self)
                else:
                    self._settle(file, None)
        except (VaultError, StoreError) as error:
            if self.page_key is None and is_sealed(self.database):
                raise
            _log.warning("The store stays plain for now: %s", error.code)
            self._reason = error.sentence

    def _settle(self, file: KeyFile, typed: str | None) -> None:
        """Take the envelope that opens the store. Raises ``Unopened`` when ``typed`` opens none, ``VaultError``."""
        if file.next is None:
            self._secret = self._open_envelope(file.current, typed)
            return
        fault: Exception = Unopened()
        for envelope, settled in ((file.next, keyfile.promoted(file)), (file.current, replace(file, next=None))):
            try:
                secret = self._open_envelope(envelope, typed)
            except (Unopened, GatehouseError) as error:
                fault = fault if isinstance(error, Unopened) else error
                continue
            if moving.opens(self.database, secret.page_key if secret is not None else None):
                self._secret = secret
                keyfile.write(self.folder, settled)
                moving.clear_leftovers(self.database)
                self.forget_entry((file.current if envelope is file.next else file.next).entry)
                return
        raise fault

    def _open_envelope(self, envelope: Envelope, typed: str | None) -> StoreSecret | None:
        if envelope.lock is Lock.PLAIN:
            return None
        if typed is not None:
            return keyfile.open_envelope(envelope, typed)
        if envelope.lock is Lock.PASSPHRASE:
            raise _locked()
        kept = self.keyring.get(envelope.entry)
        try:
            secret = StoreSecret.parse(bytes.fromhex(kept or ""))
        except ValueError:
            secret = None
        if secret is None or secret.key_id != envelope.key_id:
            raise VaultError(
                "key_missing",
                "The system's keyring no longer holds the key of the store.",
                "Type the recovery code: `gatehouse store unlock`."
                if envelope.has_recovery_code
                else "Log in as the person who made the store, or restore a copy: `gatehouse store restore COPY`.",
            )
        return secret

    def _from_keyring(self, name: str) -> str | None:
        try:
            return self.keyring.get(name)
        except VaultError as error:
            if error.code != "no_keyring":
                raise
        return None

    @property
    def _secrets_file(self) -> Path:
        return self.folder / sealed_secrets.FILE_NAME

    def _secrets_key(self) -> bytes:
        key = self.lasting(_SECRETS_PURPOSE)
        if key is None:
            raise _locked()
        return key


def _refuse_core_dumps() -> None:
    """A crash must not write the key to the disk with the rest of the memory. Windows asks its own settings."""
    try:
        import resource
    except ImportError:
        return
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))


def _locked() -> VaultError:
    return VaultError(
        "locked", "The store is locked with a passphrase.", "Open the window, or run this in a terminal to type it."
    )
