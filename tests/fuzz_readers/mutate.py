"""Breaks documents: in their bytes, or inside their packed parts so that what unpacks is broken."""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Callable
from random import Random
from typing import Final

_NUMBERS: Final = (b"0", b"-1", b"65536", b"2147483648", b"-2147483649", b"99999999999999999999", b"1e400", b"NaN")
_WORDS: Final = (
    b"<",
    b">>",
    b"\0",
    b"(",
    b"]",
    b"endobj",
    b"/Kids",
    b"&#x110000;",
    b"\xff\xfe",
    b"\r\n\r\n",
    b"%s" * 40,
)
_MAX_BYTES: Final = 4 << 20


def broken(data: bytes, random: Random) -> bytes:
    """A broken copy."""
    if random.random() < 0.5 and data.startswith(b"PK"):
        return _inside_zip(data, random)
    if random.random() < 0.5 and data.startswith(b"%PDF"):
        return _inside_streams(data, random)
    return _bytes(data, random)


def _bytes(data: bytes, random: Random) -> bytes:
    for _ in range(random.choice((1, 1, 2, 4, 16))):
        data = random.choice(_STEPS)(data, random)[:_MAX_BYTES]
    return data


def _inside_zip(data: bytes, random: Random) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as target:
        names = source.namelist()
        chosen = set(random.choices(names, k=random.choice((1, 1, 3))))
        for name in names:
            part = source.read(name)
            if name in chosen:
                if random.random() < 0.1:
                    continue
                part = _bytes(part, random)
            target.writestr(name, part)
    return out.getvalue()


def _inside_streams(data: bytes, random: Random) -> bytes:
    """Unpack one stream, break it, pack it again; the lengths no longer fit, which is another fault to bear."""
    found = list(re.finditer(rb"stream\n(.*?)\nendstream", data, re.DOTALL))
    if not found:
        return _bytes(data, random)
    match = random.choice(found)
    try:
        part = zlib.compress(_bytes(zlib.decompress(match[1]), random))
    except zlib.error:
        part = _bytes(match[1], random)
    return data[: match.start(1)] + part + data[match.end(1) :]


def _flip(data: bytes, random: Random) -> bytes:
    if not data:
        return data
    changed = bytearray(data)
    changed[random.randrange(len(data))] ^= 1 << random.randrange(8)
    return bytes(changed)


def _cut(data: bytes, random: Random) -> bytes:
    return data[: random.randrange(len(data) + 1)]


def _drop(data: bytes, random: Random) -> bytes:
    start = random.randrange(len(data) + 1)
    return data[:start] + data[start + random.choice((1, 4, 64, 1024)) :]


def _double(data: bytes, random: Random) -> bytes:
    start = random.randrange(len(data) + 1)
    return data[:start] + data[start : start + random.choice((8, 64, 4096))] * random.choice((2, 50)) + data[start:]


def _insert(data: bytes, random: Random) -> bytes:
    start = random.randrange(len(data) + 1)
    piece = random.choice((*_WORDS, *_NUMBERS, random.randbytes(random.choice((1, 8, 200)))))
    return data[:start] + piece + data[start:]


def _number(data: bytes, random: Random) -> bytes:
    found = list(re.finditer(rb"\d+", data[:200_000]))
    if not found:
        return _flip(data, random)
    match = random.choice(found)
    return data[: match.start()] + random.choice(_NUMBERS) + data[match.end() :]


_STEPS: Final[tuple[Callable[[bytes, Random], bytes], ...]] = (
    _flip,
    _flip,
    _cut,
    _drop,
    _double,
    _insert,
    _number,
    _number,
)
