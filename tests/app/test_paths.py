"""Where things lie."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest

from app.paths import DATA_DIR_VARIABLE, resolve


def test_option_wins_over_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DATA_DIR_VARIABLE, str(tmp_path / "environment"))
    assert resolve().data == tmp_path / "environment"
    assert resolve(tmp_path / "option").data == tmp_path / "option"


def test_one_folder_holds_everything_writable(tmp_path: Path) -> None:
    paths = resolve(tmp_path / "here")
    writable = (paths.cache, paths.logs, paths.models, paths.database, paths.settings, paths.backups, paths.log_file)
    assert all(path.is_relative_to(tmp_path / "here") for path in writable)
    assert paths.built_in_models.is_relative_to(sys.prefix)


def test_platform_folders_are_named_for_the_product(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(DATA_DIR_VARIABLE)
    paths = resolve()
    assert all("gatehouse" in str(folder).lower() for folder in (paths.data, paths.cache, paths.logs))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has access lists instead of modes")
def test_nobody_else_may_read(tmp_path: Path) -> None:
    paths = resolve(tmp_path / "private")
    paths.make_folders()
    paths.make_folders()
    assert stat.S_IMODE(paths.data.stat().st_mode) == 0o700
