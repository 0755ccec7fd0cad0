"""Lets ``llama_cpp.llama_cpp``, the bare bindings, be imported without the package around them.

That package's ``__init__`` brings its high-level interface along: templates, chat formats and caches that a worker
never uses. They would be a seventh of what a worker imports, and 5 MB.
"""

from __future__ import annotations

import importlib.util
import sys


def skip_high_level() -> None:
    """Put the package in place without running it. Does nothing when it was imported already."""
    if "llama_cpp" in sys.modules:
        return
    spec = importlib.util.find_spec("llama_cpp")
    if spec is not None:
        sys.modules["llama_cpp"] = importlib.util.module_from_spec(spec)
