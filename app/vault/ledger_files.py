"""What lies beside the store for the ledger's sake, in copies: the head, and keys of rows from before. Blocking.

Rows are in the store itself. Without their head a copy on another machine could not say that none are missing; with the
head of another store nothing would leave at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from app.gate.chain import PLAIN_KEY
from app.gate.ledger import HEAD_FILE, is_head_under
from app.gate.ledger_keys import FORMER_FILE, PURPOSE
from app.vault.sealed_secrets import replace_file
from app.vault.vault import Vault

NAMES: Final = (HEAD_FILE, FORMER_FILE)
LIMIT_BYTES: Final = 64 << 10


def collect(folder: Path) -> dict[str, bytes]:
    """What is there, by name. Raises ``OSError``."""
    return {name: (folder / name).read_bytes() for name in NAMES if (folder / name).exists()}


def put_back(vault: Vault, copied: Mapping[str, bytes]) -> None:
    """After a store was restored and adopted: make head and keys those of its ledger. Raises ``OSError``.

    The head that is there stays when it is of the same ledger: it knows of later rows, which an older copy lacks.
    """
    if is_head_under(vault.folder / HEAD_FILE, vault.lasting(PURPOSE) or PLAIN_KEY):
        copied = {name: content for name, content in copied.items() if not (vault.folder / name).exists()}
    else:
        for name in NAMES:
            (vault.folder / name).unlink(missing_ok=True)
    for name, content in copied.items():
        replace_file(vault.folder / name, content)
