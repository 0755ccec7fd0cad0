"""What was removed cannot be read again: every page of every file that is left, under every key that is left."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from app.documents import packing
from app.documents.records import DocumentKind, Reading
from app.gate.label import Label
from app.store import batches, conversations, documents, passages
from app.store import database as store
from app.vault import changing, retention
from app.vault.moving import PAGE_BYTES
from app.vault.vault import Vault
from tests.app.vault.test_copies import DAY_S, add, remove_due
from tests.app.vault.test_vault import PASSPHRASE

_RESERVED_BYTES, _SALT_BYTES = 80, 16
"""At the end of a page of SQLCipher 4: IV, HMAC, padding. At the beginning of the first: the salt."""
_FRAME_HEAD_BYTES = 24
_SAID, _READ = b"wordgoing and more", b"the heron of the lagoon has flown"
_INDEXED = b"agoon", b"ordgoing"
"""Words as an index of words has them, without what they share with the one before."""


def _pages(content: bytes, key: bytes) -> Iterator[bytes]:
    """Whatever could be a page in these bytes, deciphered: of a database, and of its log with a head on each."""
    for step, skip in ((PAGE_BYTES, 0), (PAGE_BYTES + _FRAME_HEAD_BYTES, 32 + _FRAME_HEAD_BYTES)):
        for start in range(skip, len(content) - PAGE_BYTES + 1, step):
            page = content[start : start + PAGE_BYTES]
            body, tail = page[:-_RESERVED_BYTES], page[-_RESERVED_BYTES:]
            for salt in (0, _SALT_BYTES):
                reader = Cipher(algorithms.AES256(key), modes.CBC(tail[:16])).decryptor()
                yield reader.update(body[salt:])


def _is_readable(needle: bytes, files: list[bytes], keys: set[bytes]) -> bool:
    plain = any(needle in content for content in files)
    return plain or any(needle in page for content in files for key in keys for page in _pages(content, key))


def _files(*folders: Path) -> list[bytes]:
    return [path.read_bytes() for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]


def _keys(vault: Vault, keyring: Path) -> set[bytes]:
    """Those of the open vault, and every 32 bytes that the keyring has."""
    assert vault.secret is not None
    found = {vault.secret.joined()[place : place + 32] for place in (0, 32, 64)}
    for word in keyring.read_text().split('"') if keyring.exists() else ():
        if len(word) >= 64 and set(word) <= set("0123456789abcdef"):
            found |= {bytes.fromhex(word[place : place + 64]) for place in range(0, len(word) - 63, 64)}
    return found


def _fill(vault: Vault) -> tuple[str, bytes]:
    """A conversation and a document; the document's id and how its text lies in the store."""
    add(vault.database, vault.page_key, "going", "restricted", 10)
    reading = Reading(DocumentKind.TEXT, "ab" * 32, _READ.decode(), ())
    with closing(store.open_writer(vault.database, vault.page_key)) as connection:
        known = documents.keep(connection, reading, Path("/heron.txt"), Label.RESTRICTED, time.time() - 10 * DAY_S)
        passages.replace(connection, known.id, [(1, 0, len(_READ), _READ.decode())])
        retention.set_rule(connection, Label.RESTRICTED, 9)
    return known.id, packing.pack(reading)[10:40]


@pytest.fixture(params=["keyring", "passphrase"])
def vault(request: pytest.FixtureRequest, database: Path) -> Vault:
    if request.param == "keyring":
        request.getfixturevalue("keyring_file")
    made = Vault(database)
    if request.param == "passphrase":
        changing.set_passphrase(made, PASSPHRASE)
    else:
        made.open()
    return made


def test_no_key_that_is_left_opens_what_retention_removed(vault: Vault, tmp_path: Path) -> None:
    """Neither in the files of after nor in those of before, which a disk may still have somewhere."""
    document_id, packed = _fill(vault)
    keyring = tmp_path / "keyring.json"
    before = _files(vault.folder)
    needles = (_SAID, _READ, packed)
    assert all(_is_readable(needle, before, _keys(vault, keyring)) for needle in needles), "this test can find them"
    assert not any(needle in content for needle in needles for content in before)
    assert remove_due(vault, "going", document_id) == 2
    retention.shred_remains(vault, 2)
    left = _keys(vault, keyring)
    with closing(store.open_writer(vault.database, vault.page_key)) as connection:
        assert connection.execute("SELECT count(*) FROM tombstones").fetchone() == (2,)
    assert not any(_is_readable(needle, [*before, *_files(tmp_path)], left) for needle in needles)


def test_what_the_person_deletes_is_overwritten_under_the_key_in_use(vault: Vault, tmp_path: Path) -> None:
    """At the next start: without a new key, so nothing of it may be left in any page, not even in a free one."""
    _, packed = _fill(vault)
    keys = _keys(vault, tmp_path / "keyring.json")
    needles = (_SAID, _READ, packed, *_INDEXED)
    for needle in needles:
        assert _is_readable(needle, _files(tmp_path), keys), f"this test can find {needle!r}"
    with closing(store.open_writer(vault.database, vault.page_key)) as connection:
        conversations.delete(connection, "going", 1.0)
        conversations.purge(connection)
        batches.purge(connection)
        assert documents.purge_unused(connection) == 1
    for needle in needles:
        assert not _is_readable(needle, _files(tmp_path), keys), needle
