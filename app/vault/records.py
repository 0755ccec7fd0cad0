"""What the vault's parts hand each other. Frozen; no key shows in a ``repr``."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal

from app.gate.label import Label
from app.vault.derive import derive

KEY_BYTES: Final = 32


class Lock(StrEnum):
    """What keeps the store's key."""

    PLAIN = "plain"
    """Nothing: the store is not encrypted."""
    KEYRING = "keyring"
    PASSPHRASE = "passphrase"


SecretPlace = Literal["keyring", "sealed file"]


@dataclass(frozen=True, slots=True)
class StoreSecret:
    """The three keys of a sealed store, 32 bytes each.

    ``master`` seals the other two on disk; passphrase and recovery code open it. ``page_key`` is SQLCipher's and
    changes with a rotation. ``root`` lasts as long as the store, for what must outlive rotations.
    """

    master: bytes = field(repr=False)
    page_key: bytes = field(repr=False)
    root: bytes = field(repr=False)

    @classmethod
    def make(cls) -> StoreSecret:
        return cls(*(secrets.token_bytes(KEY_BYTES) for _ in range(3)))

    @classmethod
    def parse(cls, joined: bytes) -> StoreSecret:
        """The reverse of :meth:`joined`. Raises ``ValueError``."""
        if len(joined) != 3 * KEY_BYTES:
            raise ValueError(f"{len(joined)} bytes are no secret")
        return cls(*(joined[place : place + KEY_BYTES] for place in range(0, len(joined), KEY_BYTES)))

    def joined(self) -> bytes:
        return self.master + self.page_key + self.root

    def renewed(self) -> StoreSecret:
        """For a rotation: all new but the root."""
        return StoreSecret(secrets.token_bytes(KEY_BYTES), secrets.token_bytes(KEY_BYTES), self.root)

    @property
    def key_id(self) -> str:
        """Tells page keys apart without telling them."""
        return hashlib.sha256(b"gatehouse key id" + self.page_key).hexdigest()[:16]

    def derive(self, purpose: str) -> bytes:
        """32 bytes for one use; others after a rotation, so that what was sealed with it is gone then."""
        return derive(self.page_key, purpose)

    def lasting(self, purpose: str) -> bytes:
        """32 bytes for one use, the same for the store's whole life, also in copies of it."""
        return derive(self.root, purpose)


@dataclass(frozen=True, slots=True)
class VaultState:
    """What a page or a command says about the store."""

    lock: Lock
    locked: bool
    """A passphrase is asked for, and the key is not here now."""
    has_recovery_code: bool
    keyring: bool | None
    """Whether a keyring service can be used; ``None`` while nobody has asked it."""
    key_id: str = ""
    reason: str = ""
    """Why the store is plain, in a sentence."""
    next_step: str = ""
    size_bytes: int = 0
    backed_up_at: float | None = None
    """When the person last made a copy, seconds since 1970."""


@dataclass(frozen=True, slots=True)
class Due:
    """Something that its label no longer keeps."""

    id: str
    kind: Literal["conversation", "document", "batch"]
    title: str
    """Of a document its path."""
    label: Label
    used_at: float
    age_days: int
    held: bool
    """Under legal hold: it stays."""


@dataclass(frozen=True, slots=True)
class Retention:
    """The rules, and what they would remove now. Nothing is removed by reading this."""

    keep_days: Mapping[Label, int | None]
    due: tuple[Due, ...]
    tombstones: int
    """How many things were removed by these rules so far."""


@dataclass(frozen=True, slots=True)
class Shredded:
    """What a removal did."""

    removed: int
    sealed: bool
    """The store got a new key, so what the disk still holds of the removed opens with none. False: it was overwritten
    where it lay, and a plain store can promise no more."""
    copies_removed: int
    """Copies made before upgrades, which held it too."""
