"""The collector of garbage leaves alone what stays."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
from pytestqt.qtbot import QtBot

from tests.ui.conftest import House
from ui.garbage import GarbageKeeper
from ui.screenshots import sample


@pytest.fixture
def _thawed() -> Iterator[None]:
    gc.unfreeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("_thawed")
@pytest.mark.slow
def test_what_is_there_is_set_aside_at_the_start_and_when_a_model_is_ready(house: House, qtbot: QtBot) -> None:
    keeper = GarbageKeeper(house.desk.bridge)
    qtbot.waitUntil(lambda: gc.get_freeze_count() > 1000, timeout=5000)
    before = gc.get_freeze_count()
    more = [[number] for number in range(5000)]

    async def announce() -> None:
        house.models.become(sample.READY)

    house.desk.bridge.call(announce)
    qtbot.waitUntil(lambda: gc.get_freeze_count() > before + len(more), timeout=5000)
    keeper.deleteLater()
