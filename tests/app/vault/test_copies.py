"""Copies and what retention removes: out of the store, out of our copies, and out of what is put back."""

from __future__ import annotations

import asyncio
import io
import json
import time
import zipfile
from contextlib import closing
from pathlib import Path

import pytest

from app.documents.records import DocumentKind, Reading
from app.gate.label import Label
from app.gate.ledger import Ledger
from app.gate.ledger_keys import ledger_keys
from app.gate.permit import Permit
from app.gate.records import LedgerCheck
from app.lanes import StoreLane
from app.store import database as store
from app.store import documents, passages
from app.vault import backup, changing, keyfile, retention
from app.vault.records import Lock
from app.vault.vault import Vault
from engine.errors import GatehouseError, StoreError, VaultError
from tests.app.vault.test_vault import PASSPHRASE, TEXT, fill, found_in, titles

DAY_S = 86_400.0


def add(database: Path, key: bytes | None, item_id: str, label: str, age_days: float, held: bool = False) -> None:
    with closing(store.open_writer(database, key)) as connection:
        at = time.time() - age_days * DAY_S
        connection.execute(
            "INSERT INTO conversations (id, title, created_at, updated_at, label, held) VALUES (?, ?, ?, ?, ?, ?)",
            (item_id, f"{TEXT} {item_id}", at, at, label, held),
        )
        connection.execute(
            "INSERT INTO messages (id, conversation_id, chosen, role, text, reasoning, status, created_at, error)"
            " VALUES (?, ?, 1, 'user', ?, '', 'complete', ?, '')",
            (f"m-{item_id}", item_id, f"word{item_id} and more", at),
        )


def remove_due(vault: Vault, *chosen: str) -> int:
    with closing(store.open_writer(vault.database, vault.page_key)) as connection:
        connection.execute("BEGIN")
        removed = retention.remove(connection, chosen, time.time()).count
        connection.execute("COMMIT")
    return removed


@pytest.fixture
def sealed(database: Path) -> Vault:
    vault = Vault(database)
    changing.set_passphrase(vault, PASSPHRASE)
    fill(database, vault.page_key)
    return vault


def test_copy_is_sealed_and_comes_back_on_another_machine(sealed: Vault, tmp_path: Path) -> None:
    copy = tmp_path / "copies" / "a.gatehouse"
    copy.parent.mkdir()
    with closing(store.open_writer(sealed.database, sealed.page_key)):  # the window stays open
        assert backup.back_up(sealed, copy) == copy.stat().st_size
    assert found_in(copy.parent, TEXT) == []
    assert [path.name for path in copy.parent.iterdir()] == ["a.gatehouse"]
    assert sealed.state().backed_up_at == pytest.approx(time.time(), abs=60)
    elsewhere = Vault(tmp_path / "other" / "gatehouse.db")
    elsewhere.folder.mkdir()
    with pytest.raises(VaultError) as caught:
        backup.restore(elsewhere, copy, "wrong")
    assert caught.value.code == "wrong_passphrase"
    assert list(elsewhere.folder.iterdir()) == []
    done = backup.restore(elsewhere, copy, PASSPHRASE)
    assert (done.conversations, done.kept_as) == (1, None)
    fresh = Vault(elsewhere.database)
    fresh.unlock(PASSPHRASE)
    assert titles(elsewhere.database, fresh.page_key) == [TEXT]
    assert fresh.lasting("ledger") == sealed.lasting("ledger")


def test_restoring_keeps_what_was_there(sealed: Vault, tmp_path: Path) -> None:
    copy = tmp_path / "a.gatehouse"
    backup.back_up(sealed, copy)
    changing.set_passphrase(sealed, "a later passphrase")
    fill(sealed.database, sealed.page_key, "written later")
    done = backup.restore(sealed, copy, PASSPHRASE)
    assert titles(sealed.database, sealed.page_key) == [TEXT]
    assert done.kept_as is not None
    undone = backup.restore(sealed, done.kept_as, "a later passphrase")
    assert undone.conversations == 2
    assert titles(sealed.database, sealed.page_key) == [TEXT, "written later"]


def test_plain_copy_of_a_plain_store(database: Path, tmp_path: Path) -> None:
    fill(database)
    vault = Vault(database)
    backup.back_up(vault, tmp_path / "a.gatehouse")
    fill(database, None, "later")
    backup.restore(vault, tmp_path / "a.gatehouse", None)
    assert (titles(database, None), vault.state().lock) == ([TEXT], Lock.PLAIN)


def test_a_copy_is_not_written_over_the_store(sealed: Vault) -> None:
    for own in (sealed.database, sealed.folder / keyfile.FILE_NAME):
        before = own.read_bytes()
        with pytest.raises(GatehouseError) as caught:
            backup.back_up(sealed, own)
        assert (caught.value.code, own.read_bytes()) == ("own_file", before)


