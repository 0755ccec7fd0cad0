"""The store's key: made once, found again, never twice, and readable by its owner only."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from app.secrets import KEY_FILE, NO_KEYRING_VARIABLE, StoreKey, read_or_make

KEYRING = """
import sys
from pathlib import Path
import keyring, keyring.backend, keyring.errors
import app.secrets

class Double(keyring.backend.KeyringBackend):
    priority = 1
    def get_password(self, service, name):
        if {locked}:
            raise keyring.errors.KeyringLocked("locked")
        path = Path({place!r})
        return path.read_text() if path.exists() else None
    def set_password(self, service, name, password):
        Path({place!r}).write_text(password)
    def delete_password(self, service, name): ...

keyring.set_keyring(Double())
sys.exit(app.secrets.main())
"""


def use_keyring(monkeypatch: pytest.MonkeyPatch, place: Path, *, locked: bool = False) -> None:
    """Let the child find a keyring that is a file."""
    monkeypatch.delenv(NO_KEYRING_VARIABLE)
    code = KEYRING.format(place=str(place), locked=locked)
    real = subprocess.run

    def run(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        assert command[1:] == ["-m", "app.secrets"]
        return real([sys.executable, "-c", code], **options)  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr("app.secrets.subprocess.run", run)


def test_without_a_keyring_a_file_of_the_owner_alone_holds_it(tmp_path: Path) -> None:
    made = read_or_make(tmp_path)
    assert made is not None
    assert (made.place, len(made.key)) == ("file", 32)
    assert read_or_make(tmp_path) == made
    assert (tmp_path / KEY_FILE).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [KEY_FILE]


def test_a_broken_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / KEY_FILE).write_text("not a key")
    made = read_or_make(tmp_path)
    assert made is not None
    assert read_or_make(tmp_path) == made


def test_the_key_is_not_shown() -> None:
    assert "107" not in repr(StoreKey(b"k" * 32, "file"))
    assert "kkk" not in repr(StoreKey(b"k" * 32, "file"))


def test_a_keyring_is_asked_by_a_child_and_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_keyring(monkeypatch, tmp_path / "ring")
    made = read_or_make(tmp_path)
    assert made is not None
    assert made.place == "keyring"
    assert bytes.fromhex((tmp_path / "ring").read_text()) == made.key
    assert read_or_make(tmp_path) == made
    assert not (tmp_path / KEY_FILE).exists()


def test_a_locked_keyring_makes_no_second_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_keyring(monkeypatch, tmp_path / "ring", locked=True)
    assert read_or_make(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_a_system_without_a_keyring_service_falls_back_to_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(NO_KEYRING_VARIABLE)
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    made = read_or_make(tmp_path)
    assert made is not None
    assert made.place == "file"


def test_two_processes_agree_on_one_key(tmp_path: Path) -> None:
    code = (
        f"from pathlib import Path; from app.secrets import *; print(read_or_make(Path({str(tmp_path)!r})).key.hex())"
    )
    children = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert len({child.communicate(timeout=60)[0] for child in children}) == 1
