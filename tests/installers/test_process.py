"""What a message shows of a command that failed."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from installers import process
from installers.steps import StepFailed


@pytest.mark.parametrize(
    ("lines", "shown"),
    [
        (("WARNING: Retrying after 'NewConnectionError'", "ERROR: no matching distribution"), ["ERROR: no matching"]),
        (("ggml.c:7: error: no such instruction", "ninja: build stopped"), ["ggml.c:7: error: no such"]),
        (("E: Unable to locate package g++", "done"), ["E: Unable to locate"]),
        (("one", "two"), ["one", "two"]),
        ((), []),
    ],
)
def test_stated_errors_are_shown_before_other_lines(lines: tuple[str, ...], shown: list[str]) -> None:
    tail = process.Outcome(1, lines).tail().splitlines()[1:]
    assert len(tail) == len(shown)
    assert all(line.strip().startswith(start) for line, start in zip(tail, shown, strict=True))


def test_output_and_errors_come_line_by_line() -> None:
    seen: list[str] = []
    code = "import sys; print('out', flush=True); sys.stderr.write('err\\n'); sys.exit(3)"
    outcome = process.run([sys.executable, "-c", code], each=seen.append)
    assert outcome == process.Outcome(3, ("out", "err"))
    assert seen == ["out", "err"]


def test_another_environment_does_not_leak_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIRTUAL_ENV", "/somewhere/else")
    monkeypatch.setenv("PYTHONPATH", "/somewhere/else")
    assert not {"VIRTUAL_ENV", "PYTHONPATH"} & process.environment().keys()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")
def test_a_command_ends_when_set_up_is_killed(
    tmp_path: Path, wait_for: Callable[[Callable[[], bool], float], None]
) -> None:
    mark = tmp_path / "pid"
    write = (
        f"import os, pathlib; pathlib.Path({str(mark)!r}).write_text(str(os.getpid())); "
        "os.execv('/bin/sleep', ['sleep', '60'])"
    )
    code = f"import sys; from installers import process; process.run([sys.executable, '-c', {write!r}])"
    with subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[2]) as killed:
        wait_for(lambda: mark.exists() and mark.read_text() != "", 20.0)
        child = psutil.Process(int(mark.read_text()))
        killed.kill()
    wait_for(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, 10.0)


def test_a_command_that_is_not_there_is_a_sentence() -> None:
    with pytest.raises(StepFailed, match="could not be started"):
        process.run(["/no/such/program"])
