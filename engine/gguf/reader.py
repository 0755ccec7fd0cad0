"""Reads the raw tables of one GGUF file, trusting nothing in it: every count, length and offset is bounded first.

The file is read once, front to back, in chunks; long arrays (a tokenizer's 100,000 words) are walked and counted, not
kept. Peak memory is therefore bounded by the limits below, whatever the file claims. What the tables mean is left to
``header.py``; files in several pieces to ``split.py``.
"""

from __future__ import annotations

import os
import stat
import struct
from dataclasses import dataclass
from pathlib import Path

from engine.errors import ModelFileError
from engine.gguf.cursor import STRING_LIMIT, U64, Cursor, Readable
from engine.gguf.faults import damaged, not_gguf, truncated, unsupported
from engine.gguf.quants import REMOVED_TYPES, TENSOR_TYPES, TensorType

KEY_LIMIT = 65_536
"""Metadata entries. Real files have fewer than 100."""
KEY_LENGTH_LIMIT = 1_024
ARRAY_LIMIT = 4_194_304
"""Elements of one array, and strings in all arrays together. Real vocabularies reach 260,000 words."""
KEPT_ARRAY_LIMIT = 4_096
"""Arrays up to this length are kept (values for each layer), longer ones only counted."""
KEPT_LIMIT = 16 * 1_048_576
"""Bytes of metadata kept in memory."""
TENSOR_LIMIT = 65_536
TENSOR_NAME_LIMIT = 63
DIMENSION_LIMIT = 4
DEFAULT_ALIGNMENT = 32

_INT64_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Array:
    """An array of metadata. ``items`` is ``None`` when it was too long to keep."""

    count: int
    items: tuple[int, ...] | tuple[float, ...] | tuple[bool, ...] | tuple[str, ...] | None


Value = str | int | float | bool | Array


@dataclass(frozen=True, slots=True)
class Tensor:
    """One entry of the tensor table. ``offset`` counts from the start of the data of its file."""

    name: str
    type: TensorType
    dimensions: tuple[int, ...]
    """Elements, the fastest-running dimension first; always four or fewer."""
    offset: int
    bytes: int

    @property
    def elements(self) -> int:
        product = 1
        for dimension in self.dimensions:
            product *= dimension
        return product


@dataclass(frozen=True, slots=True)
class RawHeader:
    """What stands before the data, bounded and consistent with the file's length, not yet interpreted."""

    version: int
    alignment: int
    metadata: dict[str, Value]
    tensors: tuple[Tensor, ...]
    data_offset: int
    file_bytes: int
    fingerprint: str
    """Changes with any byte of the header and with the file's length."""


_SCALARS: dict[int, struct.Struct] = {
    0: struct.Struct("<B"),
    1: struct.Struct("<b"),
    2: struct.Struct("<H"),
    3: struct.Struct("<h"),
    4: struct.Struct("<I"),
    5: struct.Struct("<i"),
    6: struct.Struct("<f"),
    7: struct.Struct("<?"),
    10: struct.Struct("<Q"),
    11: struct.Struct("<q"),
    12: struct.Struct("<d"),
}
_STRING, _ARRAY = 8, 9
_U32 = struct.Struct("<I")


def read_raw_header(path: Path) -> RawHeader:
    """Read and bound everything before the data. Raises: ``ModelFileError``, also when the file cannot be opened."""
    try:
        # Opening a pipe would wait for a writer, so look first.
        if not stat.S_ISREG(path.stat().st_mode):
            raise ModelFileError("unreadable", f"{path.name} is not an ordinary file.")
        with path.open("rb", buffering=0) as file:
            file_bytes = os.fstat(file.fileno()).st_size
            return _read(Cursor(file, path, file_bytes), path, file_bytes)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ModelFileError("unreadable", f"{path.name} cannot be read: {reason}.") from error


def read_raw_header_from(file: Readable, path: Path, file_bytes: int) -> RawHeader:
    """The same of a file that need not be here: ``path`` only names it in sentences. Raises: ``ModelFileError``."""
    return _read(Cursor(file, path, file_bytes), path, file_bytes)


