"""Kept states: what is sealed comes back whole, and nothing else comes back at all."""

from __future__ import annotations

import errno
import io
import os
import time
from array import array
from pathlib import Path

import numpy as np
import pytest

from engine.serving.kept import shelf as kept_shelf
from engine.serving.kept.form import (
    CHUNK_BYTES,
    Binding,
    KeptFault,
    Names,
    model_digest,
    parse_name,
    read_contents,
    remove_owned,
    seal,
    unseal,
)
from engine.serving.kept.shelf import KeptShelf

KEY, OTHER_KEY = b"k" * 32, b"o" * 32
BINDING = Binding("build 1", "model 1", "f16")
TOKENS = array("i", range(1000, 1300))
STATE = np.random.default_rng(1).integers(0, 256, 2 * CHUNK_BYTES + 77, dtype=np.uint8)


def sealed() -> bytes:
    file = io.BytesIO()
    assert seal(file, KEY, BINDING, TOKENS, STATE.data) == len(file.getvalue())
    return file.getvalue()


def opened(raw: bytes, key: bytes = KEY, binding: Binding = BINDING) -> tuple[array[int], bytes]:
    state = np.empty_like(STATE)
    contents = unseal(io.BytesIO(raw), key, binding, state.data)
    return contents.tokens, state.tobytes()


def shelf(folder: Path, *, budget: int = 1 << 30, key: bytes = KEY, binding: Binding = BINDING) -> KeptShelf:
    made = KeptShelf(folder, key, binding, budget)
    made.open()
    return made


def kept_tokens(found: KeptShelf) -> list[list[int]]:
    return [list(entry.tokens) for entry in found.entries]


def test_what_is_sealed_comes_back() -> None:
    assert opened(sealed()) == (TOKENS, STATE.tobytes())
    assert read_contents(io.BytesIO(sealed()), KEY, BINDING).tokens == TOKENS


def test_nothing_of_the_conversation_can_be_read() -> None:
    assert array("i", [1000, 1001, 1002]).tobytes() not in sealed()
    assert STATE[:64].tobytes() not in sealed()


@pytest.mark.parametrize(
    ("key", "binding"),
    [
        (OTHER_KEY, BINDING),
        (KEY, Binding("build 2", "model 1", "f16")),
        (KEY, Binding("build 1", "model 2", "f16")),
        (KEY, Binding("build 1", "model 1", "q8_0")),
        (KEY, Binding("build 1m", "odel 1", "f16")),
    ],
)
def test_another_key_build_model_or_cache_opens_nothing(key: bytes, binding: Binding) -> None:
    with pytest.raises(KeptFault):
        read_contents(io.BytesIO(sealed()), key, binding)


def test_any_flipped_bit_is_noticed() -> None:
    raw = sealed()
    for place in [*range(60), *range(60, len(raw), 9_973), len(raw) - 1]:
        damaged = bytearray(raw)
        damaged[place] ^= 0x10
        with pytest.raises(KeptFault):
            opened(bytes(damaged))


def test_any_cut_is_noticed_also_between_frames() -> None:
    raw, frame = sealed(), CHUNK_BYTES + 16 + 4
    between = len(raw) - (77 + 16 + 4)
    for end in [0, 7, 24, 30, between - frame, between, between + 4, len(raw) - 1]:
        with pytest.raises(KeptFault):
            opened(raw[:end])


def test_frames_cannot_change_places_or_be_added() -> None:
    raw, frame = sealed(), CHUNK_BYTES + 16 + 4
    first = len(raw) - (77 + 16 + 4) - 2 * frame
    swapped = (
        raw[:first] + raw[first + frame : first + 2 * frame] + raw[first : first + frame] + raw[first + 2 * frame :]
    )
    for wrong in (swapped, raw + b"x"):
        with pytest.raises(KeptFault):
            opened(wrong)


def test_a_frame_that_claims_gigabytes_is_refused_before_it_is_read() -> None:
    with pytest.raises(KeptFault):
        read_contents(io.BytesIO(sealed()[:24] + b"\xff\xff\xff\xff"), KEY, BINDING)


def test_a_model_is_told_from_a_copy_with_one_other_byte(tmp_path: Path) -> None:
    content = bytearray(os.urandom(300_000))
    one, two = tmp_path / "one", tmp_path / "two"
    for path in (one, two):
        path.write_bytes(content)
        os.utime(path, ns=(1, 1))
        content[150_000] ^= 1
    assert model_digest([one]) != model_digest([two])
    before = model_digest([one])
    os.utime(one, ns=(1, 2))
    assert model_digest([one]) != before


