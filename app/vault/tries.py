"""Wrong passphrases in a row: how many are free, and how long after more of them the next may be tried.

They are counted in the key file, so that a restart forgives nothing. Nothing is lost by them.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

from app.vault import keyfile
from app.vault.keyfile import KeyFile
from engine.errors import VaultError

_FREE_TRIES: Final = 3
_LONGEST_WAIT_S: Final = 300.0
_HINT: Final = "Nothing is lost. The recovery code opens the store too."


def wait_s(failures: int) -> float:
    """How long after so many wrong passphrases in a row the next one may be tried: 0, 0, 0, 1, 2, 4, … 300 s."""
    if failures < _FREE_TRIES:
        return 0.0
    return float(min(2 ** min(failures - _FREE_TRIES, 16), _LONGEST_WAIT_S))


def refuse_haste(folder: Path, file: KeyFile, now: float) -> None:
    """Raises ``VaultError`` ``too_soon``, with the time to wait."""
    if file.failed_at > now:  # the clock was set back; one wait from now on
        keyfile.write(folder, replace(file, failed_at=now))
    left = wait_s(file.failures) - max(0.0, now - file.failed_at)
    if file.failures and left > 0:
        sentence = f"After {file.failures} wrong tries the next one is possible in {left:.0f} s."
        raise VaultError("too_soon", sentence, _HINT, wait_s=left)


def count(folder: Path, file: KeyFile, now: float) -> VaultError:
    """Note one more, and say so."""
    failures = file.failures + 1
    keyfile.write(folder, replace(file, failures=failures, failed_at=now))
    wait = wait_s(failures)
    later = f" The next try is possible in {wait:.0f} s." if wait else ""
    return VaultError("wrong_passphrase", f"This is not the passphrase.{later}", _HINT, wait_s=wait)


def forget(folder: Path) -> None:
    """The right one was typed."""
    found = keyfile.read(folder)
    if found is not None and found.failures:
        keyfile.write(folder, replace(found, failures=0, failed_at=0.0))
