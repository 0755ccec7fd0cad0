"""Settings survive odd files, other versions and two threads."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from app.settings import Settings, SettingsValues


def test_written_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "settings.json"
    Settings(path).update(appearance="dark", n_ctx=2048)
    values = Settings(path).values
    assert (values.appearance, values.n_ctx) == ("dark", 2048)


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{", "null", "[" * 100_000, '{"appearance": "pink", "n_ctx": "many", "temperature": true}'],
    ids=["empty", "list", "half", "null", "deep", "wrong values"],
)
def test_nonsense_falls_back(tmp_path: Path, content: str) -> None:
    path = tmp_path / "settings.json"
    path.write_text(content, "utf-8")
    assert Settings(path).values == SettingsValues()


def test_keys_of_another_version_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text('{"from_the_future": [1, 2], "top_p": 1}', "utf-8")
    Settings(path).update(welcome_done=True)
    kept = json.loads(path.read_text("utf-8"))
    assert (kept["from_the_future"], kept["top_p"], kept["welcome_done"]) == ([1, 2], 1, True)


def test_two_threads_lose_nothing(tmp_path: Path) -> None:
    settings = Settings(tmp_path / "settings.json")
    first = threading.Thread(target=lambda: [settings.update(n_ctx=512 + number) for number in range(20)])
    second = threading.Thread(target=lambda: [settings.update(window_geometry=str(number)) for number in range(20)])
    first.start()
    second.start()
    first.join()
    second.join()
    values = Settings(tmp_path / "settings.json").values
    assert (values.n_ctx, values.window_geometry) == (531, "19")