def test_copy_of_a_keyring_store_opens_with_the_code_elsewhere(
    database: Path, keyring_file: Path, tmp_path: Path
) -> None:
    vault = Vault(database)
    fill(database, vault.open())
    code = changing.renew_recovery_code(vault)
    copy = tmp_path / "a.gatehouse"
    backup.back_up(vault, copy)
    keyring_file.write_text("{}")
    other = Vault(tmp_path / "other" / "gatehouse.db")
    other.folder.mkdir()
    with pytest.raises(VaultError, match="recovery code"):
        backup.restore(other, copy, None)
    backup.restore(other, copy, code)
    assert titles(other.database, Vault(other.database).open()) == [TEXT]


def _damaged(copy: Path, how: str) -> None:
    with zipfile.ZipFile(copy) as archive:
        pages, keys = archive.read("gatehouse.db"), archive.read("vault.json")
    if how == "a page":
        pages = pages[:8192] + b"\xff" * 4096 + pages[12288:]
    if how == "the key file":
        keys = json.dumps({"version": 99}).encode()
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("gatehouse.db", pages)
        archive.writestr("vault.json", keys)
    content = made.getvalue()
    copy.write_bytes({"cut": content[: len(content) // 2], "foreign": b"hello" * 100}.get(how, content))


@pytest.mark.parametrize("how", ["a page", "the key file", "cut", "foreign"])
def test_damaged_copy_changes_nothing(sealed: Vault, tmp_path: Path, how: str) -> None:
    copy = tmp_path / "a.gatehouse"
    backup.back_up(sealed, copy)
    fill(sealed.database, sealed.page_key, "later")
    _damaged(copy, how)
    with pytest.raises(VaultError, match="damaged") as caught:
        backup.restore(sealed, copy, PASSPHRASE)
    assert caught.value.code == "not_a_copy"
    assert titles(sealed.database, sealed.page_key) == [TEXT, "later"]


def test_a_copy_that_would_act_by_itself_is_refused(database: Path, tmp_path: Path) -> None:
    """A plain copy is sealed by nobody: whoever wrote to it could have shut no gate and opened all."""
    fill(database)
    vault = Vault(database)
    copy = tmp_path / "a.gatehouse"
    with closing(store.open_writer(database, None)) as connection:
        connection.execute(
            "CREATE TRIGGER helpful AFTER INSERT ON conversations BEGIN"
            " UPDATE conversations SET gate = 'open', label = 'public'; END"
        )
    backup.back_up(vault, copy)
    with closing(store.open_writer(database, None)) as connection:
        connection.execute("DROP TRIGGER helpful")
    with pytest.raises(VaultError, match="by itself") as caught:
        backup.restore(vault, copy, None)
    assert caught.value.code == "not_a_copy"


def _asked(vault: Vault, count: int) -> LedgerCheck:
    """Requests in the ledger of a store, and what verifying says afterwards."""

    async def run() -> LedgerCheck:
        lane = StoreLane(vault.database)
        lane.use_key(vault.open())
        await lane.open()
        ledger = Ledger(lane, lambda: ledger_keys(vault), vault.folder)
        for _ in range(count):
            await ledger.begin(Permit("hub", "https://hub.example", "cloud", "button"), "hub.example", 100, "")
        told = await ledger.verify()
        await asyncio.to_thread(lane.close)
        return told

    return asyncio.run(run())


def test_the_ledger_is_whole_after_restoring_elsewhere_and_older(sealed: Vault, tmp_path: Path) -> None:
    """Its head goes along. On a machine that asked something itself, that head gives way; a later one stays."""
    assert _asked(sealed, 2).intact
    copy = tmp_path / "a.gatehouse"
    backup.back_up(sealed, copy)
    other = Vault(tmp_path / "other" / "gatehouse.db")
    other.folder.mkdir()
    assert _asked(other, 1).intact
    backup.restore(other, copy, PASSPHRASE)
    told = _asked(other, 0)
    assert (told.intact, told.rows) == (True, 2), told.sentence
    assert _asked(other, 1).rows == 3, "and goes on"
    assert _asked(sealed, 1).intact
    backup.restore(sealed, copy, PASSPHRASE)
    told = _asked(sealed, 0)
    assert (told.intact, told.bad_seq) == (False, 3), "an older copy lacks a row, and the head knows it"


def test_newer_copy_is_refused(sealed: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "a.gatehouse"
    backup.back_up(sealed, copy)
    monkeypatch.setattr(backup, "SCHEMA_VERSION", 1)
    with pytest.raises(StoreError, match="newer Gatehouse"):
        backup.restore(sealed, copy, PASSPHRASE)


# retention


def test_looking_lists_what_is_due_and_removes_nothing(sealed: Vault) -> None:
    key = sealed.page_key
    for item_id, label, age, held in (
        ("old", "confidential", 91, False),
        ("young", "confidential", 89, False),
        ("held", "confidential", 400, True),
        ("other", "public", 400, False),
    ):
        add(sealed.database, key, item_id, label, age, held)
    with closing(store.open_writer(sealed.database, key)) as connection:
        retention.set_rule(connection, Label.CONFIDENTIAL, 90)
        found = retention.look(connection, time.time())
        connection.execute("INSERT INTO places (id, name, label, created_at) VALUES ('p', 'Case', 'confidential', 1)")
        connection.execute("UPDATE conversations SET place_id = 'p' WHERE id = 'other'")
        inherited = retention.look(connection, time.time())
    assert [(item.id, item.age_days, item.held) for item in found.due] == [("held", 400, True), ("old", 91, False)]
    assert {item.id for item in inherited.due} == {"held", "old", "other"}
    assert len(titles(sealed.database, key)) == 5
    assert remove_due(sealed, "held", "young", "other-that-is-not") == 0


def test_shredded_is_gone_everywhere_we_can_reach(sealed: Vault, tmp_path: Path) -> None:
    add(sealed.database, sealed.page_key, "going", "restricted", 10)
    (sealed.folder / "backups").mkdir()
    copy = tmp_path / "mine.gatehouse"
    backup.back_up(sealed, copy)
    backup.back_up(sealed, sealed.folder / "backups" / "schema-001-x.db")
    before, old_key = sealed.database.read_bytes(), sealed.page_key
    with closing(store.open_writer(sealed.database, sealed.page_key)) as connection:
        retention.set_rule(connection, Label.RESTRICTED, 9)
    assert remove_due(sealed, "going") == 1
    done = retention.shred_remains(sealed, 1)
    assert (done.sealed, done.copies_removed) == (True, 1)
    assert sealed.page_key != old_key
    assert before[:4096] != sealed.database.read_bytes()[:4096]
    with closing(store.open_writer(sealed.database, sealed.page_key)) as connection:
        words = "SELECT count(*) FROM messages_text WHERE messages_text MATCH 'wordgoing'"
        assert connection.execute(words).fetchone() == (0,)
        assert connection.execute("SELECT id, kind, label FROM tombstones").fetchall() == [
            ("going", "conversation", "restricted")
        ]
    done_again = backup.restore(sealed, copy, PASSPHRASE)  # the person's own copy still held it
    assert done_again.removed_again == 1
    assert titles(sealed.database, sealed.page_key) == [TEXT]


def test_a_copy_put_back_is_cleaned_of_documents_too(sealed: Vault, tmp_path: Path) -> None:
    text = "the heron stands in the lagoon"
    reading = Reading(DocumentKind.TEXT, "ab" * 32, text, ())
    with closing(store.open_writer(sealed.database, sealed.page_key)) as connection:
        known = documents.keep(
            connection, reading, Path("/papers/heron.txt"), Label.RESTRICTED, time.time() - 10 * DAY_S
        )
        connection.execute(
            "INSERT INTO batches (id, title, schema_name, schema_version, schema, state, position, created_at)"
            " VALUES ('b', 'papers', 's', 1, '{}', 'done', 0, 1)"
        )
        connection.execute(
            "INSERT INTO batch_files (id, batch_id, path, state, position, size_bytes, document_id)"
            " VALUES ('f', 'b', '/papers/heron.txt', 'done', 0, 30, ?)",
            (known.id,),
        )
        passages.replace(connection, known.id, [(1, 0, len(text), text)])
        retention.set_rule(connection, Label.RESTRICTED, 9)
    copy = tmp_path / "mine.gatehouse"
    backup.back_up(sealed, copy)
    assert remove_due(sealed, known.id) == 1
    retention.shred_remains(sealed, 1)
    assert backup.restore(sealed, copy, PASSPHRASE).removed_again == 1
    with closing(store.open_writer(sealed.database, sealed.page_key)) as connection:
        for table in ("documents", "passages", "batch_files", "batches"):
            assert (table, *connection.execute(f"SELECT count(*) FROM {table}").fetchone()) == (table, 0)  # noqa: S608
        found = connection.execute("SELECT count(*) FROM passages_text WHERE passages_text MATCH 'heron'")
        assert found.fetchone() == (0,)


def test_plain_store_forgets_the_words_too(database: Path) -> None:
    add(database, None, "going", "public", 10)
    vault = Vault(database)
    with closing(store.open_writer(database)) as connection:
        retention.set_rule(connection, Label.PUBLIC, 9)
    assert found_in(database.parent, "wordgoing") == ["gatehouse.db"]
    assert remove_due(vault, "going") == 1
    assert not retention.shred_remains(vault, 1).sealed
    assert found_in(database.parent, "wordgoing") == []
