"""Pictures are made by the command, of the right size, and the same twice."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from PySide6.QtGui import QImage

from tests.ui.running import ROOT, environment
from ui.screenshots.stage import palette_of


def _render(out: Path, *names: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ui.screenshots", "--light", "--out", str(out), *names]
    return subprocess.run(
        command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.slow
def test_scenes_are_rendered_and_are_the_same_twice(tmp_path: Path) -> None:
    names = ("chat", "models", "error")
    for folder in ("one", "two"):
        done = _render(tmp_path / folder, *names)
        assert done.returncode == 0, done.stderr
    for name in names:
        one, two = (QImage(str(tmp_path / folder / f"{name}-light.png")) for folder in ("one", "two"))
        assert (one.width(), one.height()) == (1920, 1200)
        assert one == two, name


def test_an_unknown_scene_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    done = _render(tmp_path, "nonsense")
    assert done.returncode == 2
    assert "nonsense" in done.stderr
    assert "models-misfit" in done.stderr


def test_a_rare_colour_keeps_its_place_among_common_ones() -> None:
    greys = {0xFF000000 | (value << 16) | (value << 8) | value: 1000 for value in range(256)}
    red = 0xFFCC0000
    chosen = palette_of(Counter({**greys, red: 1}))
    assert red in chosen
    assert len(chosen) == 256
