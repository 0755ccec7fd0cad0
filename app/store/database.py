"""Opening the database: connections, their settings, the schema's version, a check after a crash.

The hot path is plain ``sqlite3``; ``app.store.migrations`` (and with it sqlite-utils) is imported only when the schema
is not current, because it costs more memory than everything else in the store.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path

from app.store import faults
from app.version import version
from engine.errors import StoreError

SCHEMA_VERSION = 1
"""The number of the last migration in ``app.store.migrations``."""

_BUSY_MS = 5_000
"""How long a write waits for another process, e.g. the command line beside the window."""
_SETUP_MS = 60_000
"""How long a start waits for another one that makes or upgrades the schema."""


def open_writer(database: Path) -> sqlite3.Connection:
    """The one connection that writes; creates or migrates the schema first. Raises ``StoreError``."""
    try:
        database.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        crashed = _was_left_open(database)  # seen only until somebody opens it
        with _alone(database) if _is_outdated(database) else nullcontext():
            return _open_writer(database, check=crashed)
    except (sqlite3.Error, OSError) as error:
        raise faults.explain(error, database) from error
    except UnicodeDecodeError as error:  # Python's, of SQLite's complaint about a schema that is no text any more
        raise faults.damaged("its schema cannot be read", database) from error


def _open_writer(database: Path, *, check: bool) -> sqlite3.Connection:
    _touch_private(database)
    connection = _connect(database)
    try:
        _refuse_newer(connection, database)
        if check:
            _check_integrity(connection, database)
        # WAL: readers never wait for the writer. FULL: a committed text also outlives a power cut.
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA journal_size_limit = 16777216")
        connection.execute("PRAGMA secure_delete = ON")  # what the person deleted is overwritten, not only unlinked
        if _schema_version(connection) < SCHEMA_VERSION:
            _migrate(connection, database)
    except BaseException:
        connection.close()
        raise
    return connection


def open_reader(database: Path) -> sqlite3.Connection:
    """A connection that cannot write. The schema must be current. Raises ``StoreError``."""
    try:
        connection = _connect(database)
        connection.execute("PRAGMA query_only = ON")
    except sqlite3.Error as error:
        raise faults.explain(error, database) from error
    return connection


def _connect(database: Path) -> sqlite3.Connection:
    # isolation_level None: transactions are begun and ended by the lane, never behind our back.
    connection = sqlite3.connect(database, isolation_level=None, timeout=_BUSY_MS / 1000, check_same_thread=False)
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("PRAGMA cache_size = -8192")
    connection.execute("PRAGMA mmap_size = 0")
    return connection


def _is_outdated(database: Path) -> bool:
    """Whether the schema has to be made or upgraded."""
    if not database.exists() or database.stat().st_size == 0:
        return True
    with closing(_connect(database)) as connection:
        return _schema_version(connection) < SCHEMA_VERSION


@contextmanager
def _alone(database: Path) -> Iterator[None]:
    """One process at a time makes or upgrades the schema: a window and a command may be started together.

    The lock is that of an empty database beside ours: SQLite waits for it, and the system frees it with its holder.
    """
    path = database.with_name(database.name + "-setup")
    _touch_private(path)
    lock = sqlite3.connect(path, isolation_level=None, timeout=_SETUP_MS / 1000)
    try:
        lock.execute("BEGIN EXCLUSIVE")
        yield
    finally:
        lock.close()


def _touch_private(database: Path) -> None:
    """Create the file so that only its owner can read it; SQLite's side files inherit the mode."""
    if not database.exists():
        os.close(os.open(database, os.O_CREAT | os.O_RDWR, 0o600))


def _was_left_open(database: Path) -> bool:
    """True when no process closed the database properly (or one still has it open)."""
    log = database.with_name(database.name + "-wal")
    try:
        return log.stat().st_size > 0
    except FileNotFoundError:
        return False


def _schema_version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _refuse_newer(connection: sqlite3.Connection, database: Path) -> None:
    found = _schema_version(connection)
    if found <= SCHEMA_VERSION:
        return
    try:
        row = connection.execute("SELECT value FROM facts WHERE name = 'written_by'").fetchone()
    except sqlite3.Error:
        row = None  # the future may have renamed it; the schema's number is enough
    writer = f"Gatehouse {row[0]}" if row else "a newer Gatehouse"
    raise StoreError(
        "newer_schema",
        f"The conversations in {database} were written by {writer} (schema {found}); "
        f"this is Gatehouse {version()}, which knows schemas up to {SCHEMA_VERSION}.",
        "Install the newer version, or choose another folder with --data-dir.",
    )


def _check_integrity(connection: sqlite3.Connection, database: Path) -> None:
    fault = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    if fault != "ok":
        raise faults.damaged(fault, database)


def _migrate(connection: sqlite3.Connection, database: Path) -> None:
    # sqlite-utils takes numpy along where it finds it; ``None`` says that there is none. That saves 20 MB here.
    hide = "numpy" not in sys.modules
    if hide:
        sys.modules["numpy"] = None  # type: ignore[assignment]
    try:
        from app.store.migrations import migrate
    finally:
        if hide:
            del sys.modules["numpy"]
    migrate(connection, database)
