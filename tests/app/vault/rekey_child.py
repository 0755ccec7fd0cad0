"""Opens the store in argv[1] and gives it a new key again and again, a line after each, until somebody kills it."""

from __future__ import annotations

import sys
from pathlib import Path

from app.vault import changing, wrapping
from app.vault.vault import Vault

wrapping.MEMORY_KIB, wrapping.PASSES = 64, 1  # type: ignore[misc]
vault = Vault(Path(sys.argv[1]))
vault.unlock(sys.argv[2])
sys.stdout.write("open\n")
sys.stdout.flush()
while True:
    changing.rotate(vault)
    sys.stdout.write("rotated\n")
    sys.stdout.flush()
