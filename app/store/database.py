"""Opening the database: what is expected of the file, the schema's version, a check after a crash.

A store is sealed (SQLCipher, under a raw key of 32 bytes) or plain (no key). Which one it is to be, and where the key
comes from, is ``app.vault``'s affair. Everybody in ``app.store`` takes connections, rows and errors from here.

``app.store.migrations`` (and with it sqlite-utils) is imported only when the schema is not current, because it costs
more memory than everything else in the store.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path

from app.store import faults
from app.store.connection import KEY_BYTES, connect_to, key_literal, touch_private
from app.store.driver import Connection, Cursor, DatabaseError, Error, IntegrityError, OperationalError, Row, connect
from app.version import version
from engine.errors import StoreError

__all__ = [
    "KEY_BYTES",
    "SCHEMA_VERSION",
    "Connection",
    "Cursor",
    "DatabaseError",
    "Error",
    "IntegrityError",
    "OperationalError",
    "Row",
    "connect_to",
    "is_sealed",
    "key_literal",
    "open_reader",
    "open_writer",
    "touch_private",
]

SCHEMA_VERSION = 6
"""The number of the last migration in ``app.store.migrations``."""

_PLAIN_HEAD = b"SQLite format 3\0"

_SETUP_MS = 60_000
"""How long a start waits for another one that makes or upgrades the schema."""


def open_writer(database: Path, key: bytes | None = None) -> Connection:
    """The one connection that writes; creates or migrates the schema first. Raises ``StoreError``."""
    try:
        database.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _refuse_wrong_seal(database, key)
        crashed = _was_left_open(database)  # seen only until somebody opens it
        with alone(database) if _is_outdated(database, key) else nullcontext():
            return _open_writer(database, key, check=crashed)
    except (Error, OSError) as error:
        raise faults.explain(error, database) from error
    except UnicodeDecodeError as error:  # Python's, of SQLite's complaint about a schema that is no text any more
        raise faults.damaged("its schema cannot be read", database) from error


def _open_writer(database: Path, key: bytes | None, *, check: bool) -> Connection:
    touch_private(database)
    connection = connect_to(database, key)
    try:
        _refuse_newer(connection, database)
        if check:
            _check_integrity(connection, database)
        # WAL: readers never wait for the writer. FULL: a committed text also outlives a power cut.
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA journal_size_limit = 16777216")
        connection.execute("PRAGMA secure_delete = ON")  # what the person deleted is overwritten, not only unlinked
        if schema_version(connection) < SCHEMA_VERSION:
            _migrate(connection, database, key)
    except BaseException:
        connection.close()
        raise
    return connection


def open_reader(database: Path, key: bytes | None = None) -> Connection:
    """A connection that cannot write. The schema must be current. Raises ``StoreError``."""
    try:
        connection = connect_to(database, key)
        connection.execute("PRAGMA query_only = ON")
    except Error as error:
        raise faults.explain(error, database) from error
    return connection


def is_sealed(database: Path) -> bool | None:
    """Whether the file is encrypted (or no database at all); ``None`` when there is nothing in it yet.

    Never while this process has it open: closing a file gives up all locks that a process has on it, SQLite's too.
    Source: https://www.sqlite.org/howtocorrupt.html, 2.2. Raises ``OSError``.
    """
    try:
        with database.open("rb") as file:
            head = file.read(len(_PLAIN_HEAD))
    except FileNotFoundError:
        return None
    return head != _PLAIN_HEAD if head else None


def _refuse_wrong_seal(database: Path, key: bytes | None) -> None:
    """A plain store under a key, or a sealed one without: SQLite would call both damaged."""
    sealed = is_sealed(database)
    if key is not None and sealed is False:
        raise StoreError(
            "store_plain", f"The store in {database} is not encrypted yet, though there is a key for it.", ""
        )


def _is_outdated(database: Path, key: bytes | None) -> bool:
    """Whether the schema has to be made or upgraded."""
    if not database.exists() or database.stat().st_size == 0:
        return True
    with closing(connect_to(database, key)) as connection:
        return schema_version(connection) < SCHEMA_VERSION


@contextmanager
def alone(database: Path) -> Iterator[None]:
    """One process at a time makes or upgrades the schema: a window and a command may be started together.

    The lock is that of an empty database beside ours: SQLite waits for it, and the system frees it with its holder.
    """
    path = database.with_name(database.name + "-setup")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    touch_private(path)
    lock = connect(path, isolation_level=None, timeout=_SETUP_MS / 1000)
    try:
        lock.execute("BEGIN EXCLUSIVE")
        yield
    finally:
        lock.close()


def _was_left_open(database: Path) -> bool:
    """True when no process closed the database properly (or one still has it open)."""
    log = database.with_name(database.name + "-wal")
    try:
        return log.stat().st_size > 0
    except FileNotFoundError:
        return False


def schema_version(connection: Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _refuse_newer(connection: Connection, database: Path) -> None:
    found = schema_version(connection)
    if found <= SCHEMA_VERSION:
        return
    try:
        row = connection.execute("SELECT value FROM facts WHERE name = 'written_by'").fetchone()
    except Error:
        row = None  # the future may have renamed it; the schema's number is enough
    writer = f"Gatehouse {row[0]}" if row else "a newer Gatehouse"
    raise StoreError(
        "newer_schema",
        f"The conversations in {database} were written by {writer} (schema {found}); "
        f"this is Gatehouse {version()}, which knows schemas up to {SCHEMA_VERSION}.",
        "Install the newer version, or choose another folder with --data-dir.",
    )


def _check_integrity(connection: Connection, database: Path) -> None:
    fault = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    if fault != "ok":
        raise faults.damaged(fault, database)


def _migrate(connection: Connection, database: Path, key: bytes | None) -> None:
    # sqlite-utils takes numpy along where it finds it; ``None`` says that there is none. That saves 20 MB here.
    hide = "numpy" not in sys.modules
    if hide:
        sys.modules["numpy"] = None  # type: ignore[assignment]
    try:
        from app.store.migrations import migrate
    finally:
        if hide:
            del sys.modules["numpy"]
    migrate(connection, database, key)
