"""Copies of the whole store in one file, and putting one back.

A copy is a ZIP: the database as it is (sealed under its page key), the key file, so that it opens with what opened the
store when it was made (the passphrase, the recovery code, or this login's keyring), and what the ledger has beside it.
Putting one back checks it whole first, keeps the present store as a copy, and takes out again what retention has
removed since.
"""

from __future__ import annotations

import logging
import os
import shutil
import zipfile
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from app.paths import refuse_own_file
from app.store import faults, migrations
from app.store.database import SCHEMA_VERSION, Error, connect_to, schema_version, touch_private
from app.vault import keyfile, ledger_files, moving, retention
from app.vault.keyfile import KeyFile
from app.vault.records import Lock, StoreSecret
from app.vault.vault import Vault
from app.vault.wrapping import Unopened, read_recovery_code
from engine.errors import GatehouseError, StoreError, VaultError

_DATABASE: Final = "gatehouse.db"
_KEY_LIMIT_BYTES: Final = 64 << 10
_SPARE_BYTES: Final = 16 << 20

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Restored:
    """What was put back."""

    made_at: float | None
    schema: int
    conversations: int
    removed_again: int
    """Conversations in the copy that retention had removed since."""
    kept_as: Path | None
    """Where the store that was there lies now."""


def back_up(vault: Vault, path: Path) -> int:
    """Write a copy beside whoever uses the store; returns its bytes. The file is there whole or not at all.

    Raises ``StoreError``, ``VaultError``, ``GatehouseError`` (``own_file``), ``OSError``.
    """
    refuse_own_file(path, vault.folder)
    file = keyfile.read(vault.folder) or KeyFile(keyfile.new_id(), keyfile.PLAIN)
    if not vault.database.exists():
        raise VaultError("nothing_to_copy", f"There is no store in {vault.folder} yet, so there is nothing to copy.")
    vault.open()
    now = datetime.now(UTC).timestamp()
    partial = path.with_name(f".{path.name}-{os.getpid()}")
    pages = path.with_name(f".{path.name}-{os.getpid()}-pages")
    try:
        touch_private(pages)
        with (
            closing(connect_to(vault.database, vault.page_key)) as source,
            closing(connect_to(pages, vault.page_key)) as target,
        ):
            source.execute("BEGIN")  # one snapshot, so that no write elsewhere makes it begin again
            schema_version(source)
            source.backup(target)
        _zip(
            partial,
            pages,
            ledger_files.collect(vault.folder),
            keyfile.dump(replace(file, next=None, failures=0, failed_at=0.0, backed_up_at=now)),
        )
        partial.replace(path)
    except (Error, OSError) as error:
        raise faults.explain(error, path) from error
    finally:
        for left in (partial, pages):
            left.unlink(missing_ok=True)
    if file.current.lock is not Lock.PLAIN:
        found = keyfile.read(vault.folder)
        if found is not None:
            keyfile.write(vault.folder, replace(found, backed_up_at=now))
    return path.stat().st_size


def restore(vault: Vault, path: Path, typed: str | None) -> Restored:
    """Put a copy in the store's place. ``typed`` opens one that has a passphrase or a recovery code.

    Raises ``VaultError`` (``not_a_copy``, ``wrong_passphrase``, ``locked``, ``key_missing``), ``StoreError``.
    """
    file, beside = _read_key_file(path), _read_beside(path)
    target = vault.database.with_name(vault.database.name + "-next")
    moving.clear_leftovers(vault.database)
    try:
        _unzip(path, target)
        secret = _open(vault, file, typed)
        key = secret.page_key if secret is not None else None
        schema = _check(path, target, key)
        if typed is not None and vault.needs_passphrase():
            vault.unlock_if(typed)
        tombstones = _present_tombstones(vault)
        removed_again, conversations = _clean(target, key, tombstones)
        kept_as = _keep_present(vault)
        present = keyfile.read(vault.folder) if (vault.folder / keyfile.FILE_NAME).exists() else None
        between = replace(present or replace(file, current=keyfile.PLAIN), next=file.current)
        if secret is not None or present is not None:
            keyfile.write(vault.folder, between)
        moving.take_place(vault.database, target, vault.page_key)
        if secret is not None or present is not None:
            keyfile.write(vault.folder, replace(file, next=None))
    except (Error, OSError) as error:
        raise faults.explain(error, vault.database) from error
    finally:
        moving.clear_leftovers(vault.database)
    if secret is not None and file.current.lock is Lock.KEYRING:
        vault.keep_in_keyring(file.current.entry, secret)
    vault.adopt(secret)
    ledger_files.put_back(vault, beside)
    vault.clear_kept_states()
    return Restored(file.backed_up_at, schema, conversations, removed_again, kept_as)


def wants_passphrase(path: Path) -> bool:
    """Whether a copy opens with something that is typed alone. Raises ``VaultError``."""
    return _read_key_file(path).current.lock is Lock.PASSPHRASE


