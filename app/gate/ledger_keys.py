"""The keys that the ledger's rows were and are sealed with, in the order in which they came into use. Blocking.

A sealed store has a secret that lasts as long as it stays sealed. A plain one has none; a store that became plain again
leaves its former key beside it, so that rows from before can still be checked: it protects nothing any more.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

from app.gate.chain import PLAIN_KEY
from engine.errors import GatehouseError

PURPOSE: Final = "ledger"
FORMER_FILE: Final = "ledger.former"
_LIMIT_BYTES: Final = 64 << 10


class Keys(Protocol):
    """What the ledger asks of the vault."""

    @property
    def folder(self) -> Path: ...
    def lasting(self, purpose: str) -> bytes | None: ...
    def needs_passphrase(self) -> bool: ...


def ledger_keys(vault: Keys) -> Sequence[bytes]:
    """Raises ``GatehouseError`` while the store is locked."""
    key = vault.lasting(PURPOSE)
    if key is None and vault.needs_passphrase():
        raise GatehouseError("locked", "The store is locked, and with it the ledger, so nothing leaves.", "Unlock it.")
    keys = [PLAIN_KEY]
    for former in _read(vault.folder / FORMER_FILE):
        keys += [former, PLAIN_KEY]
    return keys if key is None else [*keys, key]


def keep_former(folder: Path, key: bytes) -> None:
    """The store becomes plain: note the key of the rows so far. Raises ``OSError``."""
    from app.vault.sealed_secrets import replace_file

    path = folder / FORMER_FILE
    kept = [former.hex() for former in _read(path)]
    replace_file(path, json.dumps([*kept, key.hex()]).encode("ascii"))


def _read(path: Path) -> list[bytes]:
    try:
        with path.open("rb") as file:
            return [bytes.fromhex(key) for key in json.loads(file.read(_LIMIT_BYTES))]
    except FileNotFoundError:
        return []
    except (ValueError, TypeError) as error:
        raise GatehouseError(
            "ledger_tampered", f"{path} is not what was written, so the ledger cannot be checked.", "Put a copy back."
        ) from error
