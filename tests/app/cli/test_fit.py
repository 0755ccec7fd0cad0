"""``gatehouse fit``: for files, names and repositories, on this machine and on described ones."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.cli import commands
from app.cli.fit import EXIT_MISFIT
from app.paths import Paths, resolve
from engine.errors import GatehouseError
from engine.gguf.split import read_model
from tests.hub_double import HubDouble, HubFile
from tests.large_header import make_large_header

REPO = "owner/model-GGUF"
MACHINE = "ram=32GiB,gpu=16GiB:448GB/s,cpu=50GB/s"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubDouble]:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    with HubDouble() as double:
        monkeypatch.setenv("HF_ENDPOINT", double.address)
        yield double


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    found = resolve(tmp_path / "data")
    found.make_folders()
    return found


@pytest.fixture
def ask(paths: Paths, capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*arguments: str) -> dict[str, Any]:
        code = commands.run(["fit", *arguments, "--json"], paths)
        told: dict[str, Any] = json.loads(capsys.readouterr().out)
        assert code == (0 if told.get("fits", True) else EXIT_MISFIT)
        return told

    return run


def _assert_complete(told: dict[str, Any]) -> None:
    """All that the issue promises."""
    assert {"model", "fits", "reason", "n_ctx", "devices", "experts_in_ram_layers", "kv_type"} <= told.keys()
    for device in told["devices"]:
        assert {"name", "kind", "free_bytes", "weights_bytes", "kv_bytes", "compute_bytes"} <= device.keys()
    for speed in ("prefill_tok_s", "decode_tok_s"):
        if told["fits"]:
            assert 0 < told[speed]["low"] < told[speed]["likely"] < told[speed]["high"]
        else:
            assert told[speed] is None


def test_mixtral_on_a_described_machine(ask: Any) -> None:
    told = ask("mixtral-8x7b", "--machine", MACHINE, "--context", "4096")
    _assert_complete(told)
    assert told["fits"]
    assert not told["exact"]
    assert told["n_ctx"] == 4_096
    assert [device["kind"] for device in told["devices"]] == ["gpu", "cpu"]
    assert sum(device["weights_bytes"] for device in told["devices"]) == pytest.approx(28.4e9, rel=0.01)
    assert told["experts_in_ram_layers"][-1] == 31
    assert told["devices"][1]["kv_bytes"] == 0


def test_users_each_have_a_context(ask: Any) -> None:
    told = ask("mixtral-8x7b", "--machine", MACHINE, "--context", "2048", "--users", "3")
    assert (told["n_ctx_each"], told["n_ctx"], told["n_seq_max"], told["kv_unified"]) == (2_048, 3 * 2_048, 3, False)
    assert "with a context of 2,048 tokens for each of 3 users" in told["reason"]
    one_pool = ask("mixtral-8x7b", "--machine", MACHINE, "--context", "6144", "--sessions", "3")
    assert (one_pool["n_ctx_each"], one_pool["kv_unified"]) == (6_144, True)
    assert sum(device["kv_bytes"] for device in told["devices"]) == sum(
        device["kv_bytes"] for device in one_pool["devices"]
    )


def test_mixtral_on_16_gigabytes(ask: Any) -> None:
    told = ask("mixtral-8x7b", "--machine", "ram=16GiB,cpu=50GB/s")
    _assert_complete(told)
    assert not told["fits"]
    assert "are missing" in told["reason"]
    assert told["offered_n_ctx"] is None


def test_the_quantization_of_a_name_counts(ask: Any) -> None:
    small = ask("qwen3-30b-a3b-2507:UD-IQ2_XXS", "--machine", "ram=16GiB", "--context", "4096")
    assert small["fits"]
    assert "UD-IQ2_XXS" in small["model"]
    assert not ask("qwen3-30b-a3b-2507", "--machine", "ram=16GiB", "--context", "4096")["fits"]


@pytest.mark.native
def test_a_file_here_is_planned_exactly(ask: Any, paths: Paths) -> None:
    starter = paths.built_in_models / "SmolLM2-135M-Instruct-Q4_1.gguf"
    by_file = ask(str(starter), "--context", "2048", "--machine", "ram=8GiB,cpu=30GB/s")
    _assert_complete(by_file)
    assert by_file["exact"]
    assert by_file["devices"][0]["weights_bytes"] == read_model(starter).weights_bytes
    by_name = ask(starter.stem, "--context", "2048", "--machine", "ram=8GiB,cpu=30GB/s")
    assert ask("smollm2-135m-instruct", "--context", "2048", "--machine", "ram=8GiB,cpu=30GB/s") == by_name
    assert by_name == by_file


@pytest.mark.native
@pytest.mark.slow
def test_a_repository_is_planned_from_its_header(ask: Any, hub: HubDouble, tmp_path: Path, paths: Paths) -> None:
    path = make_large_header(tmp_path / "Qwen3-30B-A3B-Q4_K_M.gguf")
    hub.add(REPO, {path.name: HubFile(path, sha256="ab" * 32)})
    told = ask(f"{REPO}:Q4_K_M", "--context", "8192", "--machine", "ram=32GiB,gpu=8GiB:448GB/s,cpu=50GB/s")
    _assert_complete(told)
    assert told["fits"]
    assert told["exact"]
    assert 0 < told["traffic_bytes"] <= 30_000_000
    kept = told["experts_in_ram_layers"]
    assert kept == list(range(48 - len(kept), 48))
    assert len(kept) > 24
    assert sum(device["kv_bytes"] for device in told["devices"]) == 48 * 8_192 * 4 * 128 * 2 * 2
    assert not list(paths.models.rglob("*.gguf"))
    # The header is kept: the same question needs no traffic.
    assert ask(f"{REPO}:Q4_K_M", "--machine", "ram=64GiB")["traffic_bytes"] == 0


def test_a_recommendation_in_three_tiers(ask: Any) -> None:
    told = ask("--machine", "ram=16GiB,cpu=50GB/s", "--task", "code")
    assert told["task"] == "code"
    assert told["strong"]
    for pick in (*told["fast"], *told["strong"]):
        _assert_complete(pick)
        assert pick["fits"]
        assert pick["reasons"]
        assert pick["repo"].count("/") == 1
    assert told["cloud"]
    assert not any(pick["fits"] for pick in told["cloud"])


def test_text_has_a_table_of_the_memories(paths: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.run(["fit", "mixtral-8x7b", "--machine", MACHINE], paths) == 0
    text = capsys.readouterr().out
    assert text.startswith("Mixtral 8x7B Instruct v0.1 Q4_K_M fits.")
    rows = [line.split() for line in text.splitlines()]
    assert [row[0] for row in rows if row and row[0] in ("DEVICE", "CUDA0", "CPU")] == ["DEVICE", "CUDA0", "CPU"]
    assert "stay in main memory, because the cards cannot hold them" in text
    assert commands.run(["fit", "mixtral-8x7b", "--machine", "ram=16GiB"], paths) == 3
    assert "does not fit" in capsys.readouterr().out
    assert commands.run(["fit", "--machine", "ram=16GiB"], paths) == 0
    assert "Strong: the best that this machine can run" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("no-such-model", "--machine", "ram=8GiB"), "no_such_model"),
        (("mixtral-8x7b", "--machine", "ram=much"), "bad_machine"),
        (("mixtral-8x7b", "--machine", "ram=8GiB", "--profile", "poems"), "bad_option"),
        (("mixtral-8x7b:Q9", "--machine", "ram=8GiB"), "no_such_file"),
    ],
)
def test_what_cannot_be_answered_says_why(paths: Paths, arguments: tuple[str, ...], code: str) -> None:
    with pytest.raises(GatehouseError) as caught:
        commands.run(["fit", *arguments], paths)
    assert caught.value.code == code
