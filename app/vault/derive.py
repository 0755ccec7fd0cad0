"""Keys from a key: HKDF-SHA256. Written with the standard library, so that a start imports no cryptography package."""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

_HASH_BYTES: Final = 32


def derive(key: bytes, purpose: str, length_bytes: int = 32) -> bytes:
    """A key for one purpose. Source: RFC 5869, with no salt and ``purpose`` as info."""
    return hkdf(key, b"", purpose.encode(), length_bytes)


def hkdf(key: bytes, salt: bytes, info: bytes, length_bytes: int) -> bytes:
    """HKDF-SHA256, extract and expand. Source: RFC 5869."""
    if not 0 < length_bytes <= 255 * _HASH_BYTES:
        raise ValueError(f"{length_bytes} bytes cannot be derived")
    extracted = hmac.digest(salt or bytes(_HASH_BYTES), key, hashlib.sha256)
    block, output = b"", b""
    for count in range(1, -(-length_bytes // _HASH_BYTES) + 1):
        block = hmac.digest(extracted, block + info + bytes([count]), hashlib.sha256)
        output += block
    return output[:length_bytes]
