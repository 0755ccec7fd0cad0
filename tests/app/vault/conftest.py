"""A store in a folder, and a keyring that is a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.vault import wrapping
from app.vault.keyring import NO_KEYRING_VARIABLE
from tests.app.vault import file_keyring


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "data" / "gatehouse.db"


@pytest.fixture
def keyring_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """From here on a keyring service runs, and keeps what it is given in this file."""
    use_keyring(monkeypatch, tmp_path / "keyring.json", file_keyring.FileKeyring)
    return tmp_path / "keyring.json"


@pytest.fixture(autouse=True)
def quick_passphrases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Argon2id with the least cost: these tests are about what opens what, not about how long a guess takes."""
    monkeypatch.setattr(wrapping, "MEMORY_KIB", 64)
    monkeypatch.setattr(wrapping, "PASSES", 1)


def use_keyring(monkeypatch: pytest.MonkeyPatch, place: Path, kind: type) -> None:
    monkeypatch.delenv(NO_KEYRING_VARIABLE)
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", f"{kind.__module__}.{kind.__qualname__}")
    monkeypatch.setenv("FILE_KEYRING", str(place))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
