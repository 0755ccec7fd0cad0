"""Tesseract as the second recogniser: in the sandbox where it is installed, named where it is not."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from app.documents.faults import DocumentError
from app.documents.pool import ReaderPool
from app.documents.recognisers import find_tesseract
from app.documents.records import Box
from app.documents.tesseract import words_of
from tests.app.documents.made_files import picture, png


def _write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.skipif(find_tesseract() is None, reason="Tesseract is not installed on this machine")
async def test_tesseract_reads_scans_inside_the_sandbox(tmp_path: Path) -> None:
    readers = ReaderPool(1, recogniser=lambda: "tesseract")
    scan = picture(["Corner Shop", "Amount due 35.66", "Thank you very much"])
    try:
        for turn in (0, 90, 180):
            path = _write(tmp_path / f"{turn}.png", png(scan.rotate(turn, expand=True)))
            reading = await readers.read(path)
            assert reading.text.split() == ["Corner", "Shop", "Amount", "due", "35.66", "Thank", "you", "very", "much"]
            assert reading.pages[0].rotation == turn
            (total,) = (word for word in reading.pages[0].words if word.text == "35.66")
            assert 0.5 < total.score <= 1.0
            box = total.box
            assert (box.width > box.height) == (turn != 90), "on the picture as it was"
        assert readers.confinement is not None
        assert readers.confinement.network == (sys.platform == "linux")
    finally:
        await readers.close()


async def test_tesseract_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_tesseract() is None
    readers = ReaderPool(1, recogniser=lambda: "tesseract")
    try:
        with pytest.raises(DocumentError) as caught:
            await readers.read(_write(tmp_path / "scan.png", png(picture(["Sum 1"]))))
        assert caught.value.code == "no_recogniser"
        assert "Set-up" in caught.value.hint
    finally:
        await readers.close()


def test_words_of_a_table_are_those_that_tesseract_is_sure_of() -> None:
    rows = ["level\tpage\t...", "5\t1\t1\t1\t1\t1\t10\t20\t30\t40\t96.5\tTotal", "4\t1\t1\t1\t1\t0\t0\t0\t9\t9\t-1\t"]
    rows += ["5\t1\t1\t1\t1\t2\t50\t20\t30\t40\t3.0\t~~", "5\t1\t1\t1\t1\t3\t50\t20\t0\t40\t90.0\tthin"]
    (word,) = words_of("\n".join(rows))
    assert (word.text, word.score, word.box) == ("Total", 0.965, Box(10, 20, 40, 60))
