"""What the library lists: right files, broken ones with their fault, shards as one, and ids one can rely on."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from engine.hub import library
from engine.hub.library import LocalModel, scan
from tests.engine.gguf.written import STRING, U32, Entry, TensorSpec, Written, facts


def _model(path: Path, **counts: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(Written(facts(**counts)).encode())
    return path


def _ids(models: tuple[LocalModel, ...]) -> list[str]:
    return [model.id for model in models]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "models"


def test_starter_goes_the_same_way_as_all(starter: Path, folder: Path) -> None:
    _model(folder / "A.gguf")
    first, second = scan([folder], built_in_folder=starter.parent)
    assert first.id == "SmolLM2-135M-Instruct-Q4_1"
    assert first.built_in
    assert first.path == starter
    assert first.size_bytes == 98_362_432
    assert first.facts is not None
    assert first.facts.quantization == "Q4_1"
    assert first.facts.has_chat_template
    assert first.name == "SmolLM2 135M Instruct"
    assert (second.id, second.built_in, second.managed) == ("A", False, True)


def test_nothing_there_is_no_fault(tmp_path: Path) -> None:
    assert scan([tmp_path / "gone"], built_in_folder=tmp_path / "gone too") == ()


def test_broken_files_are_listed_with_their_fault(folder: Path) -> None:
    _model(folder / "good.gguf")
    (folder / "cut.gguf").write_bytes(Written().encode()[:-100])
    (folder / "page.gguf").write_bytes(b"<html>Not found</html>")
    found = {model.id: model for model in scan([folder])}
    assert found["good"].fault == ""
    assert found["cut"].facts is None
    assert found["cut"].fault.startswith("cut.gguf is incomplete:")
    assert found["page"].fault == "page.gguf is not a GGUF file, but a web page."
    assert found["page"].name == "page"


def test_what_is_not_offered(folder: Path) -> None:
    _model(folder / "sub" / "deep.GGUF")
    _model(folder / ".hidden" / "a.gguf")
    _model(folder / ".b.gguf")
    (folder / "notes.txt").write_text("x")
    (folder / "c.gguf.part").write_bytes(b"")
    _model(folder / "1/2/3/4/5/6/7/8" / "too deep.gguf")
    assert _ids(scan([folder])) == ["deep"]


def test_shards_are_one_model(folder: Path) -> None:
    folder.mkdir()
    for number in range(3):
        split = [Entry("split.no", U32, number), Entry("split.count", U32, 3), Entry("split.tensors.count", U32, 3)]
        entries = [*facts(), *split] if number == 0 else split
        file = folder / f"Big-Q8_0-{number + 1:05}-of-00003.gguf"
        file.write_bytes(Written(entries, [TensorSpec(f"t{number}", (8,))]).encode())
    files = sorted(folder.iterdir())
    (model,) = scan([folder])
    assert model.id == "Big-Q8_0"
    assert model.path == files[0]
    assert list(model.paths) == files
    assert model.size_bytes == sum(file.stat().st_size for file in files)
    (extra,) = scan([], [files[2]])
    assert extra.path == files[0]
    assert extra.fault == ""
    files[1].unlink()
    (broken,) = scan([folder])
    assert broken.id == "Big-Q8_0"
    assert broken.fault == "1 of the 3 files of Big-Q8_0 is missing: Big-Q8_0-00002-of-00003.gguf."


def test_duplicate_names_get_ids_of_their_own(folder: Path) -> None:
    near = _model(folder / "same.gguf")
    _model(folder / "a" / "same.gguf", context_length=128)
    _model(folder / "b" / "SAME.gguf", context_length=256)
    before = {model.path: model.id for model in scan([folder])}
    assert before[near] == "same"
    assert len({name.lower() for name in before.values()}) == 3
    # One more elsewhere renames none of them.
    _model(folder / "c" / "d" / "same.gguf")
    after = {model.path: model.id for model in scan([folder])}
    assert before.items() <= after.items()


def test_one_file_is_listed_once(folder: Path, tmp_path: Path) -> None:
    path = _model(folder / "a.gguf")
    link = tmp_path / "link.gguf"
    link.symlink_to(path)
    (model,) = scan([folder, folder], [path, link, folder / "x" / ".." / "a.gguf"])
    assert model.path == path
    assert model.managed


def test_files_used_in_place(tmp_path: Path) -> None:
    path = _model(tmp_path / "elsewhere" / "mine.gguf")
    (model,) = scan([], [path])
    assert (model.id, model.managed, model.built_in, model.fault) == ("mine", False, False, "")
    odd = path.rename(path.with_name("mine.bin"))
    (model,) = scan([], [odd])
    assert (model.id, model.fault) == ("mine.bin", "")
    odd.unlink()
    (gone,) = scan([], [odd])
    assert gone.fault == "mine.bin is no longer there."
    assert gone.size_bytes == 0


class TestCache:
    """Headers are read again only when a file changed."""

    @pytest.fixture
    def cache(self, tmp_path: Path) -> Path:
        return tmp_path / "cache" / "library.json"

    @pytest.fixture
    def reads(self, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
        """Every header really read, in order."""
        seen: list[Path] = []
        read = library.read_model

        def noting(path: Path) -> object:
            seen.append(path)
            return read(path)

        monkeypatch.setattr(library, "read_model", noting)
        return seen

    def test_second_scan_reads_nothing(self, folder: Path, cache: Path, reads: list[Path]) -> None:
        _model(folder / "a.gguf")
        (folder / "bad.gguf").write_bytes(b"x" * 99)
        first = scan([folder], cache_file=cache)
        assert len(reads) == 2
        assert scan([folder], cache_file=cache) == first
        assert len(reads) == 2

    def test_a_changed_file_is_read_again(self, folder: Path, cache: Path, reads: list[Path]) -> None:
        path = _model(folder / "a.gguf")
        scan([folder], cache_file=cache)
        status = path.stat()
        _model(path, context_length=99)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
        (model,) = scan([folder], cache_file=cache)
        assert model.facts is not None
        assert model.facts.n_ctx_train == 99
        assert len(reads) == 2

    def test_a_missing_shard_is_looked_for_again(self, folder: Path, cache: Path, reads: list[Path]) -> None:
        folder.mkdir()
        split = [Entry("split.no", U32, 0), Entry("split.count", U32, 2)]
        (folder / "x-00001-of-00002.gguf").write_bytes(Written([*facts(), *split]).encode())
        for _ in range(2):
            (model,) = scan([folder], cache_file=cache)
            assert "missing" in model.fault
        assert len(reads) == 2

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"\xff\xfe",
            b"[]",
            b"{}",
            b'{"version": 4, "models": 7}',
            b'{"version": 99, "models": {}}',
            b'{"version": 4, "models": {"PATH": {"signature": [["a.gguf", 1]], "facts": null, "fault": ""}}}',
            b'{"version": 4, "models": {"PATH": {"signature": [], "facts": {"name": 3}, "fault": ""}}}',
            b'{"version": 4, "models": {"PATH": {"signature": [], "facts": null, "fault": 5}}}',
        ],
    )
    def test_a_damaged_cache_is_an_empty_one(self, folder: Path, cache: Path, content: bytes) -> None:
        path = _model(folder / "a.gguf")
        expected = scan([folder])
        cache.parent.mkdir()
        cache.write_bytes(content.replace(b"PATH", str(path).encode()))
        assert scan([folder], cache_file=cache) == expected
        assert json.loads(cache.read_text())["version"] == 4

    def test_facts_of_a_wrong_type_are_not_believed(self, folder: Path, cache: Path) -> None:
        _model(folder / "a.gguf")
        expected = scan([folder], cache_file=cache)
        raw = json.loads(cache.read_text())
        for entry in raw["models"].values():
            entry["facts"]["n_ctx_train"] = "many"
        cache.write_text(json.dumps(raw))
        assert scan([folder], cache_file=cache) == expected

    def test_models_that_went_away_are_forgotten(self, folder: Path, cache: Path) -> None:
        _model(folder / "a.gguf")
        _model(folder / "b.gguf")
        scan([folder], cache_file=cache)
        (folder / "a.gguf").unlink()
        scan([folder], cache_file=cache)
        assert [Path(path).name for path in json.loads(cache.read_text())["models"]] == ["b.gguf"]

    def test_a_cache_that_cannot_be_written_costs_nothing(self, folder: Path, tmp_path: Path) -> None:
        _model(folder / "a.gguf")
        blocked = tmp_path / "file"
        blocked.write_text("not a folder")
        assert _ids(scan([folder], cache_file=blocked / "library.json")) == ["a"]


def test_a_name_that_is_no_utf8(folder: Path) -> None:
    folder.mkdir()
    try:
        (folder / os.fsdecode(b"odd\xff.gguf")).write_bytes(Written().encode())
    except OSError:
        pytest.skip("this file system takes only UTF-8")
    (model,) = scan([folder], cache_file=folder / "library.json")
    assert model.fault == ""


def test_odd_text_in_a_header_is_fit_for_lists(folder: Path) -> None:
    folder.mkdir()
    entries = [*facts(), Entry("general.license", STRING, "mit\n\x1b]0;x\x07")]
    (folder / "a.gguf").write_bytes(Written(entries).encode())
    (model,) = scan([folder])
    assert model.facts is not None
    assert model.facts.licence is not None
    assert model.facts.licence.isprintable()


def test_a_copy_of_the_folder_is_all_it_takes(starter: Path, folder: Path) -> None:
    folder.mkdir()
    shutil.copyfile(starter, folder / "copy.gguf")
    (model,) = scan([folder])
    (original,) = scan([], built_in_folder=starter.parent)
    assert model.facts is not None
    assert original.facts is not None
    assert model.facts.fingerprint == original.facts.fingerprint
