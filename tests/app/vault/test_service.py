"""Locking beside work: what runs goes on, then the store is closed; unlocking brings everything back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from app.bootstrap import _open_store, build
from app.events import ConversationDeleted
from app.gate.label import Label
from app.lanes import StoreLane
from app.paths import Paths
from app.vault import changing
from app.vault import service as service_module
from app.vault.records import Lock
from app.vault.service import StoreService
from app.vault.vault import Vault
from engine.errors import StoreError, VaultError
from tests.app.vault.test_vault import PASSPHRASE, fill


class Busy:
    """Whether an answer is being written."""

    now = False

    def __call__(self) -> bool:
        return self.now


@pytest.fixture
def busy() -> Busy:
    return Busy()


@pytest_asyncio.fixture
async def store(database: Path, busy: Busy, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[StoreService]:
    monkeypatch.setattr(service_module, "_QUIET_S", 0.0)
    monkeypatch.setattr(service_module, "_LOOK_S", 0.01)
    vault, lane = Vault(database), StoreLane(database)
    lane.use_key(vault.open())
    await lane.open()
    made = StoreService(vault, lane)
    made.is_busy = busy
    yield made
    await made.close()
    await asyncio.to_thread(lane.close)


async def closed(store: StoreService) -> None:
    """Wait until the lock has closed the store."""
    assert store._closing is not None
    await asyncio.wait_for(asyncio.shield(store._closing), 10)


async def test_without_a_passphrase_there_is_no_lock(store: StoreService) -> None:
    with pytest.raises(VaultError, match="no passphrase"):
        await store.lock()
    assert not store.locked()


async def test_a_lock_tells_whoever_holds_texts_at_once(store: StoreService, busy: Busy) -> None:
    """Also while an answer keeps the store open."""
    forgotten: list[str] = []
    store.at_lock(lambda: forgotten.append("sheets"))
    with pytest.raises(VaultError):
        await store.lock()
    assert not forgotten
    await store.set_passphrase(PASSPHRASE)
    busy.now = True
    await store.lock()
    assert forgotten == ["sheets"]
    await store.unlock(PASSPHRASE)


async def test_work_waits_while_the_key_changes(store: StoreService) -> None:
    lane = store._lane
    changing = asyncio.create_task(store.set_passphrase(PASSPHRASE))
    writes = [
        asyncio.create_task(
            lane.write(lambda c, n=number: c.execute("INSERT INTO facts VALUES (?, '')", (f"n{n}",)) and None)
        )
        for number in range(20)
    ]
    await changing
    await asyncio.gather(*writes)
    count = await lane.read(lambda c: c.execute("SELECT count(*) FROM facts WHERE name LIKE 'n%'").fetchone())
    assert count == (20,)
    assert (await store.state()).lock is Lock.PASSPHRASE


async def test_locking_lets_an_answer_end_then_forgets_the_key(store: StoreService, busy: Busy) -> None:
    await store.set_passphrase(PASSPHRASE)
    lane, vault = store._lane, store._vault
    busy.now = True
    await store.lock()
    assert store.locked()
    await lane.write(lambda c: c.execute("REPLACE INTO facts VALUES ('answer', 'its end')") and None)
    assert vault.page_key is not None
    busy.now = False
    await closed(store)
    assert lane.suspended
    assert vault.page_key is None
    with pytest.raises(VaultError) as caught:
        await store.unlock("wrong passphrase")
    assert caught.value.code == "wrong_passphrase"
    assert store.locked()
    await store.unlock(PASSPHRASE)
    assert not store.locked()
    found = await lane.read(lambda c: c.execute("SELECT value FROM facts WHERE name = 'answer'").fetchone())
    assert found == ("its end",)


async def test_unlocking_before_the_store_was_closed(store: StoreService, busy: Busy) -> None:
    await store.set_passphrase(PASSPHRASE)
    busy.now = True
    await store.lock()
    await store.unlock(PASSPHRASE)
    assert not store.locked()
    assert not store._lane.suspended


async def test_failed_change_opens_the_store_again(store: StoreService) -> None:
    with pytest.raises(VaultError, match="at least 8"):
        await store.set_passphrase("short")
    with pytest.raises(VaultError, match="not encrypted"):
        await store.rotate()
    assert await store._lane.read(lambda c: c.execute("SELECT 1").fetchone()) == (1,)


async def test_full_disk_at_unlocking_says_so_and_stays_locked(
    store: StoreService, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.set_passphrase(PASSPHRASE)
    await store.lock()
    await closed(store)

    def full(*_: object) -> None:
        raise StoreError("disk_full", "The disk is full.")

    monkeypatch.setattr("app.lanes.database.open_writer", full)
    with pytest.raises(StoreError, match="full"):
        await store.unlock(PASSPHRASE)
    assert store.locked()
    monkeypatch.undo()
    await store.unlock(PASSPHRASE)
    assert not store.locked()


@pytest.fixture
def damaged(database: Path) -> Vault:
    vault = Vault(database)
    changing.set_passphrase(vault, PASSPHRASE)
    fill(database, vault.page_key)
    database.write_bytes(b"\xff" * database.stat().st_size)
    return vault


async def test_damage_of_a_store_with_a_passphrase_is_called_damage(damaged: Vault) -> None:
    lane = StoreLane(damaged.database)
    try:
        with pytest.raises(StoreError) as caught:
            await _open_store(lane, damaged)
        assert caught.value.code == "store_damaged"
    finally:
        await asyncio.to_thread(lane.close)


async def test_the_product_tells_the_window_what_is_gone(paths: Paths) -> None:
    """As wired: a conversation that its label no longer keeps leaves the list by itself."""
    product = await asyncio.to_thread(build, paths, exclusive=True)
    gone: list[ConversationDeleted] = []
    product.services.bus.subscribe(lambda event: gone.append(event) if isinstance(event, ConversationDeleted) else None)

    async def work() -> int:
        created = await product.services.chat.create()
        await product._lane.write(lambda c: c.execute("UPDATE conversations SET updated_at = 1"))
        await product.services.store.keep_days(Label.INTERNAL, 30)
        return (await product.services.store.shred([created.id])).removed

    try:
        assert await asyncio.to_thread(product.run, work()) == 1
    finally:
        await asyncio.to_thread(product.close)
    assert [event.for_good for event in gone] == [True]
