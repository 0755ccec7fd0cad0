"""Where Gatehouse keeps things on this machine. Leaves creating files to their owners; only folders are made here."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from engine.errors import GatehouseError

DATA_DIR_VARIABLE = "GATEHOUSE_DATA_DIR"
"""Environment variable that moves everything into one folder, as ``--data-dir`` does."""


@dataclass(frozen=True, slots=True)
class Paths:
    """Every folder and file that the product owns."""

    data: Path
    cache: Path
    logs: Path
    built_in_models: Path
    """Models that came with the set-up; read only."""

    @property
    def database(self) -> Path:
        return self.data / "gatehouse.db"

    @property
    def backups(self) -> Path:
        return self.data / "backups"

    @property
    def settings(self) -> Path:
        return self.data / "settings.json"

    @property
    def models(self) -> Path:
        """Models that the product fetched itself."""
        return self.data / "models"

    @property
    def measurements(self) -> Path:
        """What plans really took and reached on this machine."""
        return self.data / "measured.jsonl"

    @property
    def kept_states(self) -> Path:
        """What the model remembers of past conversations, encrypted."""
        return self.data / "kept"

    @property
    def log_file(self) -> Path:
        return self.logs / "gatehouse.log"

    def make_folders(self) -> None:
        """Create the writable folders, readable by nobody else. Raises ``OSError``."""
        for folder in (self.data, self.cache, self.logs, self.models):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def resolve(data_dir: Path | None = None) -> Paths:
    """The folders for ``--data-dir``, else for ``GATEHOUSE_DATA_DIR``, else the platform's own."""
    built_in = Path(sys.prefix) / "share" / "gatehouse" / "models"
    chosen = data_dir or _from_environment()
    if chosen is not None:
        root = chosen.expanduser().absolute()
        return Paths(data=root, cache=root / "cache", logs=root / "logs", built_in_models=built_in)
    import platformdirs

    return Paths(
        data=platformdirs.user_data_path("gatehouse", appauthor=False),
        cache=platformdirs.user_cache_path("gatehouse", appauthor=False),
        logs=platformdirs.user_log_path("gatehouse", appauthor=False),
        built_in_models=built_in,
    )


def refuse_own_file(path: Path, folder: Path) -> None:
    """Keep what somebody saves from being written over the store or its keys, which lie in the data ``folder``.

    Raises ``GatehouseError`` ``own_file``, ``OSError``.
    """
    if path.exists() and path.resolve().parent == folder.resolve():
        raise GatehouseError(
            "own_file", f"{path} is a file of Gatehouse's own, so nothing was written over it.", "Choose another place."
        )


def _from_environment() -> Path | None:
    value = os.environ.get(DATA_DIR_VARIABLE, "").strip()
    return Path(value) if value else None
