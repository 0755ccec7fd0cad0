"""Searching, planning, fetching, pausing, deleting, carrying: the real services, and a hub on loopback."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.events import DownloadFailed, DownloadFinished, DownloadsChanged
from app.models.bundles import Piece
from app.models.offers import Query
from engine.errors import HubError, ModelFileError
from engine.hardware.profile import Machine
from tests.app.models.elsewhere import fetch, heard, listed, search_one
from tests.app.native import House, open_house
from tests.engine.fit.machines import GIB, machine
from tests.engine.hub.tiny_gguf import tiny_gguf, tiny_shards
from tests.hub_double import GOOD_TOKEN, Gate, HubDouble

WaitFor = Callable[[Callable[[], bool], float], None]

ROOT = Path(__file__).resolve().parents[3]
REPO = "owner/tiny-GGUF"
FILE = "tiny-Q4_K_M.gguf"
CONTENT = tiny_gguf(600_000)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubDouble]:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    with HubDouble() as double:
        monkeypatch.setenv("HF_ENDPOINT", double.address)
        double.add(REPO, {FILE: CONTENT}, downloads=5)
        yield double


@pytest.fixture(autouse=True)
def _quick_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    def detect(*_arguments: object, **_options: object) -> Machine:
        return machine(8 * GIB)

    monkeypatch.setattr("app.models.planner._detect", detect)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nobody's real models are looked for."""
    folder = tmp_path / "home"
    folder.mkdir()
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(folder))
    for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME", "HF_HOME", "HF_HUB_CACHE", "OLLAMA_MODELS", "LLAMA_CACHE"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture
def house(tmp_path: Path, hub: HubDouble) -> Iterator[House]:
    with open_house(tmp_path / "data", load_last_model=False) as opened:
        yield opened


def test_what_a_search_finds_is_fetched_verified_and_listed(house: House, hub: HubDouble) -> None:
    offer = search_one(house, "tiny")
    assert offer.choice is not None
    assert (offer.choice.quantization, offer.choice.size_bytes) == ("Q4_K_M", len(CONTENT))
    assert offer.choice.fitness.verdict == "fits"
    done = fetch(house, offer.choice)
    assert hashlib.sha256(done.path.read_bytes()).hexdigest() == hashlib.sha256(CONTENT).hexdigest()
    cards = house.product.run(house.product.services.models.models())
    (card,) = [card for card in cards if card.path == done.path]
    assert card.managed
    assert not card.fault


def test_nothing_is_asked_before_a_person_asks(house: House, hub: HubDouble) -> None:
    services = house.product.services
    house.product.begin()
    house.product.run(services.hub.catalogue())
    house.product.run(services.hub.suggestions())
    house.product.run(services.models.models())
    assert hub.seen == []


def test_a_deleted_model_comes_back_and_then_goes_for_good(
    house: House, monkeypatch: pytest.MonkeyPatch, wait_for: WaitFor
) -> None:
    choice = search_one(house, "tiny").choice
    assert choice is not None
    path, models = fetch(house, choice).path, house.product.services.models
    removed = house.product.run(models.remove(path.stem))
    assert (removed.name, removed.freed_bytes) == ("tiny", len(CONTENT))
    assert path.stem not in [card.id for card in house.product.run(models.models())]
    house.product.run(models.restore(removed.token))
    assert path.read_bytes() == CONTENT
    assert path.with_name(f"{path.stem}.gatehouse.json").exists()
    monkeypatch.setattr("app.models.disposal.UNDO_S", 0.01)
    removed = house.product.run(models.remove(path.stem))
    trash = house.product.paths.models / ".trash"
    wait_for(lambda: not trash.exists(), 10)
    with pytest.raises(ModelFileError, match="deleted for good"):
        house.product.run(models.restore(removed.token))
    assert list(house.product.paths.models.rglob("*.gguf")) == []


