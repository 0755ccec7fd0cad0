"""The memory of a past conversation as a file: how it is bound, sealed and named. No folder and no thread here.

A file holds the tokens of one sequence and what llama.cpp keeps for them, so that going on after a restart costs no
second prefill. It can be as telling as the conversation, therefore all of it is encrypted, the tokens too. It is worth
nothing to another model, another build of llama.cpp or another kind of cache, and harmful there, because llama.cpp
checks sizes only; therefore all of that is authenticated (:class:`Binding`).

Layout: magic, salt, then frames of ``length`` (4 bytes, little endian) and AES-256-GCM ciphertext with its tag. The
first frame says what follows and holds the tokens, the others hold the state in chunks. Each file has a key of its own,
HMAC-SHA256 of the store's key over the salt, so nonces may simply count; the last one is marked, so a file that was
cut short between two frames does not verify. Source: the STREAM construction, Hoang, Reyhanitabar, Rogaway, Vizár
2015.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import struct
import sys
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

KEY_BYTES: Final = 32
CHUNK_BYTES: Final = 256 << 10
"""Encrypting one holds the interpreter for about 0.1 ms, which the engine's thread does not feel."""
MAX_TOKENS: Final = 4 << 20
SUFFIX: Final = ".kept"
UNOWNED: Final = "0" * 16
"""The owner in the name of a state that belongs to no named conversation."""
_MAGIC: Final = b"GHKEPT01"
_SALT_BYTES: Final = 16
_TAG_BYTES: Final = 16
_HEAD: Final = struct.Struct("<QI")
"""Bytes of the state, number of tokens."""
_LENGTH: Final = struct.Struct("<I")
_SAMPLES: Final = 256
_SAMPLE_BYTES: Final = 4096


class KeptFault(Exception):
    """The file is not what it should be: damaged, cut short, sealed by another key or for something else."""


@dataclass(frozen=True, slots=True)
class Binding:
    """What a state is bound to."""

    build: str
    """llama.cpp's version and the binding's."""
    model: str
    """:func:`model_digest`."""
    cache: str
    """KV types, cache mode, and whatever else of the plan changes what is computed."""

    def authenticated(self) -> bytes:
        """For the seal of each frame."""
        parts = (_MAGIC, self.build.encode(), self.model.encode(), self.cache.encode())
        return hashlib.sha256(b"".join(len(part).to_bytes(4, "little") + part for part in parts)).digest()


@dataclass(frozen=True, slots=True)
class Contents:
    """The first frame of a file."""

    tokens: array[int]
    state_bytes: int


@dataclass(frozen=True, slots=True)
class Name:
    """What a file's name tells without the key: nothing; with it, whose file it is. Each part is a keyed digest."""

    key: str
    build: str
    use: str
    """Model and cache."""
    owner: str
    """The conversation, or ``UNOWNED``."""
    serial: str

    def __str__(self) -> str:
        return "-".join((self.key, self.build, self.use, self.owner, self.serial)) + SUFFIX


class Names:
    """Names files. The application can tell a conversation's files by it without reading one."""

    def __init__(self, key: bytes) -> None:
        self._key = _derived(key, b"names")
        self.own = self._digest(b"key", "", 8)
        """How every name under this key begins."""

    def owner(self, cache_key: str) -> str:
        """A conversation in a name."""
        return self._digest(b"owner", cache_key, 16) if cache_key else UNOWNED

    def build(self, binding: Binding) -> str:
        return self._digest(b"build", binding.build, 8)

    def use(self, binding: Binding) -> str:
        return self._digest(b"use", f"{binding.model}\0{binding.cache}", 16)

    def new(self, binding: Binding, owner: str) -> Name:
        """A name that no other file has."""
        return Name(self.own, self.build(binding), self.use(binding), owner, secrets.token_hex(4))

    def _digest(self, purpose: bytes, text: str, length: int) -> str:
        return hmac.new(self._key, purpose + b"\0" + text.encode(), hashlib.sha256).hexdigest()[:length]


def parse_name(name: str) -> Name | None:
    """The parts of a file's name; ``None`` for a file that is none of ours."""
    parts = name.removesuffix(SUFFIX).split("-")
    lengths = (8, 8, 16, 16, 8)
    if not name.endswith(SUFFIX) or tuple(map(len, parts)) != lengths:
        return None
    if not all(letter in "0123456789abcdef" for part in parts for letter in part):
        return None
    return Name(*parts)


def remove_owned(folder: Path, key: bytes, cache_key: str) -> int:
    """Delete the states of one conversation, whatever model they are of; returns how many. Raises ``OSError``."""
    names, removed = Names(key), 0
    owner = names.owner(cache_key)
    for path in folder.glob(f"{names.own}-*{SUFFIX}") if cache_key else ():
        name = parse_name(path.name)
        if name is not None and name.owner == owner:
            path.unlink(missing_ok=True)
            removed += 1
    return removed


def model_digest(shards: list[Path]) -> str:
    """What tells this model from any other, without reading gigabytes. Raises ``OSError``.

    SHA-256 over, for each file of the model: its size, its time of change in nanoseconds, its first and last 64 KiB,
    and 256 pieces of 4 KiB at even distances. Two models that differ in few tensors only could agree in all pieces;
    then their times of change still differ.
    """
    digest = hashlib.sha256()
    for path in shards:
        facts = path.stat()
        digest.update(struct.pack("<QQ", facts.st_size, facts.st_mtime_ns))
        with path.open("rb", buffering=0) as file:
            for start, length in _pieces(facts.st_size):
                file.seek(start)
                digest.update(file.read(length))
    return digest.hexdigest()


