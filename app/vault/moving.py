"""Writing a whole store anew under another key, or none, and putting it in the old one's place.

The copy is made beside the store, compared, synced and renamed over it, so that a power cut leaves the old file or the
new one, whole. Nobody else may have the store open meanwhile; that is asked of SQLite itself. Which key counts
afterwards is ``app.vault.keyfile``'s.
"""

from __future__ import annotations

import os
import sys
from contextlib import closing
from pathlib import Path
from typing import Final

from app.store import faults
from app.store.database import Connection, Error, connect_to, is_sealed, key_literal, schema_version, touch_private
from app.vault.sealed_secrets import sync_folder
from engine.errors import StoreError

PAGE_BYTES: Final = 4096
_SUFFIX: Final = "-next"
_SCRUB_BYTES: Final = 1 << 20


def opens(database: Path, key: bytes | None) -> bool:
    """Whether this key (or none) opens the store; one that is not there yet opens with any. Raises ``OSError``."""
    sealed = is_sealed(database)
    if sealed is None:
        return True
    if sealed is not (key is not None):
        return False
    try:
        with closing(connect_to(database, key)) as connection:
            schema_version(connection)
    except Error:
        return False
    return True


def reseal(database: Path, old: bytes | None, new: bytes | None) -> None:
    """Move the store from one key to another; ``None`` is plain.

    Raises ``StoreError``: ``store_busy`` when it is open elsewhere, ``disk_full``; the old store is then as it was.
    """
    if is_sealed(database) is None:
        return
    clear_leftovers(database)
    target = database.with_name(database.name + _SUFFIX)
    try:
        with closing(_connect_alone(database, old)) as connection:
            copy_into(connection, target, new)
            _sync(target)
            if sys.platform == "win32":  # an open file cannot be replaced there
                connection.close()
            _replace(database, target)
    except (Error, OSError) as error:
        clear_leftovers(database)
        raise faults.explain(error, database) from error
    except StoreError:
        clear_leftovers(database)
        raise


def take_place(database: Path, target: Path, key: bytes | None) -> None:
    """Put a finished file where the store is; ``key`` opens the one that is there, if it can be opened at all.

    Raises ``StoreError`` ``store_busy`` when that is open elsewhere, ``OSError``.
    """
    try:
        if is_sealed(database) is not None and opens(database, key):
            with closing(_connect_alone(database, key)) as connection:
                if sys.platform == "win32":
                    connection.close()
                _replace(database, target)
        else:
            for ending in ("-wal", "-shm", "-journal"):  # they are the old one's, and would be read into the new one
                database.with_name(database.name + ending).unlink(missing_ok=True)
            target.replace(database)
            sync_folder(database.parent)
    except Error as error:
        raise faults.explain(error, database) from error


def copy_into(connection: Connection, target: Path, key: bytes | None) -> None:
    """Write all of an open store into a new file under ``key``, and compare. Raises ``StoreError``, ``Error``."""
    touch_private(target)
    literal = key_literal(key) if key is not None else "''"
    connection.execute(f"ATTACH ? AS next KEY {literal}", (str(target),))
    try:
        connection.execute("SELECT sqlcipher_export('next')").fetchall()
        connection.execute(f"PRAGMA next.user_version = {schema_version(connection)}")
        _compare(connection, target)
    finally:
        connection.execute("DETACH next")


def clear_leftovers(database: Path) -> None:
    """Remove what a move that did not end left behind. Raises ``OSError``."""
    for ending in ("", "-journal", "-wal", "-shm"):
        database.with_name(database.name + _SUFFIX + ending).unlink(missing_ok=True)


def scrub(path: Path) -> None:
    """Overwrite a file with zeros. What a disk has moved elsewhere by itself is beyond reach. Raises ``OSError``."""
    with path.open("r+b") as file:
        _scrub(file.fileno())


def _connect_alone(database: Path, key: bytes | None) -> Connection:
    """A connection that nobody can have beside it. Leaving WAL takes that; the next start returns to it."""
    connection = connect_to(database, key)
    try:
        connection.execute("PRAGMA journal_mode = DELETE").fetchall()
        connection.execute("PRAGMA locking_mode = EXCLUSIVE").fetchall()
        connection.execute("BEGIN EXCLUSIVE")
        connection.execute("COMMIT")  # the lock stays until the connection is closed
    except BaseException:
        connection.close()
        raise
    return connection


def _compare(connection: Connection, target: Path) -> None:
    """Every table has as many rows there as here, and the pages are sound."""
    objects = "SELECT type, name, tbl_name, sql FROM {}.sqlite_schema ORDER BY type, name"
    if connection.execute(objects.format("main")).fetchall() != connection.execute(objects.format("next")).fetchall():
        raise _differs(target, "its tables are others")
    tables = connection.execute(
        "SELECT name FROM main.sqlite_schema WHERE type = 'table' AND rootpage > 0 ORDER BY name"
    ).fetchall()
    for (name,) in tables:
        quoted = '"' + name.replace('"', '""') + '"'
        here, there = (
            connection.execute(f"SELECT count(*) FROM {place}.{quoted}").fetchone()[0]  # noqa: S608
            for place in ("main", "next")
        )
        if here != there:
            raise _differs(target, f"{name} has {there:,} rows there and {here:,} here")
    fault = str(connection.execute("PRAGMA next.quick_check(1)").fetchone()[0])
    if fault != "ok":
        raise _differs(target, fault)


def _differs(target: Path, how: str) -> StoreError:
    return StoreError(
        "move_failed",
        f"The copy {target} is not what the store is: {how}.",
        "Nothing was changed. Check the disk, then try again.",
    )


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _replace(database: Path, target: Path) -> None:
    """Put the new file in place, then overwrite the old one: what it held is not to be found on the disk again, and a
    process that just opened it reads zeros, which SQLite refuses, instead of writing where nobody looks."""
    if sys.platform == "win32":
        old_name = database.with_name(database.name + _SUFFIX + "-journal")
        os.link(database, old_name)
        target.replace(database)
        scrub(old_name)
        old_name.unlink()
        return
    old = os.open(database, os.O_RDWR)
    try:
        target.replace(database)
        sync_folder(database.parent)
        _scrub(old)
    finally:
        os.close(old)  # and with it SQLite's lock, on systems whose locks are a process's: only now


def _scrub(handle: int) -> None:
    length = os.fstat(handle).st_size
    os.lseek(handle, 0, os.SEEK_SET)
    zeros = bytes(_SCRUB_BYTES)
    while length > 0:
        length -= os.write(handle, zeros[: min(length, _SCRUB_BYTES)])
    os.fsync(handle)
