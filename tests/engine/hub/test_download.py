"""A model arrives whole and right, or the cause is named; nothing that arrived is lost or trusted without reason."""

from __future__ import annotations

import errno
import hashlib
import subprocess
import sys
import threading
from io import FileIO
from pathlib import Path

import pytest

from engine.errors import GatehouseError, HubError
from engine.hub import journal as journals
from engine.hub.client import HubClient
from engine.hub.disk import Disk
from engine.hub.download import Progress, Surroundings, discard, download, folder_of, remove, resolve
from engine.hub.lock import FolderLock
from engine.hub.patience import Halted, Patience
from engine.hub.repository import ModelSource, RemoteModel
from engine.hub.transfer import Steps
from engine.hub.verify import Receipt, load_receipt, receipt_path
from tests.engine.hub.conftest import NoWait
from tests.engine.hub.direct import direct_client
from tests.engine.hub.tiny_gguf import tiny_gguf, tiny_shards
from tests.hub_double import (
    Cut,
    Fault,
    Flip,
    Gate,
    HubDouble,
    Length,
    Loop,
    Page,
    Stall,
    Status,
    Total,
    Where,
    Whole,
)

REPO = "owner/model-GGUF"
FILE = "tiny-Q4_0.gguf"
CONTENT = tiny_gguf(400_000)
STEPS = Steps(segment_bytes=150_000, checkpoint_bytes=32_768)


class House:
    """A folder of models, a client, and what was reported."""

    def __init__(self, client: HubClient, models: Path, halt: NoWait) -> None:
        self.client = client
        self.models = models
        self.halt = halt
        self.reports: list[Progress] = []
        self.disk = Disk(free_bytes=lambda _: 10**12)

    def model(self, wanted: str | None = None) -> RemoteModel:
        return resolve(self.client, ModelSource(REPO, wanted=wanted), self.halt)

    def fetch(self, model: RemoteModel | None = None) -> Receipt:
        around = Surroundings(self.client, self.models, self.disk, STEPS)
        return download(around, model or self.model(), self.halt, self.reports.append)

    def pause_after(self, done_bytes: int, model: RemoteModel) -> None:
        """Interrupt a download once so much has arrived."""
        halt = NoWait()

        def watch(progress: Progress) -> None:
            if progress.done_bytes >= done_bytes:
                halt.set()

        with pytest.raises(Halted):
            download(Surroundings(self.client, self.models, self.disk, STEPS), model, halt, watch)

    @property
    def folder(self) -> Path:
        return folder_of(self.models, REPO)

    @property
    def kept_bytes(self) -> int:
        return sum(journal.kept_bytes for journal in journals.unfinished(self.models))

    def names(self) -> set[str]:
        return {path.name for path in self.folder.iterdir()} if self.folder.exists() else set()


@pytest.fixture
def house(client: HubClient, tmp_path: Path, halt: NoWait, hub: HubDouble) -> House:
    hub.add(REPO, {"README.md": b"# Tiny", FILE: CONTENT})
    return House(client, tmp_path / "models", halt)


def assert_arrived(house: House, receipt: Receipt, content: bytes = CONTENT) -> None:
    assert (house.folder / FILE).read_bytes() == content
    assert receipt.files[0].sha256 == hashlib.sha256(content).hexdigest()
    assert house.names() == {FILE, "tiny-Q4_0.gatehouse.json"}


def test_model_arrives_with_a_receipt(house: House, hub: HubDouble) -> None:
    receipt = house.fetch()
    assert_arrived(house, receipt)
    assert load_receipt(receipt_path(house.folder, "tiny-Q4_0")) == receipt
    assert len(hub.ranges()) == 3
    done = [report.done_bytes for report in house.reports]
    assert done == sorted(done)
    assert done[-1] == len(CONTENT)


