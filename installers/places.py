"""Where set-up puts things. Leaves deciding what goes there to the steps."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

STARTER_FILE = "SmolLM2-135M-Instruct-Q4_1.gguf"


@dataclass(frozen=True, slots=True)
class Places:
    """The project's folder and the person's cache.

    The cache belongs to the person, not to the clone: a second clone finds the compiled llama.cpp there.
    """

    root: Path
    cache: Path

    @property
    def venv(self) -> Path:
        return self.root / ".venv"

    @property
    def programs(self) -> Path:
        """The folder of the environment's commands."""
        return self.venv / ("Scripts" if sys.platform == "win32" else "bin")

    @property
    def python(self) -> Path:
        return self.programs / ("python.exe" if sys.platform == "win32" else "python")

    @property
    def stamp(self) -> Path:
        return self.venv / "gatehouse-setup.json"

    @property
    def starter(self) -> Path:
        return self.venv / "share" / "gatehouse" / "models" / STARTER_FILE

    @property
    def uv_tool(self) -> Path:
        """An environment that holds nothing but uv, for machines that have none."""
        return self.cache / "uv"

    @property
    def wheels(self) -> Path:
        return self.cache / "wheels"

    @property
    def sources(self) -> Path:
        return self.cache / "sources"

    @property
    def build_log(self) -> Path:
        return self.cache / "build.log"

    @property
    def lock(self) -> Path:
        return self.cache / "setup.lock"


def find_places(root: Path) -> Places:
    """The usual places; `GATEHOUSE_CACHE_DIR` moves the cache."""
    chosen = os.environ.get("GATEHOUSE_CACHE_DIR")
    return Places(root, Path(chosen) if chosen else user_cache())


def user_cache() -> Path:
    """The person's cache folder by the custom of the platform."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "gatehouse" / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "gatehouse"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gatehouse"
