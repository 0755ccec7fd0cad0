"""The product's version, as its distribution says. Leaves the schema's version to ``app.store.database``."""

from __future__ import annotations


def version() -> str:
    """E.g. ``0.1.0``; ``unknown`` in a tree that was never installed."""
    from importlib import metadata

    try:
        return metadata.version("gatehouse")
    except metadata.PackageNotFoundError:
        return "unknown"
