"""The peers' source is taken from the locked package, and only the part that is llama.cpp."""

import io
import tarfile
from pathlib import Path

import pytest

from installers.steps import StepFailed
from tests.bench import peers


def package(folder: Path, names: dict[str, str]) -> Path:
    """A source package with these files."""
    path = folder / "llama_cpp_python-1.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, text in names.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return path


def test_only_the_vendored_source_is_unpacked(tmp_path: Path) -> None:
    names = {"p-1/setup.py": "no", "p-1/vendor/llama.cpp/CMakeLists.txt": "yes", "p-1/vendor/llama.cpp/src/a.cpp": "a"}
    peers._unpack(package(tmp_path, names), tmp_path / "out")
    found = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert found == {"CMakeLists.txt", "src/a.cpp"}


def test_a_package_that_would_write_elsewhere_is_refused(tmp_path: Path) -> None:
    names = {"p-1/vendor/llama.cpp/../../../escaped": "x"}
    with pytest.raises(StepFailed, match="leads elsewhere"):
        peers._unpack(package(tmp_path, names), tmp_path / "deep" / "out")
    assert not (tmp_path / "escaped").exists()


def test_tools_of_another_setting_have_another_place(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = peers.locate().folder
    assert peers.locate().folder == plain
    monkeypatch.setenv("CMAKE_ARGS", "-DGGML_NATIVE=OFF")
    assert peers.locate().folder != plain
