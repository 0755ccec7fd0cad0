"""``gatehouse store …`` as scripts run it: nothing secret in arguments, sentences and codes on the way out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.vault.vault import Vault

PASSPHRASE = "correct horse battery"
ROOT = Path(__file__).parents[3]


def run(folder: Path, *arguments: str, typed: str = "", file: Path | None = None) -> subprocess.CompletedProcess[str]:
    named = {"GATEHOUSE_PASSPHRASE_FILE": str(file)} if file else {}
    return subprocess.run(
        [sys.executable, "-m", "app", "--data-dir", str(folder), *arguments],
        input=typed,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        check=False,
        env={**os.environ, **named},
    )


@pytest.mark.slow
def test_from_plain_to_restored(tmp_path: Path) -> None:
    data = tmp_path / "data"
    plain = json.loads(run(data, "store", "status", "--json").stdout)
    assert (plain["lock"], bool(plain["next_step"])) == ("plain", True)
    assert run(data, "models").returncode == 0  # makes the store
    chosen = run(data, "store", "passphrase", typed=PASSPHRASE + "\n")
    assert chosen.returncode == 0, chosen.stderr
    code = chosen.stdout.partition("Recovery code: ")[2].split()[0]
    assert len(code) == 34

    refused = run(data, "models")
    assert refused.returncode == 1
    assert "GATEHOUSE_PASSPHRASE_FILE" in refused.stderr
    kept = tmp_path / "passphrase"
    kept.write_text(PASSPHRASE + "\n")
    assert run(data, "models", file=kept).returncode == 0

    wrong = run(data, "store", "rotate", typed="not it\n")
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert "not the passphrase" in wrong.stderr
    copy = tmp_path / "a.gatehouse"
    assert run(data, "store", "backup", str(copy), file=kept).returncode == 0
    rotated = run(data, "store", "rotate", typed=code + "\n")
    assert "new key" in rotated.stdout, rotated.stderr
    restored = json.loads(run(data, "store", "restore", str(copy), "--json", file=kept).stdout)
    assert restored["conversations"] == 0
    assert Path(restored["kept_as"]).exists()
    vault = Vault(data / "gatehouse.db")
    vault.unlock(PASSPHRASE)
    logs = "".join(path.read_text() for path in (data / "logs").glob("*"))
    assert PASSPHRASE not in logs
    assert code not in logs


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("lock", "--after", "0"), "no number of minutes"),
        (("retention", "--keep", "secret=9"), "is no rule"),
        (("retention", "--hold", "nobody"), "no conversation or document"),
        (("restore", "/nowhere"), "There is no file"),
        (("backup", "/nowhere/a"), "no store"),
        (("unlock",), "no terminal"),
    ],
)
@pytest.mark.slow
def test_what_cannot_be_is_a_sentence(tmp_path: Path, arguments: tuple[str, ...], sentence: str) -> None:
    done = run(tmp_path / "data", "store", *arguments)
    assert done.returncode == 1, done.stderr
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_retention_lists_first(tmp_path: Path) -> None:
    data = tmp_path / "data"
    listed = run(data, "store", "retention", "--keep", "confidential=90", "--json")
    assert listed.returncode == 0, listed.stderr
    found = json.loads(listed.stdout)
    assert (found["keep_days"]["confidential"], found["due"], found["shredded"]) == (90, [], None)
    assert "90 days" in run(data, "store", "retention").stdout
