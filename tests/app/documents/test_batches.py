"""Batches over a real store and real readers: order, rest, trouble of one file, and what a dead process left."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio

from app.documents.announcing import Announcer
from app.documents.batch_records import Batch, BatchFile, BatchState, FileState, NewBatch
from app.documents.batches import Batches
from app.documents.kit import CannotGoOn
from app.documents.pool import ReaderPool
from app.documents.records import Reading
from app.events import BatchChanged, Event, FileChanged, LoadedModelChanged
from app.gate.label import Label
from app.lanes import StoreLane
from app.models.records import LoadedModel
from app.store import batches as rows
from app.store import documents, extractions
from app.store.database import Connection
from engine.errors import GatehouseError, StoreError
from tests.app.documents.batch_kit import Heard, RegexExtractor, made_kit, made_shelf
from tests.app.documents.made_files import PdfPage, pdf

pytestmark = pytest.mark.asyncio(loop_scope="module")


class House:
    """The service and what steers it."""

    def __init__(self, lane: StoreLane, pool: ReaderPool) -> None:
        self.extractor = RegexExtractor()
        self.kit = made_kit(lane, pool, self.extractor)
        self.heard = Heard(self.kit.bus)
        self.announcer = Announcer(lane, self.kit.bus)
        self.batches = Batches(self.kit, made_shelf(self.kit), self.announcer)

    async def ended(self, batch: Batch, state: BatchState = BatchState.DONE) -> dict[str, BatchFile]:
        """Wait for a batch's end; its files by name."""
        await self.heard.until(
            lambda event: isinstance(event, BatchChanged) and event.batch.id == batch.id and event.batch.state is state
        )
        return {file.name: file for file in await self.batches.files(batch.id)}


@asynccontextmanager
async def open_house(lane: StoreLane, pool: ReaderPool) -> AsyncIterator[House]:
    house = House(lane, pool)
    await house.batches.start()
    try:
        yield house
    finally:
        await house.batches.close()
        await house.announcer.close()


@pytest_asyncio.fixture(loop_scope="module")
async def own_pool() -> AsyncIterator[ReaderPool]:
    """For tests that break readings off, which ends readers."""
    readers = ReaderPool(1)
    yield readers
    await readers.close()
    await asyncio.sleep(0)


