"""A connection with our settings, sealed or plain. What stands in the file is not looked at here."""

from __future__ import annotations

import os
from pathlib import Path

from app.store.driver import Connection, connect

KEY_BYTES = 32
_BUSY_MS = 5_000
"""How long a write waits for another process, e.g. the command line beside the window."""


def connect_to(database: Path, key: bytes | None, *, read_only: bool = False) -> Connection:
    """A connection with our settings, under ``key`` if there is one. Nothing is read yet. Raises ``Error``.

    ``read_only``: nothing is written, not even what another process left to be tidied.
    """
    name = f"{database.absolute().as_uri()}?mode=ro" if read_only else str(database)
    # isolation_level None: transactions are begun and ended by the lane, never behind our back.
    connection = connect(name, isolation_level=None, timeout=_BUSY_MS / 1000, check_same_thread=False, uri=read_only)
    if key is not None:
        connection.execute("PRAGMA cipher_log_level = NONE")  # it would write to standard error
        connection.execute(f"PRAGMA key = {key_literal(key)}")  # before anything is read, on every connection
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("PRAGMA cache_size = -8192")
    connection.execute("PRAGMA mmap_size = 0")
    return connection


def key_literal(key: bytes) -> str:
    """``key`` as SQL: a raw key, which SQLCipher takes as it is. A PRAGMA takes no parameters; hex needs no escape."""
    if len(key) != KEY_BYTES:
        raise ValueError(f"a key of {len(key)} bytes")
    return f"\"x'{key.hex()}'\""


def touch_private(database: Path) -> None:
    """Create the file so that only its owner can read it; SQLite's side files inherit the mode."""
    if not database.exists():
        os.close(os.open(database, os.O_CREAT | os.O_RDWR, 0o600))
