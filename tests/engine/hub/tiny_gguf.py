"""GGUF files of any length with a sound header and random weights, written byte by byte."""

from __future__ import annotations

import random
import struct

_U32, _STRING = 4, 8
_U16 = 2


def tiny_gguf(size_bytes: int = 400_000, *, seed: int = 1, architecture: str = "llama") -> bytes:
    """One model of about ``size_bytes``."""
    facts: dict[str, str | int] = {
        "general.architecture": architecture,
        "general.name": f"Tiny {seed}",
        f"{architecture}.block_count": 1,
        f"{architecture}.context_length": 2048,
        f"{architecture}.embedding_length": 64,
    }
    return _file(facts, size_bytes, seed)


def tiny_shards(count: int, size_bytes: int = 200_000, *, seed: int = 1) -> list[bytes]:
    """One model in ``count`` files of about ``size_bytes`` each."""
    shards = []
    for number in range(count):
        facts: dict[str, str | int] = {"split.no": number, "split.count": count, "split.tensors.count": count}
        if number == 0:
            facts |= {
                "general.architecture": "llama",
                "llama.block_count": 1,
                "llama.context_length": 2048,
                "llama.embedding_length": 64,
            }
        shards.append(_file(facts, size_bytes, seed * 100 + number))
    return shards


def _file(facts: dict[str, str | int], size_bytes: int, seed: int) -> bytes:
    rows = max(1, (size_bytes - 512) // 256)
    head = struct.pack("<4sIQQ", b"GGUF", 3, 1, len(facts))
    for key, value in facts.items():
        head += _text(key)
        if isinstance(value, str):
            head += struct.pack("<I", _STRING) + _text(value)
        else:
            kind, form = (_U16, "<IH") if key in ("split.no", "split.count") else (_U32, "<II")
            head += struct.pack(form, kind, value)
    head += _text(f"blk.0.w{seed}") + struct.pack("<IQQIQ", 2, 64, rows, 0, 0)
    head += b"\0" * (-len(head) % 32)
    return head + random.Random(seed).randbytes(rows * 256)


def _text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()
