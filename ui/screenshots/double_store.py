"""A store for the scenes: sealed with a passphrase, copied a while ago. Keeps what it is told, writes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from app.gate.label import Label
from app.vault.records import Due, Lock, Retention, Shredded, VaultState
from engine.errors import VaultError

PASSPHRASE = "correct horse battery"
CODE = "7KQM-2D9X-HTR4-0WZB-93VN-EFAG-5CJ8"
SEALED = VaultState(
    Lock.PASSPHRASE,
    locked=False,
    has_recovery_code=True,
    keyring=True,
    key_id="9f2c51d07ab3e846",
    size_bytes=48_300_000,
    backed_up_at=1_761_830_000.0,
)
PLAIN = VaultState(
    Lock.PLAIN,
    locked=False,
    has_recovery_code=False,
    keyring=False,
    reason="No keyring service runs here, and nobody has chosen a passphrase.",
    next_step="Choose a passphrase in Set-up, or with `gatehouse store passphrase`.",
    size_bytes=48_300_000,
)

DUE = (
    Due("d7", "document", "/home/ada/Cases/Keller lease 2019.pdf", Label.CONFIDENTIAL, 1_740_000_000.0, 244, False),
    Due("c12", "conversation", "Choosing a bicycle helmet", Label.INTERNAL, 1_722_000_000.0, 452, False),
    Due("b4", "batch", "Receipts, spring", Label.CONFIDENTIAL, 1_745_000_000.0, 186, True),
    Due("d9", "document", "/home/ada/Cases/lab report.pdf", Label.RESTRICTED, 1_755_000_000.0, 71, False),
)
"""As an old store might have it."""


class DoubleStore:
    """Stands for ``app.services.StoreApi``."""

    def __init__(self, state: VaultState = SEALED) -> None:
        self.shown = state
        self.fault: VaultError | None = None
        """What the next ``unlock`` raises."""
        self.calls: list[str] = []
        self.keep: dict[Label, int | None] = dict.fromkeys(Label)
        self.due: tuple[Due, ...] = DUE
        """What goes by the rules, once its label has one."""
        self.tombstones = 0

    async def state(self) -> VaultState:
        return self.shown

    def locked(self) -> bool:
        return self.shown.locked

    async def lock(self) -> None:
        if self.shown.lock is not Lock.PASSPHRASE:
            raise VaultError("no_passphrase", "There is no passphrase to unlock the store with.", "Choose one first.")
        self.calls.append("lock")
        self.shown = replace(self.shown, locked=True)

    async def unlock(self, typed: str) -> None:
        if self.fault is not None:
            raise self.fault
        if typed != PASSPHRASE:
            raise VaultError("wrong_passphrase", "This is not the passphrase.", "Nothing is lost.", wait_s=0.0)
        self.calls.append("unlock")
        self.shown = replace(self.shown, locked=False)

    async def set_passphrase(self, passphrase: str) -> str:
        if len(passphrase) < 8:
            raise VaultError("weak_passphrase", "A passphrase needs at least 8 letters.")
        self.calls.append("set_passphrase")
        self.shown = replace(SEALED, keyring=self.shown.keyring)
        return CODE

    async def remove_passphrase(self) -> Lock:
        self.calls.append("remove_passphrase")
        self.shown = PLAIN
        return Lock.PLAIN

    async def renew_recovery_code(self) -> str:
        self.calls.append("renew_recovery_code")
        return CODE

    async def rotate(self) -> None:
        self.calls.append("rotate")

    async def back_up(self, path: Path) -> int:
        self.calls.append(f"back_up {path.name}")
        return self.shown.size_bytes

    async def retention(self) -> Retention:
        due = tuple(item for item in self.due if self.keep[item.label] is not None)
        return Retention(dict(self.keep), due, self.tombstones)

    async def keep_days(self, label: Label, days: int | None) -> None:
        self.calls.append(f"keep_days {label} {days}")
        self.keep[label] = days

    async def hold(self, item_id: str, held: bool) -> None:
        self.calls.append(f"hold {item_id} {held}")
        self.due = tuple(replace(item, held=held) if item.id == item_id else item for item in self.due)

    async def shred(self, ids: Sequence[str]) -> Shredded:
        self.calls.append(f"shred {' '.join(ids)}")
        self.due = tuple(item for item in self.due if item.id not in ids)
        self.tombstones += len(ids)
        return Shredded(len(ids), True, 0)
