"""One GGUF file as numbers and texts that come in order, in chunks, within bounds.

What they mean is ``reader.py``'s.
"""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path
from typing import Final, Protocol

from engine.errors import ModelFileError
from engine.gguf.faults import damaged, truncated

STRING_LIMIT: Final = 1_048_576
"""Bytes of one text: chat templates reach some 30 KiB."""
HEADER_LIMIT: Final = 256 * 1_048_576
"""Bytes before the first tensor's data. Real headers reach some 20 MiB."""
U64: Final = struct.Struct("<Q")

_CHUNK: Final = 262_144


class Readable(Protocol):
    """Bytes that come in order. A ``read`` gives fewer than asked for only at the end."""

    def read(self, size: int, /) -> bytes: ...


class Cursor:
    """A forward-only view of the file in chunks; every byte passed is hashed."""

    def __init__(self, file: Readable, path: Path, file_bytes: int) -> None:
        self._file = file
        self._path = path
        self._file_bytes = file_bytes
        self._buffer = b""
        self._at = 0
        self._passed = 0
        self._hash = hashlib.sha256()

    @property
    def position(self) -> int:
        return self._passed + self._at

    def digest(self) -> str:
        """Of everything up to the position."""
        final = self._hash.copy()
        final.update(self._buffer[: self._at])
        final.update(U64.pack(self._file_bytes))
        return final.hexdigest()[:32]

    def take(self, size: int) -> bytes:
        if self._at + size > len(self._buffer):
            self._refill(size)
        piece = self._buffer[self._at : self._at + size]
        self._at += size
        return piece

    def number(self, kind: struct.Struct) -> int:
        value: int = kind.unpack(self.take(kind.size))[0]
        return value

    def scalar(self, kind: struct.Struct) -> int | float | bool:
        value: int | float | bool = kind.unpack(self.take(kind.size))[0]
        return value

    def text(self, limit: int, what: str) -> bytes:
        length = self.number(U64)
        if length > limit:
            raise damaged(self._path, f"{what} is {length:,} bytes long, and {limit:,} are allowed")
        return self.take(length)

    def skip(self, size: int) -> None:
        while size > 0:
            step = min(size, _CHUNK)
            self.take(step)
            size -= step

    def skip_strings(self, count: int, what: str) -> None:
        """Walk an array of texts without keeping them: the inner loop runs 100,000 times for an ordinary model."""
        read_length = U64.unpack_from
        while count:
            if self._at + 8 > len(self._buffer):
                self._refill(8)
            buffer, at, last = self._buffer, self._at, len(self._buffer) - 8
            while count and at <= last:
                length: int = read_length(buffer, at)[0]
                if length > STRING_LIMIT:
                    raise damaged(self._path, f"{what} holds a text of {length:,} bytes")
                at += 8 + length
                count -= 1
            beyond = at - len(buffer)
            self._at = min(at, len(buffer))
            if beyond > 0:
                self.skip(beyond)

    def _refill(self, size: int) -> None:
        if self.position + size > min(self._file_bytes, HEADER_LIMIT):
            raise self._ends_early(size)
        self._hash.update(self._buffer[: self._at])
        rest = self._buffer[self._at :]
        self._passed += self._at
        self._at = 0
        self._buffer = rest + self._file.read(max(_CHUNK, size - len(rest)))
        if len(self._buffer) < size:
            raise self._ends_early(size)

    def _ends_early(self, size: int) -> ModelFileError:
        if self.position + size > HEADER_LIMIT:
            return damaged(self._path, f"its header is longer than the allowed {HEADER_LIMIT:,} bytes")
        return truncated(
            self._path, f"its header ends in the middle, after {self._file_bytes:,} bytes; the rest is missing"
        )