def test_a_shelf_finds_after_a_restart_what_it_was_given(tmp_path: Path) -> None:
    before = shelf(tmp_path)
    before.write(before.names.owner("talk"), TOKENS, STATE)
    after = shelf(tmp_path)
    (entry,) = after.entries
    state = after.read(entry)
    assert state is not None
    assert (entry.tokens, entry.owner, state.tobytes()) == (TOKENS, Names(KEY).owner("talk"), STATE.tobytes())
    assert all(path.stat().st_mode & 0o077 == 0 for path in tmp_path.iterdir())


def test_what_goes_on_replaces_what_it_goes_on_from(tmp_path: Path) -> None:
    found = shelf(tmp_path)
    for end, owner in ((100, "a"), (200, "a"), (200, "b")):
        found.write(found.names.owner(owner), TOKENS[:end], STATE)
    assert sorted(map(len, kept_tokens(found))) == [200, 200]
    assert len(list(tmp_path.iterdir())) == 2


def test_the_longest_unused_makes_way(tmp_path: Path) -> None:
    found = shelf(tmp_path, budget=int(STATE.nbytes * 2.5))
    for start in range(3):
        found.write("0" * 16, array("i", range(start, start + 9)), STATE)
        os.utime(found.entries[-1].path, ns=(start + 1, start + 1))
        found._note(found.entries[-1].path)
        if start == 1:
            assert found.read(found.entries[0]) is not None  # used just now
    assert [tokens[0] for tokens in kept_tokens(found)] == [0, 2]
    assert found.counts.evicted == 1
    assert found.counts.used_bytes <= found.budget_bytes


def test_a_state_that_alone_is_too_large_makes_nobody_go(tmp_path: Path) -> None:
    found = shelf(tmp_path, budget=int(STATE.nbytes * 1.5))
    found.write("0" * 16, TOKENS, STATE)
    found.write("0" * 16, array("i", [1]), np.zeros(STATE.nbytes * 2, np.uint8))
    assert kept_tokens(found) == [list(TOKENS)]


def test_what_can_never_be_used_again_is_deleted_and_other_models_are_left_alone(tmp_path: Path) -> None:
    other_model = Binding(BINDING.build, "model 2", BINDING.cache)
    for key, binding in ((OTHER_KEY, BINDING), (KEY, Binding("build 2", "model 1", "f16")), (KEY, other_model)):
        KeptShelf(tmp_path, key, binding, 1 << 30).write("0" * 16, TOKENS, STATE)
    for name, changed_at in (("half.kept.part", 1), ("young.kept.part", time.time())):
        (tmp_path / name).write_bytes(b"x")
        os.utime(tmp_path / name, (changed_at, changed_at))
    (tmp_path / "notes.txt").write_text("not ours")
    found = shelf(tmp_path)
    left = {path.name for path in tmp_path.iterdir()} - {"notes.txt", "young.kept.part"}
    assert found.entries == ()
    assert found.counts.rejected == 2
    assert len(left) == 1
    assert (tmp_path / "notes.txt").exists()
    assert (tmp_path / "young.kept.part").exists()
    assert kept_tokens(shelf(tmp_path, binding=other_model)) == [list(TOKENS)]


@pytest.mark.parametrize("damage", ["cut", "flip"])
def test_a_damaged_file_is_deleted_counted_and_never_restored(tmp_path: Path, damage: str) -> None:
    found = shelf(tmp_path)
    found.write("0" * 16, TOKENS, STATE)
    (entry,) = found.entries
    raw = bytearray(entry.path.read_bytes())
    raw[-100] ^= 1
    entry.path.write_bytes(raw[:-50] if damage == "cut" else raw)
    assert found.read(entry) is None
    assert (found.entries, found.counts.rejected, list(tmp_path.iterdir())) == ((), 1, [])


def test_a_file_that_the_application_deleted_is_no_fault(tmp_path: Path) -> None:
    found = shelf(tmp_path)
    found.write(found.names.owner("talk"), TOKENS, STATE)
    found.write(found.names.owner("other"), TOKENS, STATE)
    assert remove_owned(tmp_path, KEY, "talk") == 1
    assert found.read(found.entries[0]) is None
    assert (len(found.entries), found.counts.rejected) == (1, 0)
    assert remove_owned(tmp_path, KEY, "") == 0


def test_a_full_disk_switches_the_shelf_off_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = shelf(tmp_path)

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(kept_shelf, "seal", full)
    assert found.write("0" * 16, TOKENS, STATE) is None
    assert "No space left" in found.counts.off
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    assert found.write("0" * 16, TOKENS, STATE) is None


def test_names_tell_nothing_and_other_files_are_none_of_ours() -> None:
    name = Names(KEY).new(BINDING, Names(KEY).owner("talk"))
    assert parse_name(str(name)) == name
    assert Names(KEY).owner("talk") != Names(OTHER_KEY).owner("talk")
    for other in ("x.kept", "a-b-c-d-e.kept", str(name).replace(".kept", ""), str(name).upper()):
        assert parse_name(other) is None
