"""Everything the store does is done in clear and sealed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.lanes import StoreLane
from app.paths import Paths

KEY = bytes(range(32))


@pytest.fixture(params=["plain", "sealed"])
def lane(paths: Paths, request: pytest.FixtureRequest) -> Iterator[StoreLane]:
    opened = StoreLane(paths.database, KEY if request.param == "sealed" else None)
    yield opened
    opened.close()
