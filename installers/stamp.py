"""The stamp that says "this environment was finished, from these files". Written last, removed first."""

import hashlib
import json
import platform
from pathlib import Path

from installers.places import Places

_INPUTS = ("pyproject.toml", "uv.lock")


def fingerprint(root: Path, backend: str) -> str:
    """A hash over everything that the environment was made from.

    The place is part of it because the commands in an environment hold its absolute path.
    """
    digest = hashlib.sha256()
    for text in (str(root), backend, platform.python_version(), platform.machine()):
        digest.update(text.encode() + b"\0")
    for path in [root / name for name in _INPUTS] + sorted((root / "installers").rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def is_current(places: Places, mark: str) -> bool:
    """Whether the last set-up finished with these inputs; a damaged stamp counts as none."""
    try:
        found = json.loads(places.stamp.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and found.get("fingerprint") == mark and places.python.exists()


def remove(places: Places) -> None:
    places.stamp.unlink(missing_ok=True)


def write(places: Places, mark: str, backend: str) -> None:
    """Write beside and rename, so that a stamp is whole or absent."""
    fresh = places.stamp.with_suffix(".new")
    fresh.write_text(json.dumps({"fingerprint": mark, "backend": backend}), encoding="utf-8")
    fresh.replace(places.stamp)
