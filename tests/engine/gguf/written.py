"""Writes GGUF bytes for tests, right or deliberately wrong. Shares no code with the reader."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)
_FORMATS = {
    U8: "<B",
    I8: "<b",
    U16: "<H",
    I16: "<h",
    U32: "<I",
    I32: "<i",
    F32: "<f",
    BOOL: "<?",
    U64: "<Q",
    I64: "<q",
    F64: "<d",
}

F32_TYPE, F16_TYPE, Q4_0_TYPE, Q8_0_TYPE, Q4_K_TYPE = 0, 1, 2, 8, 12
_BLOCKS = {F32_TYPE: (1, 4), F16_TYPE: (1, 2), Q4_0_TYPE: (32, 18), Q8_0_TYPE: (32, 34), Q4_K_TYPE: (256, 144)}


def text(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(raw)) + raw


@dataclass(frozen=True)
class Entry:
    """A metadata entry; ``value`` is a list for arrays, whose elements are of ``element``."""

    key: str
    kind: int
    value: object
    element: int = U32

    def encode(self) -> bytes:
        return text(self.key) + struct.pack("<I", self.kind) + self._value()

    def _value(self) -> bytes:
        if self.kind == ARRAY:
            assert isinstance(self.value, list)
            body = b"".join(_scalar(self.element, item) for item in self.value)
            return struct.pack("<IQ", self.element, len(self.value)) + body
        return _scalar(self.kind, self.value)


def _scalar(kind: int, value: object) -> bytes:
    if kind == STRING:
        assert isinstance(value, str | bytes)
        return text(value)
    return struct.pack(_FORMATS[kind], value)


@dataclass(frozen=True)
class TensorSpec:
    """A tensor; ``offset`` and ``rank`` overrule what would be right."""

    name: str
    dimensions: tuple[int, ...]
    kind: int = F32_TYPE
    offset: int | None = None
    rank: int | None = None

    @property
    def size(self) -> int:
        elements = 1
        for dimension in self.dimensions:
            elements *= dimension
        block, size = _BLOCKS.get(self.kind, (1, 4))
        return elements // block * size


def facts(architecture: str = "llama", **more: int) -> list[Entry]:
    """The entries every model needs."""
    counts = {"block_count": 1, "context_length": 64, "embedding_length": 32, "attention.head_count": 2} | more
    entries = [Entry("general.architecture", STRING, architecture)]
    return entries + [Entry(f"{architecture}.{key}", U32, value) for key, value in counts.items()]


@dataclass(frozen=True)
class Written:
    """A file before it is bytes."""

    entries: Sequence[Entry] = field(default_factory=facts)
    tensors: Sequence[TensorSpec] = (TensorSpec("token_embd.weight", (32, 4)),)
    magic: bytes = b"GGUF"
    version: int = 3
    alignment: int = 32
    entry_count: int | None = None
    tensor_count: int | None = None
    data_bytes: int | None = None
    """Bytes of data really written; ``None``: as many as promised."""

    def but(self, **changes: object) -> Written:
        return replace(self, **changes)  # type: ignore[arg-type]

    def header(self) -> bytes:
        counts = (
            len(self.tensors) if self.tensor_count is None else self.tensor_count,
            len(self.entries) if self.entry_count is None else self.entry_count,
        )
        parts = [self.magic, struct.pack("<IQQ", self.version, *counts)]
        parts += [entry.encode() for entry in self.entries]
        offset = 0
        for tensor in self.tensors:
            rank = len(tensor.dimensions) if tensor.rank is None else tensor.rank
            parts.append(text(tensor.name) + struct.pack("<I", rank))
            parts += [struct.pack("<Q", dimension) for dimension in tensor.dimensions]
            parts.append(struct.pack("<IQ", tensor.kind, offset if tensor.offset is None else tensor.offset))
            offset = self._pad(offset + tensor.size)
        return b"".join(parts)

    def encode(self) -> bytes:
        header = self.header()
        promised = sum(self._pad(tensor.size) for tensor in self.tensors)
        data = promised if self.data_bytes is None else self.data_bytes
        return header.ljust(self._pad(len(header)), b"\0") + bytes(data)

    def _pad(self, size: int) -> int:
        return -(-size // self.alignment) * self.alignment
