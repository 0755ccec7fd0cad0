"""The SQLite that the store is built on: SQLCipher's, under the names of the standard library's.

Its exceptions and rows are not those of ``sqlite3``, so whoever catches or makes one takes it from here. A type checker
sees the standard library's types, which have the same shape. Nothing is opened here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlite3 import (
        SQLITE_BUSY,
        SQLITE_CANTOPEN,
        SQLITE_CORRUPT,
        SQLITE_FULL,
        SQLITE_IOERR,
        SQLITE_LOCKED,
        SQLITE_NOTADB,
        SQLITE_PERM,
        SQLITE_READONLY,
        Connection,
        Cursor,
        DatabaseError,
        Error,
        IntegrityError,
        OperationalError,
        Row,
        connect,
    )
else:
    from sqlcipher3.dbapi2 import (
        SQLITE_BUSY,
        SQLITE_CANTOPEN,
        SQLITE_CORRUPT,
        SQLITE_FULL,
        SQLITE_IOERR,
        SQLITE_LOCKED,
        SQLITE_NOTADB,
        SQLITE_PERM,
        SQLITE_READONLY,
        Connection,
        Cursor,
        DatabaseError,
        Error,
        IntegrityError,
        OperationalError,
        Row,
        connect,
    )

__all__ = [
    "SQLITE_BUSY",
    "SQLITE_CANTOPEN",
    "SQLITE_CORRUPT",
    "SQLITE_FULL",
    "SQLITE_IOERR",
    "SQLITE_LOCKED",
    "SQLITE_NOTADB",
    "SQLITE_PERM",
    "SQLITE_READONLY",
    "Connection",
    "Cursor",
    "DatabaseError",
    "Error",
    "IntegrityError",
    "OperationalError",
    "Row",
    "connect",
]