def test_pause_resume_cancel_and_the_way_back(house: House, hub: HubDouble, wait_for: WaitFor) -> None:
    downloads = house.product.services.downloads
    gate = Gate(300_000)
    hub.misbehave(gate, path=FILE)
    choice = search_one(house, "tiny").choice
    assert choice is not None
    identity = house.product.run(house.product.services.hub.fetch(choice))
    assert gate.reached.wait(20)
    part = house.product.paths.models / "owner" / "tiny-GGUF" / f"{FILE}.part"
    wait_for(lambda: part.exists() and part.stat().st_size > 0, 20)
    house.product.run(downloads.pause(identity))
    heard(house, DownloadsChanged, lambda event: event.downloads[0].state == "paused")
    house.product.run(downloads.cancel(identity))
    assert listed(house) == ()
    house.product.run(downloads.keep(identity))
    (kept,) = listed(house)
    assert kept.state == "paused"
    assert kept.done_bytes > 0
    house.product.run(downloads.resume(identity))
    done = heard(house, DownloadFinished).download
    assert done.path.read_bytes() == CONTENT
    house.product.run(downloads.cancel(identity))
    assert listed(house) == ()
    assert done.path.exists()


def test_a_cancelled_download_is_gone_when_the_program_ends(house: House, hub: HubDouble) -> None:
    gate = Gate(300_000)
    hub.misbehave(gate, path=FILE)
    choice = search_one(house, "tiny").choice
    assert choice is not None
    identity = house.product.run(house.product.services.hub.fetch(choice))
    assert gate.reached.wait(20)
    house.product.run(house.product.services.downloads.cancel(identity))
    house.product.close()
    assert list(house.product.paths.models.iterdir()) == []


def test_order_can_be_changed(house: House, hub: HubDouble) -> None:
    gate = Gate(50_000)
    hub.misbehave(gate, gate, path="-GGUF/")
    names = ("first", "second", "third", "fourth")
    for seed, name in enumerate(names):
        hub.add(f"order/{name}-GGUF", {f"{name}-Q4_0.gguf": tiny_gguf(200_000, seed=seed + 7)})
    ids = []
    for name in names:
        choice = search_one(house, f"order/{name}").choice
        assert choice is not None
        ids.append(house.product.run(house.product.services.hub.fetch(choice)))
    heard(house, DownloadsChanged, lambda event: len(event.downloads) == len(names))
    house.product.run(house.product.services.downloads.move(ids[3], 2))
    assert [download.id for download in listed(house)] == [ids[0], ids[1], ids[3], ids[2]]
    gate.opened.set()
    for _ in names:
        heard(house, DownloadFinished)
    told = [event.downloads for event in house.heard if isinstance(event, DownloadsChanged)]
    begun = [download.id for downloads in told for download in downloads if download.state == "running"]
    assert begun.index(ids[3]) < begun.index(ids[2])


@pytest.mark.slow
def test_after_a_kill_it_is_listed_as_paused_and_arrives_whole(tmp_path: Path, hub: HubDouble) -> None:
    content = tiny_gguf(20_000_000)
    hub.add("owner/large-GGUF", {"large-Q4_0.gguf": content})
    gate = Gate(18_000_000)
    hub.misbehave(gate, path="large")
    folder = tmp_path / "data"
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.app.models.downloading_child", str(folder), "owner/large"],
        stdin=subprocess.PIPE,
        cwd=ROOT,
    )
    try:
        assert gate.reached.wait(60)
        child.send_signal(signal.SIGKILL)
    finally:
        child.kill()
        child.communicate()
    asked = len(hub.seen)
    with open_house(folder) as house:
        house.product.begin()
        (unfinished,) = heard(house, DownloadsChanged).downloads
        assert (unfinished.state, unfinished.total_bytes) == ("paused", len(content))
        assert len(hub.seen) == asked
        house.product.run(house.product.services.downloads.resume(unfinished.id))
        done = heard(house, DownloadFinished).download
        assert done.path.read_bytes() == content


