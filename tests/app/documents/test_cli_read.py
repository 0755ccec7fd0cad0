"""``gatehouse read`` as a person or a script runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.app.documents.made_files import INVOICE, pdf


def gatehouse(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "app", "read", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, encoding="utf-8")


@pytest.mark.slow
def test_json_holds_words_with_places(tmp_path: Path) -> None:
    path = tmp_path / "bill.pdf"
    path.write_bytes(pdf(INVOICE, password="geheim"))
    refused = gatehouse(str(path), "--json")
    assert refused.returncode == 1
    assert "encrypted. Name a file that holds its password: --password-file." in refused.stderr
    assert not refused.stdout
    (tmp_path / "secret").write_text("geheim\n")
    done = gatehouse(str(path), "--json", "--password-file", str(tmp_path / "secret"))
    assert done.returncode == 0, done.stderr
    reading = json.loads(done.stdout)
    assert (reading["kind"], reading["encrypted"], len(reading["pages"])) == ("pdf", True, 1)
    word = next(word for word in reading["pages"][0]["words"] if word["text"] == "35.66")
    assert reading["text"][word["start"] : word["end"]] == "35.66"
    assert len(word["box"]) == 4


@pytest.mark.slow
def test_a_folder_of_words_and_one_bad_file_in_it(tmp_path: Path) -> None:
    box = tmp_path / "box"
    box.mkdir()
    (box / "1.csv").write_text("0,0,50,0,50,10,0,10,TOTAL 9.00\n")
    (box / "2.csv").write_text("not a list\n")
    done = gatehouse(str(tmp_path), "--words", "--json")
    assert done.returncode == 1
    (line,) = done.stdout.splitlines()
    assert json.loads(line)["text"].split() == ["TOTAL", "9.00"]
    assert "2.csv" in done.stderr