def _slips(folder: Path, count: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        (folder / f"slip {number}.txt").write_text(f"Shop {number}\nThree pears\nTotal: {number}.50\n")
    return folder


def _watch_fails(words: str) -> object:
    return lambda event: isinstance(event, BatchChanged) and words in event.batch.watch_fault


def _is(file_name: str, state: FileState) -> object:
    def wanted(event: Event) -> bool:
        return isinstance(event, FileChanged) and event.file.name == file_name and event.file.state is state

    return wanted


async def test_folder_becomes_values_with_evidence(lane: StoreLane, pool: ReaderPool, tmp_path: Path) -> None:
    folder = _slips(tmp_path / "in", 3)
    (folder / "deep").mkdir()
    (folder / "deep" / "nothing.txt").write_text("Shop\nno sum here\n")
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7\nthat was all")
    (folder / ".hidden.txt").write_text("Total: 1.00")
    async with open_house(lane, pool) as house:
        batch = await house.batches.create(NewBatch((folder,), "slip", label=Label.CONFIDENTIAL))
        files = await house.ended(batch)
        assert {name: file.state for name, file in files.items()} == {
            "slip 0.txt": FileState.DONE,
            "slip 1.txt": FileState.DONE,
            "slip 2.txt": FileState.DONE,
            "nothing.txt": FileState.DONE,
            "broken.pdf": FileState.FAILED,
        }
        broken = files["broken.pdf"]
        assert (broken.cause, broken.attempts) == ("damaged", 1)
        assert broken.sentence
        assert broken.hint
        stored = await lane.read(lambda connection: extractions.load(connection, files["slip 2.txt"].id))
        assert stored is not None
        total = stored.values[0].value
        reading = await lane.read(lambda connection: documents.reading(connection, stored.document_id))
        (place,) = total.evidence
        assert (total.value, reading.text[place.start : place.end]) == ("2.50", "2.50")
        # The shop is uncertain, and a total that is absent is missing.
        assert (files["slip 2.txt"].doubtful_values, files["nothing.txt"].doubtful_values) == (1, 2)
        document = await lane.read(lambda connection: documents.get(connection, stored.document_id))
        assert document.label is Label.CONFIDENTIAL
        (listed,) = await house.batches.batches()
        assert (listed.counts.done, listed.counts.failed, listed.doubtful_values) == (4, 1, 5)
        assert [(cause.code, cause.count) for cause in listed.causes] == [("damaged", 1)]


async def test_files_end_in_order_and_can_be_moved(lane: StoreLane, pool: ReaderPool, tmp_path: Path) -> None:
    folder = _slips(tmp_path / "in", 12)
    async with open_house(lane, pool) as house:
        batch = await house.batches.create(NewBatch((folder,), "slip", paused=True))
        names = [file.name for file in await house.batches.files(batch.id)]
        assert names == [f"slip {number}.txt" for number in range(12)]  # 10 after 9
        last = (await house.batches.files(batch.id))[-1]
        await house.batches.move_file(last.id, 0)
        await house.batches.resume(batch.id)
        await house.ended(batch)
    begun = [event.file.name for event in house.heard.events if isinstance(event, FileChanged)]
    assert list(dict.fromkeys(begun))[:2] == ["slip 11.txt", "slip 0.txt"]


async def test_paused_batch_stops_at_once_and_goes_on(lane: StoreLane, own_pool: ReaderPool, tmp_path: Path) -> None:
    folder = _slips(tmp_path / "in", 4)
    async with open_house(lane, own_pool) as house:
        house.extractor.hold = asyncio.Event()
        batch = await house.batches.create(NewBatch((folder,), "slip"))
        await asyncio.wait_for(house.extractor.begun.wait(), 20)
        await house.batches.pause(batch.id)
        files = await house.batches.files(batch.id)
        assert [(file.state, file.attempts) for file in files] == [(FileState.WAITING, 0)] * 4
        house.extractor.hold.set()
        house.heard.forget()
        await house.batches.resume(batch.id)
        done = await house.ended(batch)
        assert {file.state for file in done.values()} == {FileState.DONE}


async def test_cancelled_files_are_taken_up_again(lane: StoreLane, own_pool: ReaderPool, tmp_path: Path) -> None:
    folder = _slips(tmp_path / "in", 3)
    async with open_house(lane, own_pool) as house:
        house.extractor.hold = asyncio.Event()
        batch = await house.batches.create(NewBatch((folder,), "slip"))
        await asyncio.wait_for(house.extractor.begun.wait(), 20)
        await house.batches.cancel(batch.id)
        files = await house.batches.files(batch.id)
        assert {file.state for file in files} == {FileState.CANCELLED}
        house.extractor.hold.set()
        house.heard.forget()
        assert await house.batches.retry(batch.id) == 3
        done = await house.ended(batch)
        assert {file.state for file in done.values()} == {FileState.DONE}


async def test_password_is_asked_per_file_and_not_kept(lane: StoreLane, pool: ReaderPool, tmp_path: Path) -> None:
    folder = _slips(tmp_path / "in", 1)
    (folder / "locked.pdf").write_bytes(
        pdf(PdfPage(((72, 72, 12, "Locked Shop"), (72, 100, 12, "Total: 7.00"))), password="sesame")
    )
    async with open_house(lane, pool) as house:
        batch = await house.batches.create(NewBatch((folder,), "slip"))
        files = await house.ended(batch)
        locked = files["locked.pdf"]
        assert (locked.state, files["slip 0.txt"].state) == (FileState.NEEDS_PASSWORD, FileState.DONE)
        house.heard.forget()
        await house.batches.give_password(locked.id, "wrong")
        files = await house.ended(batch)
        assert (files["locked.pdf"].state, files["locked.pdf"].cause) == (FileState.NEEDS_PASSWORD, "wrong_password")
        house.heard.forget()
        await house.batches.give_password(locked.id, "sesame")
        files = await house.ended(batch)
        assert files["locked.pdf"].state is FileState.DONE
    assert b"sesame" not in lane_bytes(tmp_path)


def lane_bytes(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in (folder / "data").rglob("gatehouse.db*"))


async def test_batch_rests_without_a_model_and_wakes_with_it(lane: StoreLane, pool: ReaderPool, tmp_path: Path) -> None:
    folder = _slips(tmp_path / "in", 2)
    async with open_house(lane, pool) as house:
        house.extractor.refuse = lambda reading: CannotGoOn("no_model", "There is no model on this machine yet.")
        batch = await house.batches.create(NewBatch((folder,), "slip"))

        def rests(event: Event) -> bool:
            return isinstance(event, BatchChanged) and "no model" in event.batch.waits_for

        await house.heard.until(rests)
        house.extractor.refuse = lambda reading: None
        house.kit.bus.publish(LoadedModelChanged(LoadedModel("m", None, None, None)))
        done = await house.ended(batch)
        assert {(file.state, file.attempts) for file in done.values()} == {(FileState.DONE, 1)}


async def test_a_file_that_a_full_disk_left_at_work_goes_on_after_it(
    lane: StoreLane, pool: ReaderPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = _slips(tmp_path / "in", 1)
    full = False
    write = lane.write

    async def refusing(work: Callable[[Connection], object]) -> object:
        if full:
            raise StoreError("disk_full", "The disk is full.")
        return await write(work)

    def fill(_: Reading) -> None:
        nonlocal full
        full = True

    monkeypatch.setattr(lane, "write", refusing)
    async with open_house(lane, pool) as house:
        house.extractor.refuse = fill
        batch = await house.batches.create(NewBatch((folder,), "slip"))
        await house.heard.until(lambda event: isinstance(event, BatchChanged) and "full" in event.batch.waits_for)
        full = False
        house.extractor.refuse = lambda reading: None
        house.heard.forget()
        await house.batches.resume(batch.id)
        done = await house.ended(batch)
        assert [(file.state, file.attempts) for file in done.values()] == [(FileState.DONE, 1)]


async def test_file_to_blame_ends_alone(lane: StoreLane, pool: ReaderPool, tmp_path: Path) -> None:
    folder = _slips(tmp_path / "in", 3)
    async with open_house(lane, pool) as house:
        house.extractor.refuse = lambda reading: (
            GatehouseError("too_long", "It does not fit.") if "Shop 1" in reading.text else None
        )
        batch = await house.batches.create(NewBatch((folder,), "slip"))
        files = await house.ended(batch)
        states = [files[f"slip {number}.txt"].state for number in range(3)]
        assert states == [FileState.DONE, FileState.FAILED, FileState.DONE]
        house.extractor.refuse = lambda reading: None
        house.heard.forget()
        assert await house.batches.retry(batch.id) == 1
        assert {file.state for file in (await house.ended(batch)).values()} == {FileState.DONE}


async def test_what_a_dead_process_had_at_work_is_done_once(lane: StoreLane, pool: ReaderPool, tmp_path: Path) -> None:
    folder = _slips(tmp_path / "in", 3)
    async with open_house(lane, pool) as house:
        batch = await house.batches.create(NewBatch((folder,), "slip", paused=True))
        files = await house.batches.files(batch.id)
    # As a process leaves it that was killed while it read one file and asked about another.
    await lane.write(lambda connection: rows.set_state(connection, batch.id, BatchState.RUNNING))
    for file in files[:2]:
        await lane.write(partial(rows.begin, file_id=file.id))
    async with open_house(lane, pool) as house:
        done = await house.ended(batch)
        assert {file.state for file in done.values()} == {FileState.DONE}
        assert len(house.extractor.asked) == 3
    # A file that was at work at every death of the app is left alone at last.
    await lane.write(lambda connection: rows.wait_again(connection, batch.id, (files[0].id,)))
    for _ in range(8):
        await lane.write(lambda connection: rows.begin(connection, files[0].id))
        await lane.write(lambda connection: rows.recover(connection, 8, "It ended each time.", ""))
    suspect = await lane.read(lambda connection: rows.file(connection, files[0].id))
    assert (suspect.state, suspect.cause) == (FileState.FAILED, "began_too_often")


async def test_vanished_file_is_named(lane: StoreLane, pool: ReaderPool, tmp_path: Path) -> None:
    folder = _slips(tmp_path / "in", 2)
    async with open_house(lane, pool) as house:
        batch = await house.batches.create(NewBatch((folder,), "slip", paused=True))
        (folder / "slip 0.txt").unlink()
        await house.batches.resume(batch.id)
        files = await house.ended(batch)
        assert (files["slip 0.txt"].state, files["slip 0.txt"].cause) == (FileState.FAILED, "file_missing")
        assert files["slip 1.txt"].state is FileState.DONE


async def test_watched_folder_feeds_its_batch(lane: StoreLane, pool: ReaderPool, tmp_path: Path) -> None:
    folder = _slips(tmp_path / "in", 1)
    async with open_house(lane, pool) as house:
        house.batches._watch._every_s = 0.05
        batch = await house.batches.create(NewBatch((folder,), "slip", watch=True))
        await house.ended(batch)
        house.heard.forget()
        (folder / "later.txt").write_text("Late Shop\nTotal: 9.00\n")
        await house.heard.until(_is("later.txt", FileState.DONE))  # type: ignore[arg-type]
    folder.rename(tmp_path / "away")  # while nobody runs
    async with open_house(lane, pool) as house:  # a restart watches on
        house.batches._watch._every_s = 0.05
        await house.heard.until(_watch_fails("is not there"))  # type: ignore[arg-type]
        (tmp_path / "away").rename(folder)
        (folder / "last.txt").write_text("Last Shop\nTotal: 7.00\n")
        await house.heard.until(_is("last.txt", FileState.DONE))  # type: ignore[arg-type]
        assert [len(await house.batches.files(batch.id)), len(set(house.extractor.asked))] == [3, 1], "each file once"
        (listed,) = await house.batches.batches()
        assert (listed.watched, listed.watch_fault) == ((folder,), "")
        await house.batches.watch(batch.id, folder, watching=False)
        (listed,) = await house.batches.batches()
        assert listed.watched == ()
        assert house.batches._watch._watched == ()


async def test_removed_batch_comes_back_until_the_next_start(lane: StoreLane, pool: ReaderPool, tmp_path: Path) -> None:
    folder = _slips(tmp_path / "in", 1)
    async with open_house(lane, pool) as house:
        batch = await house.batches.create(NewBatch((folder,), "slip"))
        await house.ended(batch)
        await house.batches.remove(batch.id)
        assert await house.batches.batches() == ()
        await house.batches.restore(batch.id)
        assert [listed.id for listed in await house.batches.batches()] == [batch.id]
        await house.batches.remove(batch.id)
    async with open_house(lane, pool) as house:
        with pytest.raises(GatehouseError, match="not there any more"):
            await house.batches.restore(batch.id)
        count = await lane.read(lambda connection: connection.execute("SELECT count(*) FROM documents").fetchone())
        assert count == (0,)


async def test_manifest_names_model_schema_files_and_is_sealed(
    lane: StoreLane, pool: ReaderPool, tmp_path: Path
) -> None:
    folder = _slips(tmp_path / "in", 2)
    async with open_house(lane, pool) as house:
        batch = await house.batches.create(NewBatch((folder,), "slip"))
        await house.ended(batch)
        manifest = json.loads(await house.batches.manifest(batch.id))
        (setting,) = manifest["settings"].values()
        assert setting["model"]["id"] == "double"
        assert setting["schema"]["name"] == "slip"
        assert setting["libraries"]["pypdfium2"]
        assert [Path(file["file"]).name for file in manifest["files"]] == ["slip 0.txt", "slip 1.txt"]
        await lane.write(
            lambda connection: connection.execute("UPDATE extractions SET seal = 'x' WHERE seq = 1").rowcount
        )
        changed = json.loads(await house.batches.manifest(batch.id))
        assert changed["seal"] != manifest["seal"]
