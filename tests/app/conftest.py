"""A real store in a real folder for every test of ``app``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.lanes import StoreLane
from app.paths import Paths, resolve


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    found = resolve(tmp_path / "data")
    found.make_folders()
    return found


@pytest.fixture
def lane(paths: Paths) -> Iterator[StoreLane]:
    opened = StoreLane(paths.database)
    yield opened
    opened.close()
