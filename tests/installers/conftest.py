"""Programs that stand in for uv and the system's own: real executables that are found on PATH and run as children."""

import stat
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest

from installers.console import Console
from installers.places import Places

Program = Callable[[str, str], Path]

if sys.platform == "win32":
    collect_ignore_glob = ["test_*.py"]
    """Stand-ins are scripts with a first line that names their interpreter; Windows has no such thing."""


@pytest.fixture
def places(tmp_path: Path) -> Places:
    root, cache = tmp_path / "clone", tmp_path / "cache"
    (root / "installers").mkdir(parents=True)
    (root / "installers" / "setup.py").write_text("# set-up\n")
    (root / "pyproject.toml").write_text(
        '[tool.uv]\nconfig-settings-package = { llama-cpp-python = { "cmake.define.GGML_RPC" = "ON" } }\n'
    )
    (root / "uv.lock").write_text(
        '[[package]]\nname = "llama-cpp-python"\nversion = "0.3.36"\n'
        'sdist = { url = "https://example.invalid/llama.tar.gz", hash = "sha256:' + "0" * 64 + '" }\n'
    )
    cache.mkdir()
    return Places(root, cache)


@pytest.fixture
def said() -> StringIO:
    return StringIO()


@pytest.fixture
def console(said: StringIO) -> Console:
    return Console(said)


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """Make a program of some Python lines and put it first on PATH; `log` is a file that it may write to."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def make(name: str, body: str) -> Path:
        path = folder / name
        log = tmp_path / f"{name}.log"
        head = f"#!{sys.executable}\nimport os, pathlib, signal, subprocess, sys\nlog = pathlib.Path({str(log)!r})\n"
        path.write_text(head + "with log.open('a') as f: f.write(' '.join(sys.argv[1:]) + '\\n')\n" + body)
        path.chmod(path.stat().st_mode | stat.S_IEXEC)
        return path

    return make
