"""Finds uv, or installs it into the person's cache. Leaves what uv is asked to do to the other modules."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from installers import process
from installers.places import Places
from installers.steps import StepFailed

OLDEST = (0, 9)
"""The first uv that takes build settings for one package from pyproject.toml."""


def find_uv(places: Places) -> Path | None:
    """On PATH, where its own installers put it, or in our cache; one that is too old does not count."""
    name = "uv.exe" if sys.platform == "win32" else "uv"
    on_path = shutil.which("uv")
    known = [Path(on_path)] if on_path else []
    known += [Path.home() / ".local" / "bin" / name, Path.home() / ".cargo" / "bin" / name, _own(places)]
    return next((path for path in known if _is_recent(path)), None)


def install_uv(places: Places) -> Path:
    """Install uv with pip into an environment of its own.

    Raises:
        StepFailed: venv, pip or the network are not there.
    """
    made = process.run([process.base_python(), "-m", "venv", "--clear", places.uv_tool])
    if not made.ok:
        raise StepFailed(
            f"Python could not make an environment for uv:{made.tail()}", "install uv yourself, then run make again."
        )
    python = _own(places).with_name("python.exe" if sys.platform == "win32" else "python")
    installed = process.run([python, "-m", "pip", "install", "--quiet", f"uv>={OLDEST[0]}.{OLDEST[1]}"])
    if not installed.ok:
        why = f"pip could not install uv:{installed.tail()}"
        raise StepFailed(why, "check the network, or install uv yourself, then run make again.")
    return _own(places)


def _own(places: Places) -> Path:
    return places.uv_tool / ("Scripts/uv.exe" if sys.platform == "win32" else "bin/uv")


def _is_recent(path: Path) -> bool:
    if not path.is_file():
        return False
    try:
        said = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=20, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return False
    version = re.match(r"uv (\d+)\.(\d+)", said)
    return version is not None and (int(version[1]), int(version[2])) >= OLDEST
