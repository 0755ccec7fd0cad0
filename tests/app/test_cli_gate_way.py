"""``gatehouse providers`` and ``gatehouse ledger``, against a provider in a process of its own."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from app import commands
from app.paths import Paths, resolve
from engine.errors import GatehouseError
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


def test_a_team_server_on_the_internet_is_refused(paths: Paths) -> None:
    with pytest.raises(GatehouseError) as caught:
        run(paths, "providers", "add", "Team", "https://8.8.8.8/v1", "m", "--team")
    assert caught.value.code == "not_local"


@pytest.mark.slow
def test_a_key_is_in_no_process_list_log_or_file(tmp_path: Path) -> None:
    """A passphrase seals the keys here, as no keyring service runs; the key is used while everybody looks."""
    from app.store import database
    from app.vault.changing import set_passphrase
    from app.vault.vault import Vault

    data = tmp_path / "data"
    vault = Vault(data / "gatehouse.db")
    vault.open()
    database.open_writer(vault.database).close()
    set_passphrase(vault, "a long enough passphrase")
    vault.put_secret("provider-x", KEY)
    found = [path for path in data.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]
    assert not found
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from app.vault.vault import Vault\n"
        "vault = Vault(Path(sys.argv[1]) / 'gatehouse.db')\n"
        "vault.unlock(sys.stdin.readline().strip())\n"
        "key = vault.get_secret('provider-x')\n"
        "print(len(key), flush=True)\n"
        "sys.stdin.readline()\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(data)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        child.stdin.write("a long enough passphrase\n")
        child.stdin.flush()
        assert child.stdout.readline().strip() == str(len(KEY))
        looked_at = psutil.Process(child.pid)
        assert KEY not in " ".join(looked_at.cmdline())
        assert KEY not in " ".join(looked_at.environ().values())
    finally:
        child.communicate("\n", timeout=20)
    assert KEY not in "".join(os.environ.values())
