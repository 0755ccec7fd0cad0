"""``gatehouse pull`` and ``gatehouse bundle`` against a hub on loopback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.cli import commands
from app.paths import Paths, resolve
from engine.errors import GatehouseError, HubError
from engine.hub.journal import unfinished
from tests.engine.hub.tiny_gguf import tiny_gguf, tiny_shards
from tests.hub_double import GOOD_TOKEN, Gate, HubDouble
from tests.made_models import TINY_LLAMA, make_tiny

REPO = "owner/model-GGUF"
CONTENT = tiny_gguf(300_000)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubDouble]:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    # The disk is shared by everybody who tests on this machine; that flushing happens is proven elsewhere.
    monkeypatch.setattr(os, "fsync", lambda _: None)
    with HubDouble() as double:
        monkeypatch.setenv("HF_ENDPOINT", double.address)
        double.add(REPO, {"m-Q4_K_M.gguf": CONTENT, "m-Q8_0.gguf": tiny_gguf(400_000, seed=2)})
        yield double


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return resolve(tmp_path / "data")


def run(paths: Paths, *arguments: str) -> int:
    return commands.run(arguments, paths)


def test_pull_brings_a_model_and_tells_where_it_is(
    hub: HubDouble, paths: Paths, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(paths, "pull", REPO) == 0
    path = paths.models / "owner/model-GGUF/m-Q4_K_M.gguf"
    assert path.read_bytes() == CONTENT
    assert str(path) in capsys.readouterr().out


def test_pull_takes_the_named_quantization_and_speaks_json(
    hub: HubDouble, paths: Paths, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(paths, "pull", REPO, "-q", "Q8_0", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["model"] == "m-Q8_0"
    assert Path(told["path"]).stat().st_size == told["size_bytes"]
    assert told["receipt"]["files"][0]["sha256"] == hub.repos[REPO].files["m-Q8_0.gguf"].sha256


def test_pull_of_the_catalogue_holds_the_hub_against_it(
    hub: HubDouble, paths: Paths, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.add("unsloth/Qwen3-0.6B-GGUF", {"Qwen3-0.6B-Q4_K_M.gguf": CONTENT})
    hub.repos["unsloth/Qwen3-0.6B-GGUF"].also_commits = tuple(_revisions("qwen3-0.6b"))
    with pytest.raises(HubError) as caught:
        run(paths, "pull", "qwen3-0.6b")
    assert caught.value.code == "hash_disagrees"
    assert "Thinks before it answers" in capsys.readouterr().err
    assert not hub.ranges()


def _revisions(name: str) -> list[str]:
    from engine.hub.catalogue import load_catalogue

    model = load_catalogue().find(name)
    assert model is not None
    return [variant.revision for variant in model.variants if variant.revision]


def test_pull_sends_the_token_of_the_file_to_a_gated_repository(hub: HubDouble, paths: Paths, tmp_path: Path) -> None:
    hub.repos[REPO].gated = True
    with pytest.raises(HubError) as caught:
        run(paths, "pull", REPO)
    assert caught.value.code == "gated"
    token = tmp_path / "token"
    token.write_text(f"{GOOD_TOKEN}\n")
    assert run(paths, "pull", REPO, "--token-file", str(token)) == 0


@pytest.mark.parametrize(
    ("name", "code"), [("no-such-model", "no_such_model"), ("a/b/c", "bad_source"), ("owner/other", "not_found")]
)
def test_pull_of_what_is_not_there_says_so(hub: HubDouble, paths: Paths, name: str, code: str) -> None:
    with pytest.raises(GatehouseError) as caught:
        run(paths, "pull", name)
    assert caught.value.code == code


def test_bundle_goes_there_and_back(
    hub: HubDouble, paths: Paths, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.add("owner/big-GGUF", {f"b-Q4_0-0000{n}-of-00002.gguf": c for n, c in enumerate(tiny_shards(2), 1)})
    assert run(paths, "pull", REPO) == run(paths, "pull", "owner/big-GGUF") == 0
    bundle, there = tmp_path / "stick", resolve(tmp_path / "there")
    assert run(paths, "bundle", "export", "m-Q4_K_M", "b-q4", "--to", str(bundle)) == 0
    capsys.readouterr()
    assert run(there, "bundle", "import", str(bundle), "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert [entry["error"] for entry in told] == [None, None]
    assert (there.models / "owner/model-GGUF/m-Q4_K_M.gguf").read_bytes() == CONTENT
    (bundle / "owner/big-GGUF/b-Q4_0-00002-of-00002.gguf").write_bytes(b"GGUF")
    other = resolve(tmp_path / "other")
    assert run(other, "bundle", "import", str(bundle)) == 1
    captured = capsys.readouterr()
    assert "m-Q4_K_M: verified" in captured.out
    assert "b-Q4_0-00002-of-00002.gguf in the bundle is damaged" in captured.err


@pytest.mark.native
def test_a_bundle_carries_a_plan_that_is_held_against_the_other_machine(
    paths: Paths, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, bundle = make_tiny(TINY_LLAMA, tmp_path / "tiny.gguf"), tmp_path / "stick"
    assert run(paths, "bundle", "export", str(model), "--to", str(bundle)) == 0
    capsys.readouterr()
    assert run(resolve(tmp_path / "there"), "bundle", "import", str(bundle), "--json") == 0
    (arrived,) = json.loads(capsys.readouterr().out)
    assert arrived["error"] is None
    assert arrived["plan"]["holds"]
    assert "holds here" in arrived["plan"]["sentence"]


def test_bundle_of_what_is_not_there_says_so(paths: Paths, tmp_path: Path) -> None:
    with pytest.raises(HubError, match="There is no downloaded model"):
        run(paths, "bundle", "export", "nothing", "--to", str(tmp_path / "stick"))


@pytest.mark.skipif(sys.platform == "win32", reason="sends the signal of the keyboard")
@pytest.mark.slow
def test_an_interrupt_keeps_what_arrived(hub: HubDouble, paths: Paths) -> None:
    gate = Gate(200_000)
    hub.misbehave(gate, path="m-Q4_K_M")
    command = [sys.executable, "-m", "app", "--data-dir", str(paths.data), "pull", f"{REPO}:Q4_K_M"]
    child = subprocess.Popen(command, stderr=subprocess.PIPE)
    assert gate.reached.wait(30)
    child.send_signal(signal.SIGINT)
    _, told = child.communicate(timeout=30)
    assert child.returncode == 130, told
    assert b"What has arrived is kept" in told
    assert len(unfinished(paths.models)) == 1
    assert run(paths, "pull", REPO) == 0
    assert (paths.models / "owner/model-GGUF/m-Q4_K_M.gguf").read_bytes() == CONTENT
