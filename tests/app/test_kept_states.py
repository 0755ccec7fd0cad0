"""What workers are told about kept states, and what is left of a conversation that was deleted."""

from __future__ import annotations

import asyncio
import dataclasses
import io
import json
from array import array
from pathlib import Path

import pytest

from app.kept_states import KeptConversations
from app.paths import Paths
from app.settings import RANGES, Settings, SettingsValues
from app.vault.records import StoreSecret
from engine.errors import WorkerError
from engine.serving.kept.form import Binding, Names, seal
from tests.app.chat.doubles import ENDPOINT, ScriptedProvider

SECRET = StoreSecret.make()


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path, tmp_path / "cache", tmp_path / "logs", tmp_path / "built-in")


@pytest.fixture
def made(paths: Paths) -> tuple[KeptConversations, Settings, ScriptedProvider]:
    settings, provider = Settings(paths.settings), ScriptedProvider()
    return KeptConversations(paths, settings, provider, SECRET.derive), settings, provider


Made = tuple[KeptConversations, Settings, ScriptedProvider]


def keep(paths: Paths, key: bytes, conversation: str) -> Path:
    """A state as a worker writes it."""
    binding, names = Binding("build", "model", "f16"), Names(key)
    file = io.BytesIO()
    seal(file, key, binding, array("i", [1, 2, 3]), memoryview(b"state"))
    paths.kept_states.mkdir(parents=True, exist_ok=True)
    path = paths.kept_states / str(names.new(binding, names.owner(conversation)))
    path.write_bytes(file.getvalue())
    return path


def test_a_worker_is_told_where_how_much_and_under_which_key(made: Made, paths: Paths) -> None:
    told = asyncio.run(made[0].for_worker())
    assert told is not None
    assert (told.folder, told.budget_bytes) == (paths.kept_states, 2 << 30)
    assert told.key == SECRET.derive("kept states").hex()
    assert told.key not in repr(told)


def test_a_budget_of_nothing_keeps_nothing(made: Made) -> None:
    made[1].update(kept_states_budget_bytes=0)
    assert asyncio.run(made[0].for_worker()) is None


def test_a_plain_store_keeps_nothing(paths: Paths) -> None:
    plain = KeptConversations(paths, Settings(paths.settings), ScriptedProvider(), lambda _purpose: None)
    assert asyncio.run(plain.for_worker()) is None


@pytest.mark.parametrize("worker", ["there", "gone", "refuses"])
def test_nothing_is_left_of_a_forgotten_conversation(
    made: Made, paths: Paths, worker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, _, provider = made
    told = asyncio.run(kept.for_worker())
    assert told is not None
    gone, left = (keep(paths, bytes.fromhex(told.key), name) for name in ("talk", "other"))
    kept.endpoint = lambda: None if worker == "gone" else ENDPOINT

    async def refuse(*_: object) -> None:
        raise WorkerError("connection_lost", "It is gone.")

    if worker == "refuses":
        monkeypatch.setattr(provider, "forget", refuse)
    asyncio.run(kept.forget("talk"))
    assert provider.forgotten == (["talk"] if worker == "there" else [])
    assert (gone.exists(), left.exists()) == (False, True)


@pytest.mark.parametrize("wrong", [-1, 1 << 41, 1.5, True, "much", None])
def test_an_impossible_budget_falls_back(paths: Paths, wrong: object) -> None:
    paths.settings.write_text(json.dumps({"kept_states_budget_bytes": wrong}))
    assert Settings(paths.settings).values.kept_states_budget_bytes == 2 << 30


def test_every_setting_with_a_range_has_its_default_within(paths: Paths) -> None:
    values = dataclasses.asdict(SettingsValues())
    assert all(least <= values[name] <= most for name, (least, most) in RANGES.items())
