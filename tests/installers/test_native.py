"""The compiled wheel: named for what decides its content, put in its place only when whole."""

import hashlib
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import psutil
import pytest

from installers import native
from installers.backend import Backend
from installers.console import Console
from installers.places import Places
from installers.steps import StepFailed
from tests.installers.conftest import Program

CPU = Backend("cpu", "no GPU was found")
SOURCE_BYTES = b"the source package"
SOURCE = native.SourcePackage(
    "0.3.36", "https://example.invalid/llama.tar.gz", hashlib.sha256(SOURCE_BYTES).hexdigest()
)
BUILD = """
out = pathlib.Path(sys.argv[sys.argv.index("--out-dir") + 1])
out.mkdir(parents=True)
(out / ".gitignore").write_text("*")
for n in range(1, 5): print(f"DEBUG [{n}/4] g++ {n}", flush=True)
wheel = out / "llama_cpp_python-0.3.36-py3-none-any.whl"
"""


@pytest.fixture
def fetched(places: Places) -> Places:
    """The source package is in the cache already."""
    places.sources.mkdir(parents=True)
    (places.sources / "llama.tar.gz").write_bytes(SOURCE_BYTES)
    return places


def test_the_project_pins_its_source() -> None:
    source = native.locked_source(Path(__file__).parents[2])
    assert source.url.startswith("https://")
    assert len(source.sha256) == 64
    assert source.version in source.url


def test_settings_are_those_of_the_project_and_the_backend(places: Places) -> None:
    assert native.build_settings(places.root, CPU) == {"cmake.define.GGML_RPC": "ON"}
    cuda = native.build_settings(places.root, Backend("cuda", ""))
    assert cuda == {"cmake.define.GGML_RPC": "ON", "cmake.define.GGML_CUDA": "ON"}


def test_everything_that_decides_the_wheel_is_in_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CMAKE_ARGS", raising=False)
    other = native.SourcePackage(SOURCE.version, SOURCE.url, "1" * 64)
    keys = [
        native.wheel_key(SOURCE, {"a": "1"}, "x86_64 avx2"),
        native.wheel_key(SOURCE, {"a": "2"}, "x86_64 avx2"),
        native.wheel_key(SOURCE, {"a": "1"}, "x86_64 avx2 avx512f"),
        native.wheel_key(other, {"a": "1"}, "x86_64 avx2"),
    ]
    monkeypatch.setenv("CMAKE_ARGS", "-DGGML_NATIVE=OFF")
    keys.append(native.wheel_key(SOURCE, {"a": "1"}, "x86_64 avx2"))
    assert len(set(keys)) == len(keys)
    monkeypatch.delenv("CMAKE_ARGS")
    assert native.wheel_key(SOURCE, {"a": "1"}, "x86_64 avx2") == keys[0]


def test_the_processor_is_always_described_the_same_way() -> None:
    assert native.processor_signature() == native.processor_signature()
    assert len(native.processor_signature()) > len("x86_64")


def test_a_built_wheel_is_found_and_its_progress_said(
    fetched: Places, program: Program, console: Console, said: StringIO
) -> None:
    uv = program("uv", BUILD + 'wheel.write_bytes(b"wheel")\n')
    native.build_wheel(fetched, uv, SOURCE, CPU, "key", console)
    wheel = native.find_wheel(fetched, "key")
    assert wheel is not None
    assert wheel.read_bytes() == b"wheel"
    assert "compiled llama.cpp: 4 files" in said.getvalue()
    assert "7 minutes" in said.getvalue()
    assert [path.name for path in fetched.wheels.iterdir()] == ["key"]


def test_the_compilers_words_reach_the_person(fetched: Places, program: Program, console: Console) -> None:
    uv = program("uv", BUILD + 'print("ggml.c:7: error: no such instruction"); sys.exit(1)\n')
    with pytest.raises(StepFailed, match="no such instruction") as failure:
        native.build_wheel(fetched, uv, SOURCE, CPU, "key", console)
    assert "GATEHOUSE_BACKEND=cpu" in failure.value.how
    assert native.find_wheel(fetched, "key") is None
    assert "[4/4]" in fetched.build_log.read_text()


def test_a_build_that_is_killed_leaves_nothing_trusted(fetched: Places, program: Program, console: Console) -> None:
    uv = program("uv", BUILD + 'wheel.write_bytes(b"wh"); os.kill(os.getpid(), signal.SIGKILL)\n')
    with pytest.raises(StepFailed, match="code -9"):
        native.build_wheel(fetched, uv, SOURCE, CPU, "key", console)
    assert list(fetched.wheels.iterdir()) == []


def test_an_interrupted_build_stops_its_compilers(
    fetched: Places, program: Program, tmp_path: Path, wait_for: Callable[[Callable[[], bool], float], None]
) -> None:
    """The stand-in starts a compiler that would go on for a minute; interrupting must end both."""
    mark = tmp_path / "compiler.pid"
    compiler = (
        f"child = subprocess.Popen(['/bin/sleep', '60'])\npathlib.Path({str(mark)!r}).write_text(str(child.pid))\n"
    )
    uv = program("uv", compiler + BUILD + "child.wait()\n")

    class Impatient(Console):
        def progress(self, text: str, last: bool = False) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        native.build_wheel(fetched, uv, SOURCE, CPU, "key", Impatient(StringIO()))
    wait_for(lambda: not is_running(int(mark.read_text())), 10.0)
    assert list(fetched.wheels.iterdir()) == []


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_build_swept_away_after_a_kill(fetched: Places, program: Program, console: Console) -> None:
    (fetched.wheels / ".building-old").mkdir(parents=True)
    native.build_wheel(fetched, program("uv", BUILD + 'wheel.write_bytes(b"wheel")\n'), SOURCE, CPU, "key", console)
    assert not (fetched.wheels / ".building-old").exists()


def test_a_damaged_source_in_the_cache_is_not_used(
    fetched: Places, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    (fetched.sources / "llama.tar.gz").write_bytes(b"damaged")
    monkeypatch.setattr(native, "_download", lambda url, target, console: target.write_bytes(SOURCE_BYTES))
    assert native.fetch_source(fetched, SOURCE, console).read_bytes() == SOURCE_BYTES


def test_a_wrong_source_is_refused_and_not_kept(
    places: Places, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native, "_download", lambda url, target, console: target.write_bytes(b"something else"))
    with pytest.raises(StepFailed, match="not the file that"):
        native.fetch_source(places, SOURCE, console)
    assert list(places.sources.iterdir()) == []


def test_no_network_is_a_sentence(places: Places, console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[str] = []

    def fail(url: str, target: Path, console: Console) -> None:
        tries.append(url)
        raise OSError("name or service not known")

    monkeypatch.setattr(native, "_download", fail)
    with pytest.raises(StepFailed, match="name or service not known"):
        native.fetch_source(places, SOURCE, console)
    assert len(tries) == 3


def test_a_source_that_is_not_secure_is_refused(places: Places, console: Console) -> None:
    insecure = native.SourcePackage("1", "http://example.invalid/a.tar.gz", "0" * 64)
    with pytest.raises(StepFailed, match="https"):
        native.fetch_source(places, insecure, console)


def test_a_full_disk_is_said_before_it_is_filled(tmp_path: Path) -> None:
    with pytest.raises(StepFailed, match="are free at"):
        native.require_space(tmp_path / "not" / "there" / "yet", 1 << 62)
    native.require_space(tmp_path, 1)
