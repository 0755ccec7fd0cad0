"""Lets modules of two packages be imported without what their packages' ``__init__`` brings along.

``llama_cpp``'s is the high-level interface: templates, chat formats and caches. ``uvicorn``'s is its command line. A
worker uses neither, and they would be a quarter of what it imports at its start, and 5 MB.
"""

from __future__ import annotations

import importlib.util
import sys
from typing import Final

_PACKAGES: Final = ("llama_cpp", "uvicorn")


def skip_high_level() -> None:
    """Put the packages in place without running them. Does nothing for one that was imported already."""
    for name in _PACKAGES:
        if name in sys.modules:
            continue
        spec = importlib.util.find_spec(name)
        if spec is not None:
            sys.modules[name] = importlib.util.module_from_spec(spec)
