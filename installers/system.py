"""What must come from the operating system: Qt's libraries, a C++ compiler, certificates, the venv module.

Each is looked for by using it, not by asking the package manager. What is missing is installed when we are root;
otherwise the one line to run is printed.
"""

import importlib.util
import json
import os
import shlex
import shutil
import ssl
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from installers import macos, process, windows
from installers.console import Console
from installers.linux import packages
from installers.steps import StepFailed

_OPEN_EACH = """
import ctypes, json, sys
missing = []
for name in json.loads(sys.argv[1]):
    try:
        ctypes.CDLL(name)
    except OSError:
        missing.append(name)
sys.stdout.write(json.dumps(missing))
"""
_PROGRAM = "#include <string>\n#include <thread>\nint main() { return std::to_string(17).size() == 2 ? 0 : 1; }\n"


@dataclass(frozen=True, slots=True)
class Missing:
    """What this machine lacks."""

    libraries: tuple[packages.Library, ...] = ()
    compiler: bool = False
    certificates: bool = False
    venv: bool = False

    def __bool__(self) -> bool:
        return bool(self.libraries or self.compiler or self.certificates or self.venv)

    def sentence(self) -> str:
        parts = [f"{len(self.libraries)} libraries of the window"] if self.libraries else []
        parts += [words for lacking, words in self._rest() if lacking]
        return "missing: " + ", ".join(parts)

    def _rest(self) -> tuple[tuple[bool, str], ...]:
        return (
            (self.compiler, "a C++ compiler"),
            (self.certificates, "certificates for secure connections"),
            (self.venv, "Python's venv module"),
        )


def find_missing(has_uv: bool, needs_compiler: bool) -> Missing:
    """Look. Without uv the venv module is needed, because uv is then installed with it."""
    linux = sys.platform == "linux"
    return Missing(
        libraries=_missing_libraries() if linux else (),
        compiler=needs_compiler and not compiler_works(),
        certificates=linux and not _has_certificates(),
        venv=linux and not has_uv and not _has_venv(),
    )


def _missing_libraries() -> tuple[packages.Library, ...]:
    """Open each library in a child, so that a broken one cannot take set-up along."""
    names = json.dumps([library.soname for library in packages.QT_LIBRARIES])
    child = subprocess.run([sys.executable, "-c", _OPEN_EACH, names], capture_output=True, text=True, check=False)
    if child.returncode != 0:
        return packages.QT_LIBRARIES
    absent = set(json.loads(child.stdout))
    return tuple(library for library in packages.QT_LIBRARIES if library.soname in absent)


def compiler_works() -> bool:
    """Compile and run a small program with the compiler that CMake would take."""
    if sys.platform == "win32":
        return windows.has_build_tools()
    names = [os.environ["CXX"]] if os.environ.get("CXX") else ["c++", "g++", "clang++"]
    return any(shutil.which(name.split()[0]) and _compiles(name) for name in names)


def _compiles(compiler: str) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        source, program = Path(folder) / "try.cpp", Path(folder) / "try"
        source.write_text(_PROGRAM)
        command = [*shlex.split(compiler), "-std=c++17", str(source), "-o", str(program)]
        try:
            built = subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0
            return built and subprocess.run([program], timeout=10, check=False).returncode == 0
        except (OSError, subprocess.TimeoutExpired):
            return False


def _has_certificates() -> bool:
    known = ssl.get_default_verify_paths()
    if known.cafile and Path(known.cafile).is_file():
        return True
    return bool(known.capath and Path(known.capath).is_dir() and any(Path(known.capath).iterdir()))


def _has_venv() -> bool:
    """Debian ships the venv module without the pip that it installs; both are needed."""
    return importlib.util.find_spec("venv") is not None and importlib.util.find_spec("ensurepip") is not None


def install_missing(missing: Missing, console: Console) -> None:
    """Install what is missing, or say how.

    Raises:
        StepFailed: we are not root, there is no known package manager, or it failed.
    """
    if sys.platform == "darwin":
        raise StepFailed("Apple's command line tools are missing.", f"run: {macos.COMPILER_LINE}")
    if sys.platform == "win32":
        raise StepFailed("The C++ build tools are missing.", f"run: {windows.COMPILER_LINE}")
    manager = next((name for name in packages.INSTALL if shutil.which(name)), None)
    if manager is None:
        names = ", ".join(library.soname for library in missing.libraries)
        raise StepFailed(
            f"{missing.sentence()}, and no known package manager. {names}", "install them and run make again."
        )
    install = [*packages.INSTALL[manager], *wanted_packages(manager, missing)]
    if os.geteuid() != 0:
        raise StepFailed(f"{missing.sentence()}.", f"run: sudo {shlex.join(install)}")
    console.line(f"      {shlex.join(install)}")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    process.run(packages.REFRESH[manager], more=quiet)  # an old list may still do; installing tells
    outcome = process.run(install, more=quiet)
    if not outcome.ok:
        raise StepFailed(f"{manager} ended with code {outcome.code}:{outcome.tail()}", f"run: {shlex.join(install)}")


def wanted_packages(manager: str, missing: Missing) -> list[str]:
    """The packages that fill the gaps, each once, in a steady order."""
    wanted = [packages.library_package(manager, library) for library in missing.libraries]
    wanted += [packages.COMPILER[manager]] if missing.compiler else []
    wanted += [packages.CERTIFICATES[manager]] if missing.certificates else []
    wanted += [packages.VENV[manager]] if missing.venv else []
    return list(dict.fromkeys(wanted))
