"""What is written about the store's key: ``vault.json`` beside the store. Useless without keyring, passphrase or code.

While the store is written anew under another key there are two envelopes, the present one and the next; whichever opens
the store counts. No file means a plain store whose key was never asked about.
"""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from app.vault.records import KEY_BYTES, Lock, StoreSecret
from app.vault.sealed_secrets import replace_file
from app.vault.wrapping import Slot, Unopened, is_sane, open_slot, seal, unseal
from engine.errors import VaultError

FILE_NAME: Final = "vault.json"
_VERSION: Final = 1
_LIMIT_BYTES: Final = 64 << 10


@dataclass(frozen=True, slots=True)
class Envelope:
    """How one secret is kept. ``entry`` names it in the keyring; ``sealed`` are page key and root under the master."""

    lock: Lock
    key_id: str = ""
    entry: str = ""
    slots: tuple[Slot, ...] = ()
    sealed: bytes = field(default=b"", repr=False)

    @property
    def has_recovery_code(self) -> bool:
        return any(slot.kind == "recovery" for slot in self.slots)


@dataclass(frozen=True, slots=True)
class KeyFile:
    """The whole file."""

    id: str
    current: Envelope
    next: Envelope | None = None
    failures: int = 0
    """Wrong passphrases in a row."""
    failed_at: float = 0.0
    backed_up_at: float | None = None


PLAIN: Final = Envelope(Lock.PLAIN)


def new_id() -> str:
    return secrets.token_hex(8)


def sealed_envelope(lock: Lock, secret: StoreSecret, slots: tuple[Slot, ...], entry: str = "") -> Envelope:
    """An envelope around ``secret``; the slots are for its master key."""
    sealed = seal(secret.master, secret.page_key + secret.root, _bond(secret.key_id))
    return Envelope(lock, secret.key_id, entry, slots, sealed)


def open_envelope(envelope: Envelope, typed: str) -> StoreSecret:
    """With a passphrase or a recovery code. Raises ``Unopened``."""
    for slot in envelope.slots:
        try:
            return open_with_master(envelope, open_slot(slot, typed))
        except Unopened:
            continue
    raise Unopened


def open_with_master(envelope: Envelope, master: bytes) -> StoreSecret:
    """Raises ``Unopened``."""
    keys = unseal(master, envelope.sealed, _bond(envelope.key_id))
    try:
        return StoreSecret.parse(master + keys)
    except ValueError:
        raise Unopened from None


def read(folder: Path) -> KeyFile | None:
    """``None`` when there is none. Raises ``VaultError`` for one that cannot be understood, ``OSError``."""
    path = folder / FILE_NAME
    try:
        with path.open("rb") as file:
            raw = file.read(_LIMIT_BYTES)
    except FileNotFoundError:
        return None
    try:
        return parse(raw)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise VaultError(
            "vault_damaged",
            f"The file {path}, which says how the store's key is kept, is damaged.",
            "Put it back from a copy: `gatehouse store restore COPY`. Without it nothing opens the store.",
        ) from None


def write(folder: Path, file: KeyFile) -> None:
    """Raises ``OSError``."""
    replace_file(folder / FILE_NAME, dump(file))


def parse(raw: bytes) -> KeyFile:
    """Raises ``ValueError``, ``KeyError``, ``TypeError``, ``AttributeError``."""
    value = json.loads(raw)
    if value["version"] != _VERSION:
        raise ValueError(f"version {value['version']}")
    following = value.get("next")
    backed_up_at = value.get("backed_up_at")
    return KeyFile(
        str(value["id"]),
        _envelope(value["current"]),
        _envelope(following) if following is not None else None,
        int(value.get("failures", 0)),
        float(value.get("failed_at", 0.0)),
        float(backed_up_at) if backed_up_at is not None else None,
    )


def dump(file: KeyFile) -> bytes:
    """As it is written."""
    value = {
        "version": _VERSION,
        "id": file.id,
        "current": _plain(file.current),
        "next": _plain(file.next) if file.next is not None else None,
        "failures": file.failures,
        "failed_at": file.failed_at,
        "backed_up_at": file.backed_up_at,
    }
    return json.dumps(value, indent=1).encode()


def promoted(file: KeyFile) -> KeyFile:
    """The next envelope became the present one."""
    return replace(file, current=file.next or file.current, next=None)


def _plain(envelope: Envelope) -> dict[str, Any]:
    return {
        "lock": envelope.lock.value,
        "key_id": envelope.key_id,
        "entry": envelope.entry,
        "sealed": _text(envelope.sealed),
        "slots": [
            {
                "kind": slot.kind,
                "salt": _text(slot.salt),
                "sealed": _text(slot.sealed),
                "memory_kib": slot.memory_kib,
                "passes": slot.passes,
                "lanes": slot.lanes,
            }
            for slot in envelope.slots
        ],
    }


def _envelope(value: dict[str, Any]) -> Envelope:
    slots = tuple(_slot(slot) for slot in value["slots"])
    return Envelope(Lock(value["lock"]), str(value["key_id"]), str(value["entry"]), slots, _bytes(value["sealed"]))


def _slot(value: dict[str, Any]) -> Slot:
    if value["kind"] not in ("passphrase", "recovery"):
        raise ValueError("an unknown kind of slot")
    costs = (int(value["memory_kib"]), int(value["passes"]), int(value["lanes"]))
    slot = Slot(value["kind"], _bytes(value["salt"]), _bytes(value["sealed"]), *costs)
    if not is_sane(slot) or len(slot.salt) < KEY_BYTES // 2:
        raise ValueError("costs that nobody chose")
    return slot


def _bond(key_id: str) -> bytes:
    return f"gatehouse store {key_id}".encode()


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
