"""Proves the finished environment by using it: a window is painted, the model writes a few words."""

import signal
import sys
from pathlib import Path

from installers import process
from installers.places import Places
from installers.steps import StepFailed

_ILLEGAL_ON_WINDOWS = 0xC000001D


def is_illegal_instruction(code: int) -> bool:
    """Whether a child died because it was compiled for another processor."""
    if sys.platform == "win32":
        return code & 0xFFFFFFFF == _ILLEGAL_ON_WINDOWS
    return code in (-signal.SIGILL, 128 + signal.SIGILL)


def prove_text(places: Places) -> process.Outcome:
    return process.run([places.python, _script("proof_text.py"), places.starter], folder=places.cache)


def prove_window(places: Places) -> None:
    """Raises:
    StepFailed: Qt does not come up; the loader's own words say what it lacks.
    """
    outcome = process.run([places.python, _script("proof_window.py")], folder=places.cache)
    if not outcome.ok:
        how = "install the library that is named, then run make again."
        raise StepFailed(f"Qt cannot paint a window here (code {outcome.code}):{outcome.tail(3)}", how)


def _script(name: str) -> Path:
    return Path(__file__).with_name(name)