def _read(cursor: Cursor, path: Path, file_bytes: int) -> RawHeader:
    if file_bytes < 24:
        raise not_gguf(path, cursor.take(file_bytes))
    start = cursor.take(4)
    if start != b"GGUF":
        raise not_gguf(path, start + cursor.take(20))
    version = _read_version(cursor, path)
    tensor_count = cursor.number(U64)
    key_count = cursor.number(U64)
    if tensor_count > TENSOR_LIMIT:
        raise damaged(path, f"it claims {tensor_count:,} tensors, and {TENSOR_LIMIT:,} are allowed")
    if key_count > KEY_LIMIT:
        raise damaged(path, f"it claims {key_count:,} metadata entries, and {KEY_LIMIT:,} are allowed")
    metadata = _MetadataReader(cursor, path).read(key_count)
    alignment = _alignment(metadata, path)
    tensors = _read_tensors(cursor, path, tensor_count, alignment)
    data_offset = _pad(cursor.position, alignment) if tensors else cursor.position
    _check_length(path, tensors, data_offset, file_bytes, alignment)
    return RawHeader(version, alignment, metadata, tensors, data_offset, file_bytes, cursor.digest())


def _read_version(cursor: Cursor, path: Path) -> int:
    version = cursor.number(_U32)
    if version & 0xFFFF == 0 and version:
        raise unsupported(path, "it was written for big-endian processors")
    if version == 1:
        raise unsupported(path, "it is of GGUF version 1, which llama.cpp no longer reads")
    if version not in (2, 3):
        raise unsupported(path, f"it is of GGUF version {version:,}, and 2 and 3 are known")
    return version


class _MetadataReader:
    """Reads the key-value table and keeps account of how much of it stays in memory."""

    def __init__(self, cursor: Cursor, path: Path) -> None:
        self._cursor = cursor
        self._path = path
        self._kept_bytes = 0
        self._strings_left = ARRAY_LIMIT

    def read(self, count: int) -> dict[str, Value]:
        metadata: dict[str, Value] = {}
        for index in range(count):
            key = self._key(index)
            if key in metadata:
                raise damaged(self._path, f"the metadata entry {key} appears twice")
            metadata[key] = self._value(key, self._cursor.number(_U32))
        return metadata

    def _key(self, index: int) -> str:
        raw = self._cursor.text(KEY_LENGTH_LIMIT, f"the name of metadata entry {index:,}")
        self._keep(len(raw) + 256)
        try:
            key = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise damaged(self._path, f"the name of metadata entry {index:,} is not text") from error
        if not key or not key.isprintable():
            raise damaged(self._path, f"metadata entry {index:,} has no readable name")
        return key

    def _value(self, key: str, kind: int) -> Value:
        if kind in _SCALARS:
            return self._cursor.scalar(_SCALARS[kind])
        if kind == _STRING:
            return self._text(key)
        if kind == _ARRAY:
            return self._array(key)
        raise damaged(self._path, f"the metadata entry {key} has the unknown type {kind:,}")

    def _text(self, key: str) -> str:
        raw = self._cursor.text(STRING_LIMIT, f"the metadata entry {key}")
        self._keep(4 * len(raw))
        return raw.decode("utf-8", "replace")

    def _array(self, key: str) -> Array:
        kind = self._cursor.number(_U32)
        count = self._cursor.number(U64)
        if count > ARRAY_LIMIT:
            raise damaged(self._path, f"the list {key} claims {count:,} elements, and {ARRAY_LIMIT:,} are allowed")
        if kind == _STRING:
            return self._strings(key, count)
        if kind == _ARRAY:
            raise unsupported(self._path, f"the metadata entry {key} is a list of lists")
        if kind not in _SCALARS:
            raise damaged(self._path, f"the list {key} has the unknown type {kind:,}")
        element = _SCALARS[kind]
        if count > KEPT_ARRAY_LIMIT:
            self._cursor.skip(count * element.size)
            return Array(count, None)
        self._keep(64 * count)
        raw = self._cursor.take(count * element.size)
        return Array(count, tuple(row[0] for row in element.iter_unpack(raw)))

    def _strings(self, key: str, count: int) -> Array:
        self._strings_left -= count
        if self._strings_left < 0:
            raise damaged(self._path, f"its lists hold more than {ARRAY_LIMIT:,} texts")
        if count > KEPT_ARRAY_LIMIT:
            self._cursor.skip_strings(count, f"the list {key}")
            return Array(count, None)
        return Array(count, tuple(self._text(key) for _ in range(count)))

    def _keep(self, size: int) -> None:
        self._kept_bytes += size
        if self._kept_bytes > KEPT_LIMIT:
            raise damaged(self._path, f"its metadata needs more than the allowed {KEPT_LIMIT:,} bytes of memory")


