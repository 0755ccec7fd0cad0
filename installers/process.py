"""Runs the commands that set-up stands on. Leaves what their failure means to the callers."""

import ctypes
import os
import re
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from installers.steps import StepFailed

KEPT_LINES = 400
_PR_SET_PDEATHSIG = 1
_ERROR = re.compile(r"\berror:|^E: ", re.IGNORECASE)
"""As compilers, uv, pip and apt-get begin one; a warning that merely mentions an error does not count."""
_NOT_INHERITED = ("VIRTUAL_ENV", "PYTHONHOME", "PYTHONPATH", "UV_PROJECT_ENVIRONMENT", "CONDA_PREFIX", "MAKEFLAGS")
"""Variables of another environment (or of make) that would lead a child astray."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended; `code` is negative for a signal, as in `subprocess`."""

    code: int
    lines: tuple[str, ...]

    @property
    def ok(self) -> bool:
        return self.code == 0

    def tail(self, count: int = 12) -> str:
        """The last lines, indented for a message; those that state an error when there are any."""
        stated = [line for line in self.lines if _ERROR.search(line)]
        return "".join(f"\n    {line.strip()[:300]}" for line in (stated or list(self.lines))[-count:])


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment that a child gets: ours, without traces of another virtual environment."""
    kept = {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}
    return kept | {"UV_PYTHON_DOWNLOADS": "never"} | dict(more or {})


def base_python() -> str:
    """The Python beneath: set-up may be run by an environment that it is about to replace."""
    return str(getattr(sys, "_base_executable", None) or sys.executable)


def run(
    command: Sequence[str | Path],
    *,
    folder: Path | None = None,
    more: Mapping[str, str] | None = None,
    each: Callable[[str], None] | None = None,
) -> Outcome:
    """Run to the end, output and errors merged, each line handed on as it comes.

    The child is killed when we are interrupted, so nothing goes on building behind the person's back.

    Raises:
        StepFailed: the command does not exist or may not be run.
    """
    words = [str(word) for word in command]
    try:
        child = subprocess.Popen(
            words,
            cwd=folder,
            env=environment(more),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=sys.platform != "win32",
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,
        )
    except OSError as error:
        raise StepFailed(f"{words[0]} could not be started ({error.strerror}).", "Install it and try again.") from error
    kept: deque[str] = deque(maxlen=KEPT_LINES)
    assert child.stdout is not None
    with child:
        try:
            for line in child.stdout:
                kept.append(line.rstrip())
                if each is not None:
                    each(line.rstrip())
        except BaseException:
            _kill_group(child)
            raise
    return Outcome(child.returncode, tuple(kept))


def _die_with_parent() -> None:
    """Linux: the child is told to end when set-up is killed outright; its own children then lose their pipes."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _kill_group(child: subprocess.Popen[str]) -> None:
    """End a child and the compilers it started; it leads its own group, except on Windows."""
    if sys.platform == "win32":
        subprocess.run(["taskkill", "/F", "/T", "/PID", str(child.pid)], capture_output=True, check=False)
        return
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        child.kill()