def _pieces(size: int) -> Iterator[tuple[int, int]]:
    edge = 64 << 10
    yield 0, edge
    for index in range(_SAMPLES):
        yield index * size // _SAMPLES, _SAMPLE_BYTES
    yield max(0, size - edge), edge


def seal(file: BinaryIO, key: bytes, binding: Binding, tokens: array[int], state: memoryview) -> int:
    """Write a file; returns its size. ``tokens`` are 4-byte integers, ``state`` is bytes. Raises ``OSError``."""
    if not 0 < len(tokens) <= MAX_TOKENS or state.nbytes == 0:
        raise ValueError("nothing to keep")
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    salt = secrets.token_bytes(_SALT_BYTES)
    cipher, bound = AESGCM(_derived(key, b"file" + salt)), binding.authenticated()
    size = file.write(_MAGIC + salt)
    head = _HEAD.pack(state.nbytes, len(tokens)) + _little_endian(tokens).tobytes()
    frames: list[bytes | memoryview] = [head]
    frames += [state[start : start + CHUNK_BYTES] for start in range(0, state.nbytes, CHUNK_BYTES)]
    for index, frame in enumerate(frames):
        sealed = cipher.encrypt(_nonce(index, last=index == len(frames) - 1), frame, bound)
        size += file.write(_LENGTH.pack(len(sealed)) + sealed)
    return size


def read_contents(file: BinaryIO, key: bytes, binding: Binding) -> Contents:
    """The first frame. Raises ``KeptFault``, ``OSError``."""
    return _Opened(file, key, binding).contents


def unseal(file: BinaryIO, key: bytes, binding: Binding, into: memoryview) -> Contents:
    """Read a whole file, the state into a buffer of exactly its size. Raises ``KeptFault``, ``OSError``.

    Nothing of the buffer may be used after a fault.
    """
    opened = _Opened(file, key, binding)
    if opened.contents.state_bytes != into.nbytes:
        raise KeptFault("The file holds a state of another size.")
    starts = range(0, into.nbytes, CHUNK_BYTES)
    for index, start in enumerate(starts, 1):
        opened.frame_into(index, into[start : start + CHUNK_BYTES], last=index == len(starts))
    if file.read(1):
        raise KeptFault("The file goes on after its end.")
    return opened.contents


class _Opened:
    """A file whose first frame has been read and verified."""

    def __init__(self, file: BinaryIO, key: bytes, binding: Binding) -> None:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._file, self._bound, self._invalid = file, binding.authenticated(), InvalidTag
        start = file.read(len(_MAGIC) + _SALT_BYTES)
        if len(start) != len(_MAGIC) + _SALT_BYTES or not start.startswith(_MAGIC):
            raise KeptFault("The file is none of this kind.")
        self._cipher = AESGCM(_derived(key, b"file" + start[len(_MAGIC) :]))
        head = bytearray(self._length(_HEAD.size + 4, _HEAD.size + 4 * MAX_TOKENS))
        self._read_into(0, memoryview(head), last=False)
        state_bytes, n_tokens = _HEAD.unpack_from(head)
        if state_bytes == 0 or len(head) != _HEAD.size + 4 * n_tokens:
            raise KeptFault("The file contradicts itself.")
        tokens = array("i")
        tokens.frombytes(head[_HEAD.size :])
        self.contents = Contents(_little_endian(tokens), state_bytes)

    def frame_into(self, index: int, into: memoryview, *, last: bool) -> None:
        """Read and verify the next frame, which has the buffer's size."""
        self._length(into.nbytes, into.nbytes)
        self._read_into(index, into, last=last)

    def _length(self, least: int, most: int) -> int:
        """Of the next frame's plain text."""
        raw = self._file.read(_LENGTH.size)
        length = _LENGTH.unpack(raw)[0] - _TAG_BYTES if len(raw) == _LENGTH.size else -1
        if not least <= length <= most:
            raise KeptFault("The file is cut short or damaged.")
        return int(length)

    def _read_into(self, index: int, into: memoryview, *, last: bool) -> None:
        sealed = self._file.read(into.nbytes + _TAG_BYTES)
        try:
            if len(sealed) != into.nbytes + _TAG_BYTES:
                raise KeptFault("The file is cut short.")
            self._cipher.decrypt_into(_nonce(index, last=last), sealed, self._bound, into)
        except self._invalid as error:
            raise KeptFault("The file is damaged, or sealed for something else.") from error


def _derived(key: bytes, purpose: bytes) -> bytes:
    if len(key) != KEY_BYTES:
        raise ValueError(f"a key has {KEY_BYTES} bytes")
    return hmac.new(key, b"gatehouse kept states\0" + purpose, hashlib.sha256).digest()


def _nonce(index: int, *, last: bool) -> bytes:
    return index.to_bytes(11, "little") + bytes([last])


def _little_endian(tokens: array[int]) -> array[int]:
    if sys.byteorder == "little":
        return tokens
    swapped = array("i", tokens)
    swapped.byteswap()
    return swapped
