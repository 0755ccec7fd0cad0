"""Sealing small things: AES-256-GCM under a key, and keys under a passphrase (Argon2id) or a recovery code (HKDF).

The cryptography package is imported when something is first sealed or opened. Nothing is written here.
"""

from __future__ import annotations

import secrets
import unicodedata
from dataclasses import dataclass
from typing import Final, Literal

from app.vault.derive import hkdf

_NONCE_BYTES: Final = 12
_SALT_BYTES: Final = 16
_TAG_BYTES: Final = 16

MEMORY_KIB: Final = 64 << 10
PASSES: Final = 3
LANES: Final = 4
"""Argon2id's cost. Source: RFC 9106, section 4, the second recommended option (64 MiB, 3 passes, 4 lanes)."""
_MOST_MEMORY_KIB: Final = 1 << 20
_MOST_PASSES: Final = 64
"""What a key file may ask for; more would be somebody's mischief."""

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: no I, L, O or U. Source: https://www.crockford.com/base32.html"""
_CODE_BITS: Final = 130
_CODE_LETTERS: Final = 28
_GROUP: Final = 4


class Unopened(Exception):
    """What was sealed does not open with this: another key, or not what was written."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A master key under a passphrase or a recovery code. ``sealed`` is useless without it."""

    kind: Literal["passphrase", "recovery"]
    salt: bytes
    sealed: bytes
    memory_kib: int = 0
    passes: int = 0
    lanes: int = 0


def seal(key: bytes, content: bytes, bound_to: bytes) -> bytes:
    """Nonce and AES-256-GCM ciphertext. ``bound_to`` is authenticated and must be given again to open."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, content, bound_to)


def unseal(key: bytes, sealed: bytes, bound_to: bytes) -> bytes:
    """The reverse of :func:`seal`. Raises ``Unopened``."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    if len(sealed) < _NONCE_BYTES + _TAG_BYTES:
        raise Unopened
    try:
        return AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], bound_to)
    except InvalidTag:
        raise Unopened from None


def passphrase_slot(master: bytes, passphrase: str) -> Slot:
    """``master`` under a passphrase; takes about 0.2 s and 64 MiB."""
    empty = Slot("passphrase", secrets.token_bytes(_SALT_BYTES), b"", MEMORY_KIB, PASSES, LANES)
    return _filled(empty, master, passphrase)


def recovery_slot(master: bytes, code: str) -> Slot:
    """``master`` under a recovery code. The code is random and long, so it needs no slow function."""
    return _filled(Slot("recovery", secrets.token_bytes(_SALT_BYTES), b""), master, code)


def open_slot(slot: Slot, secret: str) -> bytes:
    """The master key. Raises ``Unopened`` for a wrong passphrase or code."""
    return unseal(_slot_key(slot, secret), slot.sealed, _slot_bond(slot))


def is_sane(slot: Slot) -> bool:
    """Whether the costs are ones that we or a later version may have chosen."""
    if slot.kind == "recovery":
        return True
    lanes_fit = 1 <= slot.lanes <= 64 and slot.memory_kib >= 8 * slot.lanes
    return lanes_fit and slot.memory_kib <= _MOST_MEMORY_KIB and 1 <= slot.passes <= _MOST_PASSES


def make_recovery_code() -> str:
    """Seven groups of four letters: 130 random bits and ten that find a slip of the pen."""
    number = secrets.randbits(_CODE_BITS)
    number = number << 10 | _check(number)
    letters = "".join(_ALPHABET[number >> 5 * place & 31] for place in reversed(range(_CODE_LETTERS)))
    return "-".join(letters[place : place + _GROUP] for place in range(0, _CODE_LETTERS, _GROUP))


def read_recovery_code(text: str) -> str | None:
    """The code as it was made, from what a person typed; ``None`` when it cannot be one."""
    letters = "".join(text.upper().split()).replace("-", "").replace("O", "0").replace("I", "1").replace("L", "1")
    if len(letters) != _CODE_LETTERS or any(letter not in _ALPHABET for letter in letters):
        return None
    number = 0
    for letter in letters:
        number = number << 5 | _ALPHABET.index(letter)
    if _check(number >> 10) != number & 1023:
        return None
    return "-".join(letters[place : place + _GROUP] for place in range(0, _CODE_LETTERS, _GROUP))


def warm_up() -> None:
    """Import what opening needs, so that the first try does not wait for it."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

    del AESGCM, Argon2id


def _check(number: int) -> int:
    # 1021 is prime, so every single wrong letter and every swap of two different neighbours changes the rest.
    return number % 1021


def _filled(empty: Slot, master: bytes, secret: str) -> Slot:
    sealed = seal(_slot_key(empty, secret), master, _slot_bond(empty))
    return Slot(empty.kind, empty.salt, sealed, empty.memory_kib, empty.passes, empty.lanes)


def _slot_key(slot: Slot, secret: str) -> bytes:
    text = unicodedata.normalize("NFC", secret).encode()  # keyboards write the same letter in two ways
    if slot.kind == "recovery":
        return hkdf(text, slot.salt, b"gatehouse recovery", 32)
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

    return Argon2id(
        salt=slot.salt, length=32, iterations=slot.passes, lanes=slot.lanes, memory_cost=slot.memory_kib
    ).derive(text)


def _slot_bond(slot: Slot) -> bytes:
    return f"gatehouse {slot.kind} {slot.memory_kib} {slot.passes} {slot.lanes}".encode()
