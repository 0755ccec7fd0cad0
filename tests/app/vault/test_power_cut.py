"""A process that dies while the store gets another key: the old or the new key opens it, and nothing is missing."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from app.store import database as store
from app.vault import changing, keyfile, moving
from app.vault.vault import Vault
from engine.errors import StoreError
from tests.app.vault.test_vault import PASSPHRASE, TEXT, fill, titles

ROUNDS = 6
ROWS = 1_500


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="kills by signal")
def test_killed_at_any_moment_the_old_or_the_new_key_opens(database: Path) -> None:
    vault = Vault(database)
    changing.set_passphrase(vault, PASSPHRASE)
    with closing(store.open_writer(database, vault.page_key)) as connection:
        connection.execute("BEGIN")
        connection.executemany(
            "INSERT INTO conversations (id, title, created_at, updated_at) VALUES (?, ?, 1, 1)",
            ((f"c{number}", f"{TEXT} {number}") for number in range(ROWS)),
        )
        connection.execute("COMMIT")
    first_key = vault.page_key
    in_the_middle = 0
    moments = random.Random(7)
    command = [sys.executable, "-m", "tests.app.vault.rekey_child", str(database), PASSPHRASE]
    for number in range(ROUNDS):
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[3]) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == b"open\n"
            started = time.monotonic()
            for _ in range(1 + number % 2):
                assert child.stdout.readline() == b"rotated\n"
            rotation_s = (time.monotonic() - started) / (1 + number % 2)
            try:
                child.wait(moments.uniform(0.0, rotation_s))  # a moment somewhere in the next one
            except subprocess.TimeoutExpired:
                os.kill(child.pid, signal.SIGKILL)
            assert child.wait(30) == -signal.SIGKILL
        file = keyfile.read(database.parent)
        assert file is not None
        in_the_middle += file.next is not None
        survivor = Vault(database)
        survivor.unlock(PASSPHRASE)
        with closing(store.open_writer(database, survivor.page_key)) as connection:
            assert connection.execute("SELECT count(*) FROM conversations").fetchone() == (ROWS,)
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        settled = keyfile.read(database.parent)
        assert settled is not None
        assert settled.next is None
        assert not database.with_name(database.name + "-next").exists()
        assert survivor.page_key != first_key
    assert in_the_middle > 0, "no kill fell into a rotation"


@pytest.mark.parametrize("moment", ["before the swap", "after the swap"])
@pytest.mark.parametrize("target", ["sealed", "plain"])
def test_both_sides_of_the_swap(database: Path, moment: str, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The two states that a power cut can leave, each made on purpose."""
    vault = Vault(database)
    vault.open()
    fill(database)
    if target == "plain":
        changing.set_passphrase(vault, PASSPHRASE)
    real = moving.reseal

    def cut(path: Path, old: bytes | None, new: bytes | None) -> None:
        if moment == "after the swap":
            real(path, old, new)
        raise KeyboardInterrupt  # nothing tidies up after it, as after a power cut

    monkeypatch.setattr(moving, "reseal", cut)
    with pytest.raises(KeyboardInterrupt):
        changing.set_passphrase(vault, PASSPHRASE) if target == "sealed" else changing.remove_passphrase(vault)
    monkeypatch.undo()
    after = Vault(database)
    if after.needs_passphrase():
        after.unlock(PASSPHRASE)
    assert titles(database, after.open()) == [TEXT]


def test_full_disk_leaves_the_old_store(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vault = Vault(database)
    vault.open()
    fill(database)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(moving, "copy_into", full)
    with pytest.raises(StoreError) as caught:
        changing.set_passphrase(vault, PASSPHRASE)
    assert caught.value.code == "disk_full"
    assert titles(database, Vault(database).open()) == [TEXT]


def test_two_processes_rotate_and_write_without_loss(database: Path) -> None:
    """A rotation beside a writer is refused; what the writer wrote is there."""
    vault = Vault(database)
    changing.set_passphrase(vault, PASSPHRASE)
    fill(database, vault.page_key)
    with closing(store.open_writer(database, vault.page_key)) as writer:
        started = time.monotonic()
        other = Vault(database)
        other.unlock(PASSPHRASE)
        with pytest.raises(StoreError, match="Another program") as caught:
            changing.rotate(other)
        assert caught.value.code == "store_busy"
        assert time.monotonic() - started < 30
        writer.execute("UPDATE conversations SET title = 'later'")
    assert titles(database, other.page_key) == ["later"]