def test_the_journal_claims_only_what_was_flushed(
    house: House, flushed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    claims: list[tuple[int, bool]] = []
    save = journals.save

    def watched(journal: journals.Journal, folder: Path) -> None:
        claims.append((journal.kept_bytes, journal.kept_bytes == 0 or journal.kept_bytes in flushed))
        save(journal, folder)

    monkeypatch.setattr(journals, "save", watched)
    house.fetch()
    assert [kept for kept, _ in claims] == sorted(kept for kept, _ in claims)
    assert len({kept for kept, _ in claims}) > 5
    assert all(proven for _, proven in claims)


def test_what_is_there_is_not_fetched_again(house: House, hub: HubDouble) -> None:
    first = house.fetch()
    before = len(hub.ranges())
    assert house.fetch() == first
    assert len(hub.ranges()) == before


@pytest.mark.parametrize("cut", [0, 1, 3, 4, 5, 1023, 65_535, 65_536, 65_537, 149_999, 150_000, 399_999])
def test_cut_at_any_byte_then_gone_on(house: House, hub: HubDouble, cut: int) -> None:
    hub.misbehave(Cut(cut), Cut(cut), path=FILE)
    assert_arrived(house, house.fetch())


def test_a_line_that_keeps_breaking_still_brings_the_model(house: House, hub: HubDouble) -> None:
    hub.misbehave(Cut(70_000), path=FILE, forever=True)
    assert_arrived(house, house.fetch())
    assert house.halt.waits
    assert set(house.halt.waits) == {1.0}


PASSING: list[tuple[Where, Fault]] = [
    ("bytes", Status(500)),
    ("bytes", Status(429, retry_after="3")),
    ("hub", Status(503)),
    ("hub", Status(429)),
    ("bytes", Length(1_000)),
    ("bytes", Length(-1_000)),
    ("bytes", Stall(100_000)),
    ("bytes", Stall(0)),
    ("bytes", Whole()),
    ("hub", Cut(0)),
]


@pytest.mark.parametrize(("where", "fault"), PASSING, ids=str)
def test_what_passes_is_waited_for(hub: HubDouble, tmp_path: Path, halt: NoWait, where: Where, fault: Fault) -> None:
    hub.add(REPO, {FILE: CONTENT})
    hub.misbehave(Cut(30_000), fault, path=FILE, where=where)
    if where == "hub":
        hub.misbehave(Cut(30_000), path=FILE)
    with HubClient(endpoint=hub.address, patience=Patience(stall_s=0.3), make_client=direct_client) as client:
        house = House(client, tmp_path / "models", halt)
        assert_arrived(house, house.fetch())


LASTING: list[tuple[str, Where, Fault, str, bool]] = [
    ("wrong bytes", "bytes", Flip(300_000), "checksum_mismatch", False),
    ("refused", "hub", Status(403), "refused", True),
    ("unauthorised", "hub", Status(401), "not_found", True),
    ("gated", "hub", Status(403, error_code="GatedRepo"), "gated", True),
    ("gone", "hub", Status(404, error_code="EntryNotFound"), "not_found", True),
    ("gone bytes", "bytes", Status(404), "not_found", True),
    ("no such range", "bytes", Status(416), "range_refused", False),
    ("broken", "bytes", Status(500), "server_error", True),
    ("busy", "bytes", Status(429), "rate_limited", True),
    ("circles", "hub", Loop(), "redirect_loop", True),
    ("circles of bytes", "bytes", Loop(), "redirect_loop", True),
    ("a web page", "bytes", Page(), "wrong_length", True),
    ("another length", "bytes", Total(999_999), "wrong_length", True),
    ("silence", "bytes", Stall(0), "stalled", True),
    ("nothing but cuts", "bytes", Cut(0), "cut_off", True),
]


@pytest.mark.parametrize(("what", "where", "fault", "code", "keeps"), LASTING, ids=[case[0] for case in LASTING])
def test_what_lasts_is_named_and_the_next_try_is_right(
    hub: HubDouble, tmp_path: Path, halt: NoWait, what: str, where: Where, fault: Fault, code: str, keeps: bool
) -> None:
    hub.add(REPO, {FILE: CONTENT})
    with HubClient(
        endpoint=hub.address, patience=Patience(stall_s=0.2, attempts=3), make_client=direct_client
    ) as client:
        house = House(client, tmp_path / "models", halt)
        model = house.model()
        house.pause_after(100_000, model)
        hub.misbehave(fault, path=FILE, where=where, forever=True)
        with pytest.raises(GatehouseError) as caught:
            house.fetch(model)
        assert caught.value.code == code
        assert caught.value.sentence.endswith(".")
        assert FILE not in house.names()
        assert (house.kept_bytes >= 100_000) == keeps, what
        hub.behave()
        assert_arrived(house, house.fetch(model))


def test_pause_keeps_what_arrived_and_resume_asks_for_the_rest_only(house: House, hub: HubDouble) -> None:
    house.pause_after(100_000, house.model())
    kept = house.kept_bytes
    assert 100_000 <= kept < len(CONTENT)
    hub.seen.clear()
    assert_arrived(house, house.fetch())
    assert str(hub.ranges()[0]).startswith(f"bytes={kept}-")
    assert [report.doing for report in house.reports if report.doing == "checking"]


def test_pause_is_heard_while_nothing_comes(house: House, hub: HubDouble) -> None:
    gate = Gate(50_000)
    hub.misbehave(gate, path=FILE)
    model = house.model()
    caught: list[BaseException] = []

    arrived = threading.Event()

    def watch(progress: Progress) -> None:
        if progress.done_bytes >= 50_000:
            arrived.set()

    def run() -> None:
        try:
            download(Surroundings(house.client, house.models, house.disk, STEPS), model, house.halt, watch)
        except Halted as error:
            caught.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    assert arrived.wait(10)
    house.halt.set()
    thread.join(3)
    assert not thread.is_alive()
    assert len(caught) == 1
    assert house.kept_bytes == 50_000


def test_a_server_without_ranges_starts_over(house: House, hub: HubDouble) -> None:
    model = house.model()
    house.pause_after(100_000, model)
    hub.misbehave(Whole(), path=FILE, forever=True)
    assert_arrived(house, house.fetch(model))


@pytest.mark.parametrize("keeps", [True, False])
def test_a_file_changed_between_two_tries_starts_over_honestly(house: House, hub: HubDouble, keeps: bool) -> None:
    model = house.model()
    house.pause_after(100_000, model)
    other = tiny_gguf(300_000, seed=2)
    hub.add(REPO, {FILE: other}, commit="f" * 40 if keeps else model.revision)
    hub.repos[REPO].also_commits = (model.revision,)
    receipt = house.fetch(model)
    assert_arrived(house, receipt, other)
    assert receipt.revision == hub.repos[REPO].commit
    assert any("starts over" in report.note for report in house.reports)


def test_a_pinned_file_is_never_replaced_by_another(house: House, hub: HubDouble) -> None:
    model = house.model()
    pinned = RemoteModel(
        model.repo, model.revision, "main", model.name, model.quantization, model.files, model.licence, pinned=True
    )
    hub.add(REPO, {FILE: tiny_gguf(300_000, seed=2)})
    with pytest.raises(HubError) as caught:
        house.fetch(pinned)
    assert caught.value.code == "hash_disagrees"
    assert FILE not in house.names()


def test_a_hash_only_on_the_way_is_enough_and_none_at_all_is_not(house: House, hub: HubDouble) -> None:
    hub.repos[REPO].names_hashes = False
    assert_arrived(house, house.fetch())
    hub.repos[REPO].links_hashes = False
    with pytest.raises(HubError) as caught:
        house.model()
    assert caught.value.code == "hash_unknown"


def test_shards_become_a_model_only_together(house: House, hub: HubDouble) -> None:
    shards = tiny_shards(3)
    names = [f"big-Q4_0-{number:05}-of-00003.gguf" for number in (1, 2, 3)]
    hub.add(REPO, {f"Q4_0/{name}": shard for name, shard in zip(names, shards, strict=True)})
    model = house.model()
    assert model.size_bytes == sum(len(shard) for shard in shards)
    house.pause_after(len(shards[0]) + len(shards[1]) + 10_000, model)
    assert not any(name.endswith(".gguf") for name in house.names())
    hub.seen.clear()
    receipt = house.fetch(model)
    assert [file.name for file in receipt.files] == names
    assert not hub.ranges(names[0])
    assert not hub.ranges(names[1])
    assert {*names, "big-Q4_0.gatehouse.json"} == house.names()


def test_a_missing_shard_is_named_before_anything_is_fetched(house: House, hub: HubDouble) -> None:
    hub.add(REPO, {"big-Q4_0-00001-of-00002.gguf": tiny_shards(2)[0]})
    with pytest.raises(HubError, match="number 2") as caught:
        house.model("Q4_0")
    assert caught.value.code == "shard_missing"
    assert not hub.ranges()


def test_what_arrives_whole_and_is_no_model_is_thrown_away(house: House, hub: HubDouble) -> None:
    hub.add(REPO, {"vision-F16.gguf": tiny_gguf(50_000, architecture="clip")})
    with pytest.raises(GatehouseError, match="mmproj") as caught:
        house.fetch()
    assert caught.value.code == "not_a_model"
    assert house.names() == set()


def test_full_disk_is_said_before_it_starts(house: House, hub: HubDouble) -> None:
    house.disk = Disk(free_bytes=lambda _: 400_000)
    with pytest.raises(HubError, match=r"Free 0\.27 GB") as caught:
        house.fetch()
    assert caught.value.code == "disk_full"
    assert not hub.ranges()


class FullDisk(FileIO):
    """Takes so many bytes and then no more."""

    room = 200_000

    def write(self, data: object, /) -> int:
        assert isinstance(data, memoryview)
        if self.tell() + len(data) > self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(data)


def test_disk_that_fills_up_on_the_way_keeps_what_arrived(house: House, hub: HubDouble) -> None:
    model = house.model()
    healthy = house.disk

    def open_full(path: Path) -> FileIO:
        path.touch()
        return FullDisk(path, "r+")

    house.disk = Disk(free_bytes=healthy.free_bytes, open_part=open_full)
    with pytest.raises(HubError, match="filled up") as caught:
        house.fetch(model)
    assert caught.value.code == "disk_full"
    assert 100_000 < house.kept_bytes <= FullDisk.room
    house.disk = healthy
    assert_arrived(house, house.fetch(model))


def test_bytes_lost_on_the_disk_are_fetched_again(house: House) -> None:
    model = house.model()
    house.pause_after(100_000, model)
    part = house.folder / f"{FILE}.part"
    part.write_bytes(part.read_bytes()[:50])
    assert_arrived(house, house.fetch(model))


def test_bytes_gone_bad_on_the_disk_are_noticed(house: House) -> None:
    model = house.model()
    house.pause_after(100_000, model)
    part = house.folder / f"{FILE}.part"
    part.write_bytes(b"GGUF" + bytes(part.stat().st_size - 4))
    with pytest.raises(HubError) as caught:
        house.fetch(model)
    assert caught.value.code == "checksum_mismatch"
    assert_arrived(house, house.fetch(model))


def test_a_damaged_journal_means_starting_over(house: House) -> None:
    model = house.model()
    house.pause_after(100_000, model)
    journals.path_of(house.folder, model.name).write_text('{"form": 1, "model": []}')
    assert journals.unfinished(house.models) == ()
    assert_arrived(house, house.fetch(model))


def test_a_file_of_that_name_is_used_when_right_and_left_alone_when_not(house: House, hub: HubDouble) -> None:
    house.folder.mkdir(parents=True)
    (house.folder / FILE).write_bytes(b"the person's own file")
    with pytest.raises(HubError) as caught:
        house.fetch()
    assert caught.value.code == "name_taken"
    assert (house.folder / FILE).read_bytes() == b"the person's own file"
    (house.folder / FILE).write_bytes(CONTENT)
    assert_arrived(house, house.fetch())
    assert not hub.ranges()


def test_two_at_once_on_one_model_are_refused(house: House) -> None:
    model = house.model()
    house.folder.mkdir(parents=True)
    with FolderLock(house.folder / f".{model.name}.lock", model.name), pytest.raises(HubError) as caught:
        house.fetch(model)
    assert caught.value.code == "in_use"
    assert_arrived(house, house.fetch(model))


def test_discard_and_remove_say_what_they_free(house: House) -> None:
    model = house.model()
    house.pause_after(100_000, model)
    kept = house.kept_bytes
    assert discard(house.models, model) == kept
    assert not house.folder.exists()
    receipt = house.fetch(model)
    assert remove(house.models, receipt) == len(CONTENT)
    assert not house.folder.exists()
    assert house.models.exists()


KILLED = """
import sys, threading
from pathlib import Path
from engine.hub.client import HubClient
from engine.hub.download import Surroundings, download, resolve
from engine.hub.interrupt import Interrupt
from engine.hub.repository import ModelSource
from engine.hub.transfer import Steps
from tests.engine.hub.direct import direct_client

halt = Interrupt()
with HubClient(endpoint=sys.argv[1], make_client=direct_client) as client:
    model = resolve(client, ModelSource(sys.argv[2]), halt)
    around = Surroundings(client, Path(sys.argv[3]), steps=Steps(150_000, 32_768))
    download(around, model, halt, lambda progress: None)
"""


def test_killed_in_mid_download_then_gone_on(house: House, hub: HubDouble) -> None:
    gate = Gate(100_000)
    hub.misbehave(gate, path=FILE)
    child = subprocess.Popen([sys.executable, "-c", KILLED, hub.address, REPO, str(house.models)])
    assert gate.reached.wait(30)
    path = journals.path_of(house.folder, "tiny-Q4_0")
    while (found := journals.load(path)) is None or found.kept_bytes < 65_536:
        assert child.poll() is None
    child.kill()
    child.wait()
    hub.seen.clear()
    kept = house.kept_bytes
    assert_arrived(house, house.fetch())
    assert str(hub.ranges()[0]).startswith(f"bytes={kept}-")
