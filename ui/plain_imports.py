"""Gives ``import`` back to Python after PySide has hooked it.

PySide reads and keeps the source of every module imported after it, to find out who uses its ``__feature__`` switches.
Gatehouse uses none. For it the hook only costs: 15 MiB and a quarter second for the largest library, and an
``ImportError`` where a module's ``__getattr__`` imports while being looked at (pydantic's does).
"""

from __future__ import annotations

import builtins


def restore() -> None:
    """Undo the hook; harmless when there is none."""
    import PySide6.QtCore  # noqa: F401 - the hook comes with the first of its modules

    original = getattr(builtins, "__orig_import__", None)
    if original is not None:
        builtins.__import__ = original
