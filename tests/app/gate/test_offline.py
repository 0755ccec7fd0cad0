"""One switch for every process of the product, whichever turned it."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from app.cli import commands
from app.gate import offline
from app.gate.offline import OFFLINE_VARIABLE, Offline
from app.paths import Paths, resolve
from app.settings import Settings


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    made = resolve(tmp_path / "data")
    made.make_folders()
    return made


async def test_a_command_switches_a_product_that_runs(
    paths: Paths, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And what the window saves afterwards does not switch it back."""
    monkeypatch.setattr(offline, "_LOOK_S", 0.01)
    settings = Settings(paths.settings)
    running, told = Offline(settings), asyncio.Queue[bool]()
    running.listen(told.put_nowait)
    running.follow()
    assert await asyncio.to_thread(commands.run, ["offline", "on"], paths) == 0
    assert await asyncio.wait_for(told.get(), 10)
    settings.update(appearance="dark")
    assert running.is_on is True
    assert Offline(Settings(paths.settings)).is_on
    assert await asyncio.to_thread(commands.run, ["offline", "off"], paths) == 0
    assert not await asyncio.wait_for(told.get(), 10)
    assert Offline(settings).is_on is False
    capsys.readouterr()
    await running.switch(True)
    assert await asyncio.to_thread(commands.run, ["offline", "--json"], paths) == 0
    assert json.loads(capsys.readouterr().out) == {"offline": True, "forced": False}


def test_the_environment_is_told(
    paths: Paths, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(OFFLINE_VARIABLE, "1")
    assert commands.run(["offline", "off"], paths) == 0
    assert OFFLINE_VARIABLE in capsys.readouterr().out
    assert commands.run(["offline", "sideways"], paths) == 2


def test_a_switch_of_before_stays_on(paths: Paths) -> None:
    paths.settings.write_text('{"offline": true}')
    settings = Settings(paths.settings)
    assert Offline(settings).is_on
    Offline(settings).set(False)
    assert not Offline(Settings(paths.settings)).is_on


@pytest.mark.skipif(sys.platform == "win32", reason="needs a folder that cannot be written")
async def test_what_cannot_be_switched_off_stays_on(paths: Paths) -> None:
    switch = Offline(Settings(paths.settings))
    (paths.data / "offline").mkdir()
    with pytest.raises((IsADirectoryError, PermissionError)):
        await switch.switch(False)
    assert switch.is_on
