"""The header of a remote model costs a few megabytes, and the files laid for the probe are as long as the real ones."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from engine.errors import GatehouseError, HubError
from engine.gguf.remote import sketch
from engine.gguf.split import read_model
from engine.hub.client import HubClient
from engine.hub.download import resolve
from engine.hub.patience import Halted, Patience
from engine.hub.repository import ModelSource, RemoteModel
from tests.engine.hub.conftest import NoWait
from tests.engine.hub.direct import direct_client
from tests.engine.hub.tiny_gguf import tiny_gguf, tiny_shards
from tests.hub_double import Cut, Fault, HubDouble, HubFile, Stall, Status, Total, Whole

REPO = "owner/model-GGUF"


def resolved(client: HubClient, halt: NoWait) -> RemoteModel:
    return resolve(client, ModelSource(REPO), halt)


def test_header_is_the_same_as_that_of_the_whole_file(
    hub: HubDouble, client: HubClient, halt: NoWait, tmp_path: Path
) -> None:
    content = tiny_gguf(3_000_000)
    whole = tmp_path / "tiny-Q4_0.gguf"
    whole.write_bytes(content)
    hub.add(REPO, {whole.name: content})
    found = sketch(client, resolved(client, halt), tmp_path / "plans", halt)
    real = read_model(whole)
    assert found.header.fingerprint == real.fingerprint
    assert found.header.tensors == real.tensors
    assert found.path.name == whole.name
    assert found.path.stat().st_size == len(content)
    offset = real.shards[0].data_offset
    laid = found.path.read_bytes()
    assert laid[:offset] == content[:offset]
    assert not any(laid[offset:])


def test_second_time_costs_nothing(hub: HubDouble, client: HubClient, halt: NoWait, tmp_path: Path) -> None:
    hub.add(REPO, {"tiny-Q4_0.gguf": tiny_gguf()})
    model = resolved(client, halt)
    first = sketch(client, model, tmp_path, halt)
    before = len(hub.seen)
    again = sketch(client, model, tmp_path, halt)
    assert first.traffic_bytes > 0 == again.traffic_bytes
    assert again.header.fingerprint == first.header.fingerprint
    assert len(hub.seen) == before


def big_file(path: Path, length: int) -> None:
    """A header with a vocabulary of 150,000 words, and a hole in place of 18 GB of weights."""
    words = b"".join(struct.pack("<Q", 8) + b"%08d" % number for number in range(150_000))
    facts = [("general.architecture", "qwen3moe")]
    head = b"".join(_text(key) + struct.pack("<I", 8) + _text(value) for key, value in facts)
    for key, value in (("block_count", 48), ("context_length", 40_960), ("embedding_length", 2048)):
        head += _text(f"qwen3moe.{key}") + struct.pack("<II", 4, value)
    for key in ("tokens", "merges"):
        head += _text(f"tokenizer.ggml.{key}") + struct.pack("<IIQ", 9, 8, 150_000) + words
    rows = (length - 10_000_000) // 8192
    table = _text("blk.0.ffn_up_exps.weight") + struct.pack("<IQQIQ", 2, 2048, rows, 0, 0)
    start = struct.pack("<4sIQQ", b"GGUF", 3, 1, 6) + head + table
    start += bytes(-len(start) % 32)
    with path.open("wb") as file:
        file.write(start)
        file.truncate(len(start) + rows * 8192)


def _text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def test_a_file_of_18_gb_is_planned_for_with_a_few_megabytes(
    hub: HubDouble, client: HubClient, halt: NoWait, tmp_path: Path
) -> None:
    path = tmp_path / "big-Q4_K_M.gguf"
    big_file(path, 18_556_685_824)
    hub.add(REPO, {path.name: HubFile(path, sha256="ab" * 32)})
    found = sketch(client, resolved(client, halt), tmp_path / "plans", halt)
    assert found.header.vocab_size == 150_000
    assert found.path.stat().st_size == path.stat().st_size > 18_000_000_000
    assert 4_000_000 < found.traffic_bytes < 6_000_000
    blocks = getattr(found.path.stat(), "st_blocks", 0)
    assert blocks * 512 < 10_000_000


def test_every_shard_is_looked_at(hub: HubDouble, client: HubClient, halt: NoWait, tmp_path: Path) -> None:
    shards = tiny_shards(3, 1_000_000)
    hub.add(REPO, {f"big-Q4_0-{number:05}-of-00003.gguf": shard for number, shard in enumerate(shards, 1)})
    found = sketch(client, resolved(client, halt), tmp_path, halt)
    assert len(found.header.shards) == 3
    assert len(found.header.tensors) == 3
    assert found.header.file_bytes == sum(len(shard) for shard in shards)


@pytest.mark.parametrize("fault", [Cut(0), Cut(20), Cut(300), Status(503), Stall(100), Stall(0)], ids=str)
def test_a_bad_line_is_gone_on_with(hub: HubDouble, halt: NoWait, tmp_path: Path, fault: Fault) -> None:
    hub.add(REPO, {"tiny-Q4_0.gguf": tiny_gguf()})
    with HubClient(endpoint=hub.address, patience=Patience(stall_s=0.2), make_client=direct_client) as client:
        model = resolved(client, halt)
        hub.misbehave(fault)
        assert sketch(client, model, tmp_path, halt).header.architecture == "llama"
    assert len(halt.waits) <= 1


@pytest.mark.parametrize(
    ("fault", "code"),
    [(Cut(0), "cut_off"), (Status(404), "not_found"), (Total(5), "changed"), (Status(416), "range_refused")],
    ids=str,
)
def test_what_lasts_is_named_and_leaves_nothing_behind(
    hub: HubDouble, client: HubClient, halt: NoWait, tmp_path: Path, fault: Fault, code: str
) -> None:
    hub.add(REPO, {"tiny-Q4_0.gguf": tiny_gguf()})
    model = resolved(client, halt)
    hub.misbehave(fault, forever=True)
    with pytest.raises(HubError) as caught:
        sketch(client, model, tmp_path, halt)
    assert caught.value.code == code
    hub.behave()
    assert sketch(client, model, tmp_path, halt).header.architecture == "llama"


def test_a_server_without_ranges_serves_the_first_one(
    hub: HubDouble, client: HubClient, halt: NoWait, tmp_path: Path
) -> None:
    hub.add(REPO, {"tiny-Q4_0.gguf": tiny_gguf()})
    model = resolved(client, halt)
    hub.misbehave(Whole(), forever=True)
    assert sketch(client, model, tmp_path, halt).header.architecture == "llama"


@pytest.mark.parametrize(
    ("content", "code"),
    [(tiny_gguf(50_000, architecture="clip"), "not_a_model"), (b"<html>" + bytes(500), "not_gguf")],
)
def test_what_is_no_model_is_named(
    hub: HubDouble, client: HubClient, halt: NoWait, tmp_path: Path, content: bytes, code: str
) -> None:
    hub.add(REPO, {"vision-F16.gguf": content})
    with pytest.raises(GatehouseError) as caught:
        sketch(client, resolved(client, halt), tmp_path, halt)
    assert caught.value.code == code
    assert not list(tmp_path.rglob("*.gguf"))


def test_a_header_without_end_is_given_up(
    hub: HubDouble, client: HubClient, halt: NoWait, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.gguf.remote.TRAFFIC_LIMIT_BYTES", 100_000)
    path = tmp_path / "big-Q4_K_M.gguf"
    big_file(path, 1_000_000_000)
    hub.add(REPO, {path.name: HubFile(path, sha256="ab" * 32)})
    with pytest.raises(HubError) as caught:
        sketch(client, resolved(client, halt), tmp_path / "plans", halt)
    assert caught.value.code == "header_too_long"


def test_it_stops_when_told(hub: HubDouble, client: HubClient, halt: NoWait, tmp_path: Path) -> None:
    hub.add(REPO, {"tiny-Q4_0.gguf": tiny_gguf()})
    model = resolved(client, halt)
    halt.set()
    with pytest.raises(Halted):
        sketch(client, model, tmp_path, halt)