def _zip(partial: Path, pages: Path, beside: Mapping[str, bytes], key_file: bytes) -> None:
    touch_private(partial)
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
        archive.write(pages, _DATABASE)
        archive.writestr(keyfile.FILE_NAME, key_file)
        for name, content in beside.items():
            archive.writestr(name, content)
    handle = os.open(partial, os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _read_key_file(path: Path) -> KeyFile:
    try:
        with zipfile.ZipFile(path) as archive, archive.open(keyfile.FILE_NAME) as member:
            return keyfile.parse(member.read(_KEY_LIMIT_BYTES))
    except FileNotFoundError:
        raise VaultError("not_a_copy", f"There is no file {path}.") from None
    except (zipfile.BadZipFile, ValueError, KeyError, TypeError, AttributeError, NotImplementedError):
        raise _no_copy(path) from None


def _read_beside(path: Path) -> dict[str, bytes]:
    """What the ledger had beside the store; copies of earlier versions have nothing."""
    try:
        with zipfile.ZipFile(path) as archive:
            there = set(archive.namelist())
            found = {}
            for name in ledger_files.NAMES:
                if name in there:
                    with archive.open(name) as member:
                        found[name] = member.read(ledger_files.LIMIT_BYTES)
            return found
    except (zipfile.BadZipFile, EOFError, NotImplementedError):
        raise _no_copy(path) from None


def _unzip(path: Path, target: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            size_bytes = archive.getinfo(_DATABASE).file_size
            free_bytes = shutil.disk_usage(target.parent).free
            if size_bytes + _SPARE_BYTES > free_bytes:
                raise StoreError(
                    faults.DISK_FULL,
                    f"The copy takes {size_bytes / 1e6:,.0f} MB; {free_bytes / 1e6:,.0f} MB are free at"
                    f" {target.parent}.",
                    "Free some space, then try again.",
                )
            touch_private(target)
            with archive.open(_DATABASE) as member, target.open("wb") as file:
                shutil.copyfileobj(member, file, 1 << 20)
                file.flush()
                os.fsync(file.fileno())
    except (zipfile.BadZipFile, KeyError, EOFError, NotImplementedError):
        raise _no_copy(path) from None


def _open(vault: Vault, file: KeyFile, typed: str | None) -> StoreSecret | None:
    if file.current.lock is Lock.PLAIN:
        return None
    if typed is None:
        return vault.read_envelope(file.current)
    try:
        return keyfile.open_envelope(file.current, read_recovery_code(typed) or typed)
    except Unopened:
        raise VaultError(
            "wrong_passphrase",
            "This does not open the copy.",
            "It takes the passphrase or the recovery code that opened the store when the copy was made.",
        ) from None


def _check(path: Path, target: Path, key: bytes | None) -> int:
    """The copy's schema, after a look at every page. Raises ``VaultError``, ``StoreError``."""
    try:
        with closing(connect_to(target, key)) as connection:
            schema = schema_version(connection)
            fault = str(connection.execute("PRAGMA integrity_check(1)").fetchone()[0])
            if not migrations.acts_of(connection) <= migrations.acts():
                fault = "it would do things by itself that no store of ours does"
    except Error as error:
        raise VaultError("not_a_copy", f"The copy {path} is damaged: {error}.", "Nothing was changed.") from error
    if fault != "ok" or schema < 1:
        raise VaultError("not_a_copy", f"The copy {path} is damaged: {fault}.", "Nothing was changed.")
    if schema > SCHEMA_VERSION:
        raise StoreError(
            "newer_schema",
            f"The copy {path} was made by a newer Gatehouse (schema {schema}); this one knows schemas up to"
            f" {SCHEMA_VERSION}.",
            "Nothing was changed. Install the newer version first.",
        )
    return schema


def _present_tombstones(vault: Vault) -> tuple[retention.Tombstone, ...]:
    """What was removed from the store that is there, if it can still be read."""
    try:
        key = vault.open()
        if not vault.database.exists():
            return ()
        with closing(connect_to(vault.database, key)) as connection:
            return retention.tombstones(connection)
    except (GatehouseError, Error) as error:
        _log.warning("The store that is replaced cannot be read: %s", type(error).__name__)
        return ()


def _clean(target: Path, key: bytes | None, tombstones: tuple[retention.Tombstone, ...]) -> tuple[int, int]:
    """Take out again what retention has removed; how many it were, and how many conversations are left."""
    with closing(connect_to(target, key)) as connection:
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute("BEGIN")
        removed = retention.remove_again(connection, tombstones)
        connection.execute("COMMIT")
        if removed:
            connection.execute("VACUUM")
        return removed, int(connection.execute("SELECT count(*) FROM conversations").fetchone()[0])


def _keep_present(vault: Vault) -> Path | None:
    """Keep the store that is replaced: as a copy, or as it lies there when it cannot be read."""
    if not vault.database.exists() or vault.database.stat().st_size == 0:
        return None
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    folder = vault.folder / "backups"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        kept = folder / f"before-restore-{stamp}.gatehouse"
        back_up(vault, kept)
    except GatehouseError:
        kept = folder / f"before-restore-{stamp}.unreadable"
        shutil.copy2(vault.database, kept)
        if (vault.folder / keyfile.FILE_NAME).exists():
            shutil.copy2(vault.folder / keyfile.FILE_NAME, kept.with_suffix(".vault.json"))
    return kept


def _no_copy(path: Path) -> VaultError:
    return VaultError("not_a_copy", f"{path} is no copy of a store, or is damaged.", "Nothing was changed.")
