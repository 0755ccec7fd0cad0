"""``gatehouse providers`` and ``gatehouse ledger``, against a provider in a process of its own."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from app.cli import commands
from app.paths import Paths, resolve
from engine.errors import GatehouseError
from tests.app.vault.conftest import use_keyring
from tests.app.vault.file_keyring import FileKeyring
from tests.cloud_double import KEY, CloudDouble


@pytest.fixture(scope="module")
def cloud() -> Iterator[CloudDouble]:
    with CloudDouble() as double:
        yield double


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return resolve(tmp_path / "data")


def run(paths: Paths, *arguments: str) -> int:
    return commands.run(arguments, paths)


def test_a_provider_from_adding_to_forgetting(
    cloud: CloudDouble, paths: Paths, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(paths, "ledger") == 0
    assert "0 bytes left this machine." in capsys.readouterr().out
    assert run(paths, "providers", "add", "House", cloud.base_url, "good", "--no-key", "--input-usd", "1") == 0
    assert run(paths, "ledger") == 0
    assert "0 bytes left this machine." in capsys.readouterr().out, "adding asks nobody"
    assert run(paths, "providers", "test", "hou") == 0
    assert "House answers with good." in capsys.readouterr().out
    assert run(paths, "ledger", "list", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["requests"] == 2
    assert {row["consent"] for row in told["rows"]} == {"command"}
    assert told["left"]["total"] == sum(row["bytes_out"] for row in told["rows"] if row["part"] == "ended") > 0
    assert run(paths, "ledger", "verify", "--json") == 0
    head = json.loads(capsys.readouterr().out)["head"]
    assert run(paths, "ledger", "verify", "--head", head) == 0
    assert run(paths, "ledger", "export", str(tmp_path / "out.jsonl")) == 0
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 4
    (paths.data / "ledger.head").write_text("{}")
    assert run(paths, "ledger", "verify") == 1
    assert run(paths, "providers", "remove", "House") == 0
    capsys.readouterr()
    assert run(paths, "providers", "list", "--json") == 0
    assert json.loads(capsys.readouterr().out) == []


def test_a_key_without_a_safe_place_is_not_kept(
    paths: Paths, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(KEY + "\n"))
    with pytest.raises(GatehouseError) as caught:
        run(paths, "providers", "add", "Cloud", "https://api.example.com/v1", "m")
    assert caught.value.code == "no_place"
    assert run(paths, "providers", "list", "--json") == 0
    assert json.loads(capsys.readouterr().out) == []
    assert not [path for path in paths.data.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]


def test_budgets_are_set_told_and_stop(cloud: CloudDouble, paths: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    prices = ("--no-key", "--input-usd", "1000", "--output-usd", "1000")
    assert run(paths, "providers", "add", "Dear", cloud.base_url, "good", *prices) == 0
    assert run(paths, "ledger", "budget", "--day", "0.001", "--month", "none") == 0
    assert "of $0.00" in capsys.readouterr().out
    before = len(cloud.answers_asked())
    assert run(paths, "providers", "test", "Dear") == 1
    assert "nothing was sent" in capsys.readouterr().err
    assert len(cloud.answers_asked()) == before
    with pytest.raises(GatehouseError):
        run(paths, "ledger", "budget", "--day", "a lot")


def test_prices_that_a_budget_asks_for_can_be_said_later(
    cloud: CloudDouble, paths: Paths, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(paths, "providers", "add", "House", cloud.base_url, "good", "--no-key", "--context", "4096") == 0
    assert run(paths, "ledger", "budget", "--day", "1", "--month", "none") == 0
    assert run(paths, "providers", "test", "House") == 1
    assert "gatehouse providers change" in capsys.readouterr().err
    assert run(paths, "providers", "change", "hou", "--input-usd", "1", "--output-usd", "0") == 0
    capsys.readouterr()
    assert run(paths, "providers", "list", "--json") == 0
    (one,) = json.loads(capsys.readouterr().out)
    told = (one["name"], one["model"], one["n_ctx"], one["input_usd_per_mtok"], one["output_usd_per_mtok"])
    assert told == ("House", "good", 4096, 1.0, 0.0)
    assert run(paths, "providers", "test", "House") == 0
    with pytest.raises(GatehouseError) as caught:
        run(paths, "providers", "change", "House")
    assert caught.value.code == "nothing_to_change"


def test_a_team_server_on_the_internet_is_refused(paths: Paths) -> None:
    with pytest.raises(GatehouseError) as caught:
        run(paths, "providers", "add", "Team", "https://8.8.8.8/v1", "m", "--team")
    assert caught.value.code == "not_local"


_ASKING = """
import sys
from pathlib import Path
from app.bootstrap import build
from app.gate.records import Provider
from app.log import open_log
from app.paths import resolve

paths = resolve(Path(sys.argv[1]))
paths.make_folders()
open_log(paths.log_file)
product = build(paths, exclusive=True)
gate = product.services.gate
wanted = Provider("", "House", sys.argv[2], "stall", "team", 2048, 1.0, 2.0)
saved = product.run(gate.save_provider(wanted, sys.stdin.readline().strip()))
told = product.run(gate.test_provider(saved.id))
assert "silent" in told.sentence or "fell" in told.sentence, told
product.close()
"""


@pytest.mark.slow
def test_a_key_is_in_no_process_list_log_or_file(
    cloud: CloudDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reaches its provider, and nobody else sees it, while it is used and afterwards."""
    use_keyring(monkeypatch, tmp_path / "keyring.json", FileKeyring)
    key = "sk-secret-9f8e7d6c5b4a"
    before = len(cloud.seen())
    child = subprocess.Popen(
        [sys.executable, "-c", _ASKING, str(tmp_path / "data"), cloud.base_url],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert child.stdin is not None
    child.stdin.write(key + "\n")
    child.stdin.flush()
    try:
        deadline, pause = time.monotonic() + 60, threading.Event()
        while len(cloud.seen()) < before + 2:  # its models, then the word that never comes
            assert child.poll() is None, child.communicate()[0]
            assert time.monotonic() < deadline
            for process in _family(child.pid):
                assert key not in process
            pause.wait(0.05)
        assert all(key not in process for process in _family(child.pid))
        assert cloud.seen()[-1].headers["authorization"] == f"Bearer {key}"
    finally:
        child.kill()
        printed, _ = child.communicate(timeout=20)
    assert key not in printed
    found = [path for path in (tmp_path / "data").rglob("*") if path.is_file() and key.encode() in path.read_bytes()]
    assert not found
    assert key in (tmp_path / "keyring.json").read_text(), "the keyring has it, so it was there to be found"


def _family(pid: int) -> list[str]:
    """What everybody may see of a process and its children."""
    seen = []
    try:
        one = psutil.Process(pid)
        for process in (one, *one.children(recursive=True)):
            with suppress(psutil.Error):
                seen.append(" ".join([*process.cmdline(), *process.environ().values()]))
    except psutil.Error:
        return seen
    return seen
