"""A hub's token is kept like every other secret, and never where it could be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.models.hub_token import HubToken
from app.vault import changing, wrapping
from app.vault.vault import Vault
from engine.errors import HubError

TOKEN = "hf_" + "a1" * 16
PASSPHRASE = "four words nobody joins"


@pytest.fixture
def vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Vault:
    monkeypatch.setattr(wrapping, "MEMORY_KIB", 64)
    monkeypatch.setattr(wrapping, "PASSES", 1)
    made = Vault(tmp_path / "data" / "gatehouse.db")
    made.folder.mkdir()
    made.open()
    return made


def test_without_a_safe_place_it_lasts_for_this_run(vault: Vault) -> None:
    token = HubToken(vault)
    assert token.save(TOKEN) is False
    assert token.read() == TOKEN
    assert HubToken(vault).read() is None
    assert not [path for path in vault.folder.rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()]


def test_with_a_passphrase_it_is_sealed_and_a_lock_hides_it(vault: Vault) -> None:
    changing.set_passphrase(vault, PASSPHRASE)
    assert HubToken(vault).save(TOKEN) is True
    assert not [path for path in vault.folder.rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()]
    vault.forget()
    waiting = HubToken(vault)
    assert waiting.read() is None
    vault.unlock(PASSPHRASE)
    assert waiting.read() == TOKEN
    assert waiting.save(None) is True
    assert HubToken(vault).read() is None


def test_what_is_no_token_is_refused(vault: Vault) -> None:
    with pytest.raises(HubError):
        HubToken(vault).save("two words")
