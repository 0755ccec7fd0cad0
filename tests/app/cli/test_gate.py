"""``gatehouse gate scan``: spans that count characters of the file, and files that are no text."""

import io
import json
import sys
from pathlib import Path

import pytest

from app.cli import commands
from app.paths import resolve
from engine.errors import GatehouseError

TEXT = "Überweisung:\r\n\tDE89 3704 0044 0532 0130 00 an 🙂 zoe@mail.example\r\n"


@pytest.mark.slow
def test_findings_have_spans_of_the_file_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "note.txt"
    file.write_bytes(TEXT.encode())

    assert commands.run(["gate", "scan", str(file), "--json"], resolve(tmp_path / "data")) == 0

    told = json.loads(capsys.readouterr().out)
    assert [(one["kind"], one["text"]) for one in told["findings"]] == [
        ("IBAN", "DE89 3704 0044 0532 0130 00"),
        ("EMAIL", "zoe@mail.example"),
    ]
    assert all(TEXT[one["start"] : one["end"]] == one["text"] for one in told["findings"])
    assert (told["names_sought"], told["characters"]) == (False, len(TEXT))


def test_what_is_no_text_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "scan.pdf"
    file.write_bytes(b"%PDF-1.7\xff\xfe")
    with pytest.raises(GatehouseError, match=r"byte 8 "):
        commands.run(["gate", "scan", str(file)], resolve(tmp_path / "data"))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"x" * (17 << 20))))
    with pytest.raises(GatehouseError, match="16 MiB"):
        commands.run(["gate", "scan", "-"], resolve(tmp_path / "data"))


@pytest.mark.native
@pytest.mark.slow
def test_the_local_model_looks_for_names_when_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "note.txt"
    file.write_text("Dear Dr. Ruth Ashby, the flat in Salem is free.")

    assert commands.run(["gate", "scan", str(file), "--names", "--json"], resolve(tmp_path / "data")) == 0

    told = json.loads(capsys.readouterr().out)
    assert told["names_sought"]
    assert "Ruth Ashby" in "|".join(one["text"] for one in told["findings"])
