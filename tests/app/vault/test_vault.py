"""What opens the store: keyring, passphrase, recovery code, nothing. And what never does, and what is never written."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.gate.ledger_keys import ledger_keys
from app.store import database as store
from app.vault import changing, keyfile, wrapping
from app.vault.records import Lock
from app.vault.tries import wait_s
from app.vault.vault import Vault
from engine.errors import StoreError, VaultError
from tests.app.vault.conftest import use_keyring
from tests.app.vault.file_keyring import PlainFileKeyring

PASSPHRASE = "correct horse battery"
TEXT = "the marmalade is behind the clock"


@dataclass
class Clock:
    """Seconds that pass when a test says so."""

    now: float

    def __call__(self) -> float:
        return self.now


def fill(database: Path, key: bytes | None = None, title: str = TEXT) -> None:
    with closing(store.open_writer(database, key)) as connection:
        connection.execute(
            "INSERT INTO conversations (id, title, created_at, updated_at) VALUES (hex(randomblob(8)), ?, 1, 1)",
            (title,),
        )


def titles(database: Path, key: bytes | None) -> list[str]:
    with closing(store.open_writer(database, key)) as connection:
        return [row[0] for row in connection.execute("SELECT title FROM conversations ORDER BY seq")]


def found_in(folder: Path, *needles: str) -> list[str]:
    """The files of a folder that hold one of the strings, as text or as raw bytes of its hex."""
    wanted = [needle.encode() for needle in needles]
    wanted += [bytes.fromhex(needle) for needle in needles if len(needle) == 64]
    return [
        path.name
        for path in folder.rglob("*")
        if path.is_file() and any(needle in path.read_bytes() for needle in wanted)
    ]


def test_without_keyring_and_passphrase_the_store_is_plain_and_says_so(database: Path) -> None:
    vault = Vault(database)
    assert vault.open() is None
    fill(database)
    state = vault.state()
    assert (state.lock, state.locked, store.is_sealed(database)) == (Lock.PLAIN, False, False)
    assert "keyring" in state.reason
    assert "passphrase" in state.next_step
    assert (vault.derive("x"), vault.lasting("x")) == (None, None)
    assert sorted(path.name for path in database.parent.iterdir()) == ["gatehouse.db", "gatehouse.db-setup"]


def test_first_start_with_a_keyring_seals_and_later_ones_find_the_key(database: Path, keyring_file: Path) -> None:
    key = Vault(database).open()
    assert key is not None
    fill(database, key)
    again = Vault(database)
    assert again.open() == key
    assert titles(database, key) == [TEXT]
    assert found_in(database.parent, TEXT, key.hex()) == []
    assert key.hex() in keyring_file.read_text()
    assert again.state().lock is Lock.KEYRING


def test_plain_store_is_moved_over_without_loss(database: Path, keyring_file: Path) -> None:
    fill(database)
    key = Vault(database).open()
    assert titles(database, key) == [TEXT]
    assert found_in(database.parent, TEXT) == []
    with closing(store.open_writer(database, key)) as connection:
        words = "SELECT count(*) FROM conversations_text WHERE conversations_text MATCH 'marmalade'"
        assert connection.execute(words).fetchone() == (1,)


def test_store_that_is_open_elsewhere_stays_plain_for_now(database: Path, keyring_file: Path) -> None:
    fill(database)
    with closing(store.open_writer(database)):
        vault = Vault(database)
        vault_key = vault.open()
    assert vault_key is None
    assert "Another program" in vault.state().reason
    assert titles(database, None) == [TEXT]
    assert "store-" not in keyring_file.read_text()
    assert Vault(database).open() is not None


def test_locked_keyring_is_said_and_nothing_is_lost(database: Path, keyring_file: Path) -> None:
    key = Vault(database).open()
    fill(database, key)
    kept = keyring_file.read_text()
    keyring_file.write_text("locked")
    with pytest.raises(VaultError) as caught:
        Vault(database).open()
    assert (caught.value.code, bool(caught.value.hint)) == ("keyring_locked", True)
    keyring_file.write_text(kept)
    assert Vault(database).open() == key


def test_keyring_that_lost_the_key_is_mended_by_the_recovery_code(database: Path, keyring_file: Path) -> None:
    vault = Vault(database)
    fill(database, vault.open())
    code = changing.renew_recovery_code(vault)
    keyring_file.write_text("{}")
    lost = Vault(database)
    with pytest.raises(VaultError, match="recovery code") as caught:
        lost.open()
    assert caught.value.code == "key_missing"
    lost.unlock(code.lower().replace("-", " "))
    assert titles(database, lost.page_key) == [TEXT]
    assert Vault(database).open() == lost.page_key


def test_keyring_that_writes_plain_files_is_none(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_keyring(monkeypatch, database.with_name("k.json"), PlainFileKeyring)
    vault = Vault(database)
    assert vault.open() is None
    assert vault.state().keyring is False
    assert not database.with_name("k.json").exists()


def test_passphrase_opens_and_nothing_else_does(database: Path) -> None:
    fill(database)
    vault = Vault(database)
    vault.open()
    code = changing.set_passphrase(vault, PASSPHRASE)
    assert titles(database, vault.page_key) == [TEXT]
    later = Vault(database)
    assert later.needs_passphrase()
    with pytest.raises(VaultError, match="locked"):
        later.open()
    for wrong in ("Correct horse battery", "", code[:-1]):
        with pytest.raises(VaultError) as caught:
            Vault(database).unlock(wrong)
        assert caught.value.code == "wrong_passphrase"
    later = Vault(database, clock=lambda: 4e9)
    later.unlock(PASSPHRASE)
    assert titles(database, later.open()) == [TEXT]
    by_code = Vault(database)
    by_code.unlock(code)
    assert by_code.page_key == later.page_key
    assert vault.page_key is not None
    assert found_in(database.parent, TEXT, PASSPHRASE, code, vault.page_key.hex()) == []


def test_passphrase_takes_the_key_out_of_the_keyring(database: Path, keyring_file: Path) -> None:
    vault = Vault(database)
    fill(database, vault.open())
    first = vault.page_key
    changing.set_passphrase(vault, PASSPHRASE)
    assert json.loads(keyring_file.read_text()) == {}
    assert vault.page_key != first
    assert changing.remove_passphrase(vault) is Lock.KEYRING
    assert titles(database, Vault(database).open()) == [TEXT]


def test_passphrase_removed_without_a_keyring_leaves_a_plain_store(database: Path) -> None:
    vault = Vault(database)
    changing.set_passphrase(vault, PASSPHRASE)
    fill(database, vault.page_key)
    ledger_key = vault.lasting("ledger")
    assert changing.remove_passphrase(vault) is Lock.PLAIN
    assert titles(database, Vault(database).open()) == [TEXT]
    assert ledger_key in ledger_keys(vault)  # rows from before can still be checked


def test_changed_passphrase_and_code_replace_the_old_ones(database: Path) -> None:
    vault = Vault(database)
    first_code = changing.set_passphrase(vault, PASSPHRASE)
    lasting, derived = vault.lasting("ledger"), vault.derive("kept states")
    changing.set_passphrase(vault, "another one altogether")
    assert vault.lasting("ledger") == lasting
    assert vault.derive("kept states") != derived
    for old in (PASSPHRASE, first_code):
        with pytest.raises(VaultError):
            Vault(database).unlock(old)
    Vault(database, clock=lambda: 4e9).unlock("another one altogether")


def test_rotation_changes_the_key_alone(database: Path) -> None:
    vault = Vault(database)
    code = changing.set_passphrase(vault, PASSPHRASE)
    fill(database, vault.page_key)
    before, old_file = vault.page_key, database.read_bytes()
    changing.rotate(vault)
    assert vault.page_key != before
    with pytest.raises(StoreError, match="damaged"):
        store.open_writer(database, before)
    for typed in (PASSPHRASE, code):
        opened = Vault(database)
        opened.unlock(typed)
        assert titles(database, opened.page_key) == [TEXT]
    assert database.read_bytes()[:16] != old_file[:16]


@pytest.mark.parametrize("short", ["", "seven77", " " * 12])
def test_weak_passphrase_changes_nothing(database: Path, short: str) -> None:
    fill(database)
    vault = Vault(database)
    with pytest.raises(VaultError, match="at least 8") as caught:
        changing.set_passphrase(vault, short)
    assert caught.value.code == "weak_passphrase"
    assert titles(database, None) == [TEXT]


def test_wrong_tries_slow_down_also_over_restarts(database: Path) -> None:
    clock = Clock(1000.0)
    code = changing.set_passphrase(Vault(database), PASSPHRASE)
    waits = []
    for _ in range(6):
        with pytest.raises(VaultError, match="not the passphrase") as caught:
            Vault(database, clock=clock).unlock("wrong")
        waits.append(caught.value.wait_s)
        clock.now += caught.value.wait_s
    assert waits == [0, 0, 1, 2, 4, 8]
    clock.now -= 3
    with pytest.raises(VaultError, match="possible in 3 s") as caught:
        Vault(database, clock=clock).unlock(PASSPHRASE)
    assert (caught.value.code, caught.value.wait_s) == ("too_soon", 3)
    clock.now = 5.0  # it was set back: one wait, not for ever
    with pytest.raises(VaultError, match="possible in 8 s"):
        Vault(database, clock=clock).unlock(PASSPHRASE)
    clock.now += 8
    Vault(database, clock=clock).unlock(code)
    file = keyfile.read(database.parent)
    assert file is not None
    assert file.failures == 0
    assert wait_s(1000) == 300


def test_damaged_key_file_is_a_sentence(database: Path) -> None:
    changing.set_passphrase(Vault(database), PASSPHRASE)
    path = database.parent / keyfile.FILE_NAME
    content = json.loads(path.read_text())
    content["current"]["slots"][0]["memory_kib"] = 1 << 40
    for text in ("", "[]", "{}", json.dumps(content)):
        path.write_text(text)
        with pytest.raises(VaultError) as caught:
            Vault(database).needs_passphrase()
        assert (caught.value.code, bool(caught.value.hint)) == ("vault_damaged", True)


def test_missing_key_file_is_not_called_damage(database: Path) -> None:
    vault = Vault(database)
    changing.set_passphrase(vault, PASSPHRASE)
    fill(database, vault.page_key)
    (database.parent / keyfile.FILE_NAME).unlink()
    with pytest.raises(VaultError, match=r"vault\.json") as caught:
        Vault(database).open()
    assert caught.value.code == "key_missing"


def test_key_file_of_earlier_versions_goes(database: Path) -> None:
    database.parent.mkdir()
    (database.parent / "store.key").write_text("ab" * 32)
    (database.parent / "kept").mkdir()
    (database.parent / "kept" / "x.kept").write_bytes(b"x")
    Vault(database).open()
    assert [path.name for path in database.parent.rglob("*")] == ["kept"]


# secrets by name


def test_provider_keys_lie_in_the_keyring(database: Path, keyring_file: Path) -> None:
    vault = Vault(database)
    assert vault.put_secret("provider-1", "sk-very-secret") == "keyring"
    assert Vault(database).get_secret("provider-1") == "sk-very-secret"
    assert not database.parent.exists() or found_in(database.parent, "sk-very-secret") == []
    vault.delete_secret("provider-1")
    assert vault.get_secret("provider-1") is None


def test_without_a_keyring_they_need_a_passphrase(database: Path) -> None:
    vault = Vault(database)
    with pytest.raises(VaultError, match="passphrase") as caught:
        vault.put_secret("provider-1", "sk-very-secret")
    assert caught.value.code == "no_place"
    changing.set_passphrase(vault, PASSPHRASE)
    assert vault.put_secret("provider-1", "sk-very-secret") == "sealed file"
    changing.rotate(vault)
    assert vault.get_secret("provider-1") == "sk-very-secret"
    assert found_in(database.parent, "sk-very-secret") == []
    locked = Vault(database)
    with pytest.raises(VaultError, match="locked"):
        locked.get_secret("provider-1")
    with pytest.raises(VaultError, match="locked"):
        locked.put_secret("provider-2", "sk")
    with pytest.raises(VaultError, match="providers"):
        changing.remove_passphrase(vault)
    vault.delete_secret("provider-1")
    assert vault.get_secret("provider-1") is None


# small parts


def test_recovery_codes_forgive_handwriting_and_find_slips() -> None:
    code = wrapping.make_recovery_code()
    assert wrapping.read_recovery_code(f"  {code.lower()} ".replace("0", "o").replace("1", "l")) == code
    for place, letter in enumerate(code):
        if letter != "-":
            other = "A" if letter != "A" else "B"
            assert wrapping.read_recovery_code(code[:place] + other + code[place + 1 :]) is None
    assert wrapping.read_recovery_code("correct horse battery") is None


def test_hkdf_is_the_standard_one() -> None:
    """RFC 5869, test case 1."""
    from app.vault.derive import hkdf

    made = hkdf(b"\x0b" * 22, bytes(range(13)), bytes(range(0xF0, 0xFA)), 42)
    assert made.hex() == ("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865")