def _alignment(metadata: dict[str, Value], path: Path) -> int:
    alignment = metadata.get("general.alignment", DEFAULT_ALIGNMENT)
    if not isinstance(alignment, int) or isinstance(alignment, bool):
        raise damaged(path, "its alignment is not a number")
    if alignment <= 0 or alignment & (alignment - 1):
        raise damaged(path, f"its alignment is {alignment:,}, which is not a power of two")
    return alignment


def _read_tensors(cursor: Cursor, path: Path, count: int, alignment: int) -> tuple[Tensor, ...]:
    tensors: list[Tensor] = []
    seen: set[str] = set()
    expected = 0
    for index in range(count):
        tensor = _read_tensor(cursor, path, index)
        if tensor.name in seen:
            raise damaged(path, f"the tensor {tensor.name} appears twice")
        seen.add(tensor.name)
        if tensor.offset % alignment:
            raise damaged(path, f"the tensor {tensor.name} is not aligned to {alignment:,} bytes")
        if tensor.offset < expected:
            raise damaged(path, f"the tensor {tensor.name} overlaps the one before it")
        if tensor.offset > expected:
            # Nothing would break here, but libllama refuses such a file without a reason a person could read.
            raise damaged(path, f"a gap of {tensor.offset - expected:,} bytes lies before the tensor {tensor.name}")
        expected = _pad(tensor.offset + tensor.bytes, alignment)
        tensors.append(tensor)
    return tuple(tensors)


def _read_tensor(cursor: Cursor, path: Path, index: int) -> Tensor:
    raw = cursor.text(TENSOR_NAME_LIMIT, f"the name of tensor {index:,}")
    try:
        name = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise damaged(path, f"the name of tensor {index:,} is not text") from error
    if not name or not name.isprintable():
        raise damaged(path, f"tensor {index:,} has no readable name")
    rank = cursor.number(_U32)
    if rank > DIMENSION_LIMIT:
        raise damaged(path, f"the tensor {name} has {rank:,} dimensions, and {DIMENSION_LIMIT} are allowed")
    dimensions = tuple(cursor.number(U64) for _ in range(rank))
    kind = _tensor_type(cursor.number(_U32), name, path)
    size = _tensor_bytes(dimensions, kind, name, path)
    return Tensor(name, kind, dimensions, cursor.number(U64), size)


def _tensor_type(number: int, name: str, path: Path) -> TensorType:
    if number in TENSOR_TYPES:
        return TENSOR_TYPES[number]
    if number in REMOVED_TYPES:
        raise unsupported(
            path, f"the tensor {name} is stored as {REMOVED_TYPES[number]}, which llama.cpp no longer reads"
        )
    raise damaged(path, f"the tensor {name} has the unknown type {number:,}")


def _tensor_bytes(dimensions: tuple[int, ...], kind: TensorType, name: str, path: Path) -> int:
    elements = 1
    for dimension in dimensions:
        if dimension == 0:
            raise damaged(path, f"the tensor {name} has a dimension of 0")
        elements *= dimension
        if elements > _INT64_MAX:
            raise damaged(path, f"the tensor {name} has more elements than 64 bits can count")
    row = dimensions[0] if dimensions else 1
    if row % kind.block_elements:
        raise damaged(path, f"the rows of the tensor {name} do not divide into blocks of {kind.name}")
    size = elements // kind.block_elements * kind.block_bytes
    if size > _INT64_MAX:
        raise damaged(path, f"the tensor {name} has more bytes than 64 bits can count")
    return size


def _check_length(path: Path, tensors: tuple[Tensor, ...], data_offset: int, file_bytes: int, alignment: int) -> None:
    end = data_offset + (tensors[-1].offset + tensors[-1].bytes if tensors else 0)
    if file_bytes < end:
        raise truncated(
            path,
            f"its header promises {end:,} bytes and {file_bytes:,} are there, so {end - file_bytes:,} are missing",
        )
    # Writers pad the last tensor (or the header, where there is none) or leave it unpadded; both are right.
    if file_bytes > _pad(end, alignment):
        extra = file_bytes - end
        raise ModelFileError(
            "overlong",
            f"{path.name} is longer than its header says: {extra:,} bytes after the last tensor belong to nothing.",
            "Download it again, or ask whoever made it.",
        )


def _pad(size: int, alignment: int) -> int:
    return (size + alignment - 1) & -alignment
