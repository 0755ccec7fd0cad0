"""Passphrases on the command line: from the terminal, a file or standard input; never an argument."""

from __future__ import annotations

import getpass
import os
import sys
from pathlib import Path
from typing import Final

from app.paths import Paths
from app.vault.vault import Vault
from engine.errors import VaultError

FILE_VARIABLE: Final = "GATEHOUSE_PASSPHRASE_FILE"
"""Names a file whose first line is the passphrase, for scripts."""
_LIMIT: Final = 4_096


def unlocked(paths: Paths, *, from_stdin: bool = False) -> Vault:
    """The vault of a data folder, opened by what somebody types if it takes that.

    ``from_stdin``: a line of standard input counts where there is no terminal. Raises ``VaultError``.
    """
    vault = Vault(paths.database)
    if vault.needs_passphrase():
        vault.unlock(read(f"Passphrase of {paths.data}: ", from_stdin=from_stdin))
    return vault


def read(question: str, *, from_stdin: bool = False, from_file: bool = True) -> str:
    """One passphrase or code. Raises ``VaultError`` when nobody can be asked."""
    named = os.environ.get(FILE_VARIABLE, "") if from_file else ""
    if named:
        with Path(named).open("rb") as file:
            return _line(file.readline(_LIMIT))
    if sys.stdin.isatty():
        return getpass.getpass(question)
    line = sys.stdin.buffer.readline(_LIMIT) if from_stdin else b""
    if not line:
        raise VaultError(
            "locked",
            "The store is locked with a passphrase, and there is no terminal to ask for it.",
            f"Run this in a terminal, or name a file with the passphrase in {FILE_VARIABLE}.",
        )
    return _line(line)


def read_new() -> str:
    """A new passphrase: typed twice at a terminal, else one line of standard input. Raises ``VaultError``."""
    first = read("New passphrase: ", from_stdin=True, from_file=False)
    if sys.stdin.isatty() and read("Once more: ", from_file=False) != first:
        raise VaultError("passphrases_differ", "The two passphrases differ.", "Nothing was changed; try again.")
    return first


def _line(raw: bytes) -> str:
    return raw.decode("utf-8", "replace").rstrip("\r\n")
