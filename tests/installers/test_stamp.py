"""The stamp holds only for the very inputs it was written for."""

from collections.abc import Callable
from pathlib import Path

import pytest

from installers import stamp
from installers.places import Places


@pytest.fixture
def finished(places: Places) -> Places:
    """A clone whose set-up has finished on the processor."""
    places.programs.mkdir(parents=True)
    places.python.touch()
    stamp.write(places, stamp.fingerprint(places.root, "cpu"), "cpu")
    return places


def is_current(places: Places, backend: str = "cpu") -> bool:
    return stamp.is_current(places, stamp.fingerprint(places.root, backend))


def test_a_finished_environment_is_trusted(finished: Places) -> None:
    assert is_current(finished)


@pytest.mark.parametrize("name", ["pyproject.toml", "uv.lock", "installers/setup.py"])
def test_a_changed_input_ends_the_trust(finished: Places, name: str) -> None:
    path = finished.root / name
    path.write_text(path.read_text() + "\n# changed\n")
    assert not is_current(finished)


def test_a_new_file_of_the_set_up_ends_the_trust(finished: Places) -> None:
    (finished.root / "installers" / "more.py").touch()
    assert not is_current(finished)


def test_another_backend_ends_the_trust(finished: Places) -> None:
    assert not is_current(finished, "cuda")


def test_a_moved_clone_is_not_trusted(finished: Places) -> None:
    moved = finished.root.rename(finished.root.with_name("moved"))
    assert not is_current(Places(moved, finished.cache))


@pytest.mark.parametrize("text", ["", "{", "[]", '{"fingerprint": 7}'])
def test_a_damaged_stamp_is_none(finished: Places, text: str) -> None:
    finished.stamp.write_text(text)
    assert not is_current(finished)


@pytest.mark.parametrize("undo", [stamp.remove, lambda places: places.python.unlink()], ids=["removed", "no python"])
def test_nothing_is_trusted_without_both(finished: Places, undo: Callable[[Places], None]) -> None:
    undo(finished)
    assert not is_current(finished)


def test_a_failed_write_leaves_no_stamp(finished: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    stamp.remove(finished)

    def fail(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="No space"):
        stamp.write(finished, "mark", "cpu")
    assert not finished.stamp.exists()