def test_a_full_disk_is_said_before_it_starts(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    choice = search_one(house, "tiny").choice
    assert choice is not None
    usage = shutil.disk_usage(house.product.paths.models)
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: usage._replace(free=1_000_000))
    house.product.run(house.product.services.hub.fetch(choice))
    failed = heard(house, DownloadFailed).download
    assert "are free in" in failed.error
    assert failed.hint.startswith("Free ")
    monkeypatch.undo()
    assert failed.done_bytes == 0


def test_a_gated_model_wants_a_token(house: House, hub: HubDouble) -> None:
    hub.add("owner/gated-GGUF", {"gated-Q4_0.gguf": tiny_gguf(100_000)}, gated=True)
    offer = search_one(house, "gated")
    assert offer.gated
    assert offer.choice is not None
    house.product.run(house.product.services.hub.fetch(offer.choice))
    assert "agreed to its terms" in heard(house, DownloadFailed).download.error
    assert not house.product.run(house.product.services.hub.set_token(GOOD_TOKEN))  # no keyring in tests
    fetch(house, offer.choice)


def test_an_unreachable_hub_is_a_sentence_with_a_next_step(
    house: House, hub: HubDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(HubError) as caught:
        house.product.run(house.product.services.hub.search(Query("tiny")))
    assert caught.value.code == "unreachable"
    assert caught.value.hint


def test_a_split_model_arrives_as_one(house: House, hub: HubDouble) -> None:
    shards = tiny_shards(3)
    hub.add("owner/split-GGUF", {f"split-Q4_0-0000{n + 1}-of-00003.gguf": shard for n, shard in enumerate(shards)})
    choice = search_one(house, "split").choice
    assert choice is not None
    assert (choice.shards, choice.size_bytes) == (3, sum(map(len, shards)))
    done = fetch(house, choice)
    cards = house.product.run(house.product.services.models.models())
    (card,) = [card for card in cards if card.path == done.path]
    assert (card.size_bytes, card.fault) == (choice.size_bytes, "")
    removed = house.product.run(house.product.services.models.remove(card.id))
    assert removed.freed_bytes == choice.size_bytes
    house.product.run(house.product.services.models.restore(removed.token))
    assert sorted(path.read_bytes() for path in done.path.parent.glob("*.gguf")) == sorted(shards)


def test_models_of_other_programs_are_used_in_place(house: House, home: Path) -> None:
    studio = home / ".lmstudio/models/maker/model-GGUF/model-Q4_0.gguf"
    jan = home / "jan/models/small/model.gguf"
    blob = home / ".ollama/models/blobs" / f"sha256-{'ab' * 32}"
    manifest = home / ".ollama/models/manifests/registry.ollama.ai/library/llama3.2/3b"
    for seed, path in enumerate((studio, jan, blob)):
        path.parent.mkdir(parents=True)
        path.write_bytes(tiny_gguf(100_000, seed=seed + 20))
    manifest.parent.mkdir(parents=True)
    layer = {"mediaType": "application/vnd.ollama.image.model", "digest": f"sha256:{'ab' * 32}"}
    manifest.write_text(json.dumps({"layers": [layer]}))
    models = house.product.services.models
    cards = {card.holder: card for card in house.product.run(models.models()) if card.holder}
    assert {holder: card.path for holder, card in cards.items()} == {"LM Studio": studio, "Jan": jan, "Ollama": blob}
    assert cards["Ollama"].id == "llama3.2-3b"
    with pytest.raises(ModelFileError, match="belongs to Ollama"):
        house.product.run(models.remove("llama3.2-3b"))
    assert blob.exists()


def test_a_bundle_goes_out_and_comes_back(house: House, tmp_path: Path, hub: HubDouble) -> None:
    choice = search_one(house, "tiny").choice
    assert choice is not None
    path, services = fetch(house, choice).path, house.product.services
    (packed,) = house.product.run(services.bundles.export([Piece(path.stem)], tmp_path / "stick"))
    house.product.run(services.models.remove(path.stem))
    (arrived,) = house.product.run(services.bundles.take_over(tmp_path / "stick"))
    assert (arrived.name, arrived.error) == (packed.name, "")
    assert path.read_bytes() == CONTENT
