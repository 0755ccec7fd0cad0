"""What was packed arrives whole or is named; a bundle cannot write where it should not."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.errors import HubError
from engine.hub.bundle import LIST_NAME, SUMS_NAME, Luggage, contents, export, import_bundle
from engine.hub.disk import Disk
from engine.hub.download import folder_of
from engine.hub.install import install
from engine.hub.patience import Halted
from engine.hub.verify import Receipt, VerifiedFile, load_receipt, receipt_path
from tests.engine.hub.conftest import NoWait
from tests.engine.hub.tiny_gguf import tiny_gguf, tiny_shards

ROOMY = Disk(free_bytes=lambda _: 10**12)
REPO = "owner/model-GGUF"


def quiet(name: str, done: int, total: int) -> None:
    assert 0 <= done <= total


def fetched(models: Path, name: str, contents_: list[bytes]) -> Luggage:
    """A model as a download leaves it."""
    count = len(contents_)
    names = [f"{name}.gguf"] if count == 1 else [f"{name}-{n:05}-of-{count:05}.gguf" for n in range(1, count + 1)]
    folder = folder_of(models, REPO)
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for file, content in zip(names, contents_, strict=True):
        (folder / file).write_bytes(content)
        files.append(VerifiedFile(file, len(content), hashlib.sha256(content).hexdigest()))
    receipt = Receipt(name, REPO, "c0ffee", "mit", tuple(files))
    install(receipt, folder)
    return Luggage(name, tuple(folder / file for file in names), receipt, '{"n_ctx": 4096}')


@pytest.fixture
def packed(tmp_path: Path, halt: NoWait) -> Path:
    luggage = [
        fetched(tmp_path / "here", "one-Q4_0", [tiny_gguf(100_000)]),
        fetched(tmp_path / "here", "two-Q8_0", tiny_shards(2, 50_000)),
    ]
    export(luggage, tmp_path / "bundle", halt, quiet, ROOMY)
    return tmp_path / "bundle"


def test_all_arrive_with_their_receipts_and_plans(packed: Path, tmp_path: Path, halt: NoWait) -> None:
    arrivals = import_bundle(packed, tmp_path / "there", halt, quiet, ROOMY)
    assert [(arrival.packed.receipt.name, arrival.error) for arrival in arrivals] == [
        ("one-Q4_0", None),
        ("two-Q8_0", None),
    ]
    assert arrivals[0].packed.plan_json == '{"n_ctx": 4096}'
    here, there = folder_of(tmp_path / "here", REPO), folder_of(tmp_path / "there", REPO)
    assert {path.name: path.read_bytes() for path in here.iterdir()} == {
        path.name: path.read_bytes() for path in there.iterdir()
    }
    assert load_receipt(receipt_path(there, "two-Q8_0")) == arrivals[1].packed.receipt


def test_sums_can_be_checked_without_us(packed: Path) -> None:
    lines = (packed / SUMS_NAME).read_text().splitlines()
    assert len(lines) == 3
    for line in lines:
        digest, path = line.split("  ")
        assert hashlib.sha256((packed / path).read_bytes()).hexdigest() == digest


def test_a_second_import_copies_nothing_and_a_choice_is_kept(packed: Path, tmp_path: Path, halt: NoWait) -> None:
    first = import_bundle(packed, tmp_path / "there", halt, quiet, ROOMY, only=["two-Q8_0"])
    assert [arrival.packed.receipt.name for arrival in first] == ["two-Q8_0"]
    reported: list[str] = []
    again = import_bundle(packed, tmp_path / "there", halt, lambda name, *_: reported.append(name), ROOMY)
    assert [arrival.error for arrival in again] == [None, None]
    assert set(reported) == {"one-Q4_0.gguf"}


def test_a_damaged_file_is_named_and_does_not_stay(packed: Path, tmp_path: Path, halt: NoWait) -> None:
    path = folder_of(packed, REPO) / "one-Q4_0.gguf"
    content = bytearray(path.read_bytes())
    content[50_000] ^= 1
    path.write_bytes(content)
    (folder_of(packed, REPO) / "two-Q8_0-00002-of-00002.gguf").unlink()
    damaged, missing = import_bundle(packed, tmp_path / "there", halt, quiet, ROOMY)
    assert damaged.error is not None
    assert missing.error is not None
    assert (damaged.error.code, missing.error.code) == ("checksum_mismatch", "missing_file")
    assert "one-Q4_0.gguf" in damaged.error.sentence
    assert "two-Q8_0-00002-of-00002.gguf" in missing.error.sentence
    assert not list((tmp_path / "there").rglob("*.gguf*"))


def test_a_model_without_origin_can_be_taken_along(tmp_path: Path, halt: NoWait) -> None:
    blob = tmp_path / ("sha256-" + "a" * 64)
    blob.write_bytes(tiny_gguf(20_000))
    (entry,) = export([Luggage("qwen3:8b", (blob,), None)], tmp_path / "bundle", halt, quiet, ROOMY)
    assert entry.receipt.repo == "local/qwen3_8b"
    (arrival,) = import_bundle(tmp_path / "bundle", tmp_path / "there", halt, quiet, ROOMY)
    assert arrival.error is None
    assert (tmp_path / "there/local/qwen3_8b/qwen3_8b.gguf").read_bytes() == blob.read_bytes()


def test_a_file_that_changed_since_its_download_is_not_packed(tmp_path: Path, halt: NoWait) -> None:
    luggage = fetched(tmp_path / "here", "one-Q4_0", [tiny_gguf(20_000)])
    luggage.paths[0].write_bytes(tiny_gguf(20_000, seed=9))
    with pytest.raises(HubError) as caught:
        export([luggage], tmp_path / "bundle", halt, quiet, ROOMY)
    assert caught.value.code == "checksum_mismatch"
    assert not list((tmp_path / "bundle").rglob("*.gguf*"))


def test_packing_more_adds_to_the_bundle(packed: Path, tmp_path: Path, halt: NoWait) -> None:
    export([fetched(tmp_path / "here", "three-Q4_0", [tiny_gguf(9_000, seed=3)])], packed, halt, quiet, ROOMY)
    assert [entry.receipt.name for entry in contents(packed)] == ["one-Q4_0", "two-Q8_0", "three-Q4_0"]


def test_the_persons_own_file_is_left_alone(packed: Path, tmp_path: Path, halt: NoWait) -> None:
    own = folder_of(tmp_path / "there", REPO) / "one-Q4_0.gguf"
    own.parent.mkdir(parents=True)
    own.write_bytes(b"mine")
    arrival = import_bundle(packed, tmp_path / "there", halt, quiet, ROOMY)[0]
    assert arrival.error is not None
    assert arrival.error.code == "name_taken"
    assert own.read_bytes() == b"mine"


def test_space_is_looked_at_first(packed: Path, tmp_path: Path, halt: NoWait) -> None:
    full = Disk(free_bytes=lambda _: 300_000)
    with pytest.raises(HubError) as there:
        import_bundle(packed, tmp_path / "there", halt, quiet, full)
    with pytest.raises(HubError) as here:
        export([fetched(tmp_path / "here", "x-Q4_0", [tiny_gguf()])], tmp_path / "other", halt, quiet, full)
    assert (there.value.code, here.value.code) == ("disk_full", "disk_full")


def test_both_ways_stop_when_told(packed: Path, tmp_path: Path, halt: NoWait) -> None:
    halt.set()
    with pytest.raises(Halted):
        import_bundle(packed, tmp_path / "there", halt, quiet, ROOMY)
    with pytest.raises(Halted):
        export([fetched(tmp_path / "here", "x-Q4_0", [tiny_gguf()])], tmp_path / "other", halt, quiet, ROOMY)
    assert not list((tmp_path / "there").rglob("*.gguf*"))
    assert not list((tmp_path / "other").rglob("*.gguf*"))


MISCHIEF: dict[str, Callable[[dict[str, Any]], object]] = {
    "a repository above": lambda c: c["models"][0]["receipt"].update(repo="../../etc"),
    "a revision in it": lambda c: c["models"][0]["receipt"].update(repo="owner/name@x"),
    "a file above": lambda c: c["models"][0]["receipt"]["files"][0].update(name="../x.gguf"),
    "a file elsewhere": lambda c: c["models"][0]["receipt"]["files"][0].update(name="C:\\x.gguf"),
    "a name above": lambda c: c["models"][0]["receipt"].update(name="../../x"),
    "no hash": lambda c: c["models"][0]["receipt"]["files"][0].pop("sha256"),
    "a plan that is no text": lambda c: c["models"][0].update(plan=[]),
    "no models": lambda c: c.pop("models"),
    "a model that is none": lambda c: c["models"].append(3),
}


@pytest.mark.parametrize("mischief", MISCHIEF)
def test_a_list_with_mischief_in_it_is_refused(packed: Path, tmp_path: Path, halt: NoWait, mischief: str) -> None:
    content = json.loads((packed / LIST_NAME).read_text())
    MISCHIEF[mischief](content)
    (packed / LIST_NAME).write_text(json.dumps(content))
    with pytest.raises(HubError) as caught:
        import_bundle(packed, tmp_path / "there", halt, quiet, ROOMY)
    assert caught.value.code == "damaged_bundle"


def test_what_is_no_bundle_or_a_newer_one_is_named(packed: Path, tmp_path: Path) -> None:
    with pytest.raises(HubError) as none:
        contents(tmp_path)
    (packed / LIST_NAME).write_text('{"form": 2}')
    with pytest.raises(HubError) as newer:
        contents(packed)
    assert (none.value.code, newer.value.code) == ("no_bundle", "newer_bundle")
