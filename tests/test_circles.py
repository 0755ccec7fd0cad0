"""No two files of the house import each other in a circle: what a file rests on can be read without it."""

from __future__ import annotations

import ast
import graphlib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAYERS = ("engine", "app", "ui", "installers")


def _modules() -> dict[str, Path]:
    found = {}
    for layer in LAYERS:
        for path in (ROOT / layer).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def _statements(node: ast.AST, *, typing: bool) -> Iterator[ast.AST]:
    """Everything below ``node``; without what only a type checker imports, unless ``typing``."""
    for child in ast.iter_child_nodes(node):
        if not typing and isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        yield child
        yield from _statements(child, typing=typing)


def _imported(source: str, modules: set[str], *, typing: bool) -> set[str]:
    """Files of the house that ``source`` imports, inside functions too."""
    found = set()
    for node in _statements(ast.parse(source), typing=typing):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= inner & modules
            if not inner <= modules:
                found.add(node.module)
    # A package that only says what it is holds nothing that could come round.
    return {name for name in found & modules if "." in name}


def _circle(sources: dict[str, str], *, typing: bool) -> list[str]:
    """The files of one circle, first and last the same; empty when there is none."""
    graph = {name: _imported(source, set(sources), typing=typing) - {name} for name, source in sources.items()}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return [str(name) for name in error.args[1]]
    return []


@pytest.mark.parametrize("layer", ["engine", "app"])
def test_no_circle_even_among_types(layer: str) -> None:
    sources = {name: path.read_text("utf-8") for name, path in _modules().items() if name.split(".")[0] == layer}
    assert len(sources) > 100
    assert _circle(sources, typing=True) == []


def test_no_circle_when_it_runs() -> None:
    """Across all layers. In the window a page and its parts may know each other's types."""
    sources = {name: path.read_text("utf-8") for name, path in _modules().items()}
    assert _circle(sources, typing=False) == []


def test_a_circle_is_seen() -> None:
    sources = {
        "app.one": "from app.two import b",
        "app.two": "def b():\n    from app import three\n",
        "app.three": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import app.one\n",
    }
    assert set(_circle(sources, typing=True)) == {"app.one", "app.two", "app.three"}
    assert _circle(sources, typing=False) == []
