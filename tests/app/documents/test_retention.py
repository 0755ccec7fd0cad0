"""Retention of documents and batches: what is listed, what goes with it, what stays, and what lists are told."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from app.documents.batch_records import BatchState, NewBatch
from app.documents.pool import ReaderPool
from app.documents.service import DocumentsService
from app.events import AttachmentChanged, BatchChanged, BatchRemoved, ConversationDeleted, FilesAdded
from app.gate.label import Label
from app.lanes import StoreLane
from app.paths import Paths
from app.store import conversations, documents
from app.store.database import Connection
from app.vault.service import StoreService
from app.vault.telling import Telling
from app.vault.vault import Vault
from tests.app.documents.batch_kit import Heard, RegexExtractor, made_kit, made_shelf

pytestmark = pytest.mark.asyncio(loop_scope="module")

_AGE = (
    "UPDATE documents SET read_at = read_at - ?1",
    "UPDATE batches SET created_at = created_at - ?1",
    "UPDATE extractions SET at = at - ?1",
    "UPDATE conversations SET updated_at = updated_at - ?1",
)


class House:
    """A store with two slips of one batch; the first, confidential, is attached to a conversation and cited there."""

    def __init__(self, lane: StoreLane, papers: DocumentsService, store: StoreService, heard: Heard) -> None:
        self.lane, self.papers, self.store, self.heard = lane, papers, store, heard
        self.forgotten: list[str] = []
        self.batch_id = ""
        self.ids: list[str] = []

    async def forget(self, conversation_id: str) -> None:
        self.forgotten.append(conversation_id)

    async def count(self, table: str) -> int:
        return await self.lane.read(lambda c: int(c.execute(f"SELECT count(*) FROM {table}").fetchone()[0]))  # noqa: S608

    async def due(self) -> set[tuple[str, bool]]:
        return {(item.id, item.held) for item in (await self.store.retention()).due}


@pytest_asyncio.fixture(loop_scope="module")
async def house(lane: StoreLane, paths: Paths, tmp_path: Path) -> AsyncIterator[House]:
    folder = tmp_path / "slips"
    folder.mkdir()
    for number, shop in enumerate(("Corner Shop", "Marmalade Ltd")):
        (folder / f"slip{number}.txt").write_text(f"{shop}\nTotal: {number}.50\n")
    kit = made_kit(lane, ReaderPool(1), RegexExtractor())
    papers, heard = DocumentsService(kit, made_shelf(kit), _no_model), Heard(kit.bus)  # type: ignore[arg-type]
    vault = Vault(paths.database)
    vault.open()
    made = House(lane, papers, StoreService(vault, lane), heard)
    made.store.tell_gone = Telling(kit.bus, made.forget)
    await papers.start()
    batch = await papers.create(NewBatch((folder,), "slip"))
    await heard.until(lambda event: isinstance(event, BatchChanged) and event.batch.state is BatchState.DONE)
    made.batch_id = batch.id
    made.ids = [file.document_id or "" for file in await papers.files(batch.id)]
    await papers.set_document_label(made.ids[0], Label.CONFIDENTIAL)
    await lane.write(lambda connection: _talk(connection))
    await papers.attach_documents("talk", made.ids[:1])
    await papers.accept(next(file.id for file in await papers.files(batch.id)), "total")
    await lane.write(lambda connection: _age(connection, 100))
    heard.forget()
    yield made
    await made.store.close()
    await papers.close()


async def _no_model() -> None:
    raise AssertionError("nobody asks")


def _talk(connection: Connection) -> None:
    connection.execute(
        "INSERT INTO conversations (id, title, created_at, updated_at) VALUES ('talk', 'About a slip', 1, ?)",
        (time.time(),),
    )


def _age(connection: Connection, days: float) -> None:
    for statement in _AGE:
        connection.execute(statement, (days * 86_400.0,))


async def test_a_document_goes_with_all_that_was_made_of_it(house: House, paths: Paths) -> None:
    await house.store.keep_days(Label.CONFIDENTIAL, 90)
    assert await house.due() == set(), "somebody decided about it today"
    await house.lane.write(lambda c: c.execute("UPDATE reviews SET at = at - 100 * 86400.0"))
    assert await house.due() == {(house.ids[0], False)}
    done = await house.store.shred([house.ids[0], house.ids[1]])
    assert done.removed == 1
    for table, left in (("documents", 1), ("extractions", 1), ("reviews", 0), ("attachments", 0), ("batch_files", 1)):
        assert (table, await house.count(table)) == (table, left)
    assert await house.count("conversations") == 1
    told = [event for event in house.heard.events if isinstance(event, (AttachmentChanged, BatchChanged, FilesAdded))]
    assert {type(event) for event in told} == {AttachmentChanged, BatchChanged, FilesAdded}
    assert next(event for event in told if isinstance(event, BatchChanged)).batch.counts.done == 1
    assert await house.lane.read(lambda c: c.execute("SELECT id, kind, label FROM tombstones").fetchall()) == [
        (house.ids[0], "document", "confidential")
    ]
    assert b"slip0" not in paths.database.read_bytes(), "not even its name"
    assert b"slip1" in paths.database.read_bytes()


async def test_hold_of_a_conversation_holds_its_documents(house: House) -> None:
    await house.lane.write(lambda c: c.execute("UPDATE reviews SET at = at - 100 * 86400.0"))
    for label in (Label.CONFIDENTIAL, Label.INTERNAL):
        await house.store.keep_days(label, 90)
    everything = ("talk", house.batch_id, *house.ids)
    await house.store.hold(house.batch_id, True)
    assert {item for item in await house.due() if item[1]} == {(item, True) for item in everything if item != "talk"}
    await house.store.hold(house.batch_id, False)
    await house.store.hold("talk", True)
    assert {item for item in await house.due() if item[1]} == {("talk", True), (house.ids[0], True)}
    assert (await house.store.shred(everything)).removed == 2
    await house.lane.write(lambda c: (conversations.delete(c, "talk", 1.0), conversations.purge(c)))
    await house.lane.write(documents.purge_unused)
    assert (await house.count("conversations"), await house.count("documents")) == (1, 1), "whoever deletes it"
    await house.store.hold("talk", False)
    assert (await house.store.shred(everything)).removed == 2
    for table in ("documents", "passages", "attachments", "extractions", "batch_files", "batches", "conversations"):
        assert (table, await house.count(table)) == (table, 0)


async def test_what_only_a_removed_one_had_goes_too_and_lists_are_told(house: House) -> None:
    await house.store.keep_days(Label.INTERNAL, 90)
    await house.lane.write(lambda c: c.execute("UPDATE reviews SET at = at - 100 * 86400.0"))
    assert house.batch_id not in {item for item, _ in await house.due()}, "a confidential document is kept for ever"
    await house.papers.set_document_label(house.ids[0], Label.INTERNAL)
    assert (await house.store.shred([house.batch_id, "talk"])).removed == 2
    assert [await house.count(table) for table in ("batches", "conversations", "documents", "manifests")] == [0] * 4
    gone = {event.title: event.for_good for event in house.heard.events
            if isinstance(event, (BatchRemoved, ConversationDeleted))}  # fmt: skip
    assert gone == {"slips": True, "About a slip": True}
    assert house.forgotten == ["talk"]


async def test_a_watched_file_does_not_come_back_by_itself(house: House, tmp_path: Path) -> None:
    await house.papers.watch(house.batch_id, tmp_path / "slips")
    await house.lane.write(lambda c: c.execute("UPDATE reviews SET at = at - 100 * 86400.0"))
    await house.store.keep_days(Label.CONFIDENTIAL, 90)
    assert (await house.store.shred(house.ids)).removed == 1
    file = (await house.papers.files(house.batch_id))[0]
    assert (file.cause, file.document_id, file.doubtful_values, file.pages) == ("removed", None, 0, 0)
    assert await house.count("reviews") == 0
    assert await house.papers.retry(house.batch_id) == 0
