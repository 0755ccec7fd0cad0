"""The layer rule: ui -> app -> engine, never upward; and each room's own bans."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

FORBIDDEN = {
    "engine": {"app", "ui", "PySide6", "sqlite3", "sqlcipher3", "sqlite_utils", "keyring", "openai"},
    "app": {"ui", "PySide6", "llama_cpp", "numpy", "jinja2", "uvicorn"},
    "ui": {
        "sqlite3",
        "sqlcipher3",
        "sqlite_utils",
        "llama_cpp",
        "numpy",
        "httpx2",
        "openai",
        "huggingface_hub",
        "keyring",
        "requests",
    },
}
EXCEPTIONS = {
    # The entry point without a command opens the window.
    ("app/__main__.py", "ui"),
}
LLAMA_ROOMS = ("engine/llama/", "engine/serving/", "engine/worker/main.py", "engine/probe/")
"""Rooms that run in a worker or a probe, and so may touch llama.cpp and arrays."""


def _sources(layer: str) -> list[Path]:
    return sorted((ROOT / layer).rglob("*.py"))


def _imports(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            yield node.lineno, node.module or ""


@pytest.mark.parametrize("layer", sorted(FORBIDDEN))
def test_layer_imports_only_downward(layer: str) -> None:
    assert _sources(layer), f"no sources in {layer}"
    wrong = []
    for path in _sources(layer):
        name = path.relative_to(ROOT).as_posix()
        for line, module in _imports(path):
            top = module.split(".")[0]
            if top in FORBIDDEN[layer] and (name, top) not in EXCEPTIONS:
                wrong.append(f"{name}:{line} imports {module}")
    assert not wrong, "\n".join(wrong)


def test_llama_cpp_stays_in_its_rooms() -> None:
    wrong = []
    for path in _sources("engine"):
        name = path.relative_to(ROOT).as_posix()
        if name.startswith(LLAMA_ROOMS) or name == "engine/hardware/bandwidth.py":
            continue
        wrong += [f"{name}:{line} {m}" for line, m in _imports(path) if m.split(".")[0] in ("llama_cpp", "numpy")]
    assert not wrong, "\n".join(wrong)


def test_window_process_loads_no_engine_libraries() -> None:
    """What the app's process would hold after importing the whole window."""
    code = (
        "import sys, importlib, pkgutil, ui\n"
        "import app.bootstrap, ui.application, ui.window\n"
        "print(','.join(m for m in ('llama_cpp','numpy','openai','huggingface_hub','uvicorn') if m in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""


def test_top_level_is_exactly_the_agreed_one() -> None:
    tracked = subprocess.run(["git", "ls-files"], capture_output=True, text=True, cwd=ROOT, timeout=60, check=False)
    if tracked.returncode != 0:
        pytest.skip("not a git checkout")
    top = {line.split("/")[0] for line in tracked.stdout.splitlines()}
    agreed = {"app", "engine", "ui", "resources", "installers", "tests", "docs", "pyproject.toml"}
    agreed |= {"README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE", "Makefile", "uv.lock"}
    assert {name for name in top if not name.startswith(".")} <= agreed
