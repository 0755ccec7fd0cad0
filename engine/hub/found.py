"""Finds models that other programs on this machine hold, so that they can be used in place. Reads only, never writes.

Where each program keeps them is its own affair and may change; whatever is not there is simply not found. Reading the
headers is left to ``library.py``.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Holder = Literal["LM Studio", "Ollama", "Jan", "GPT4All", "Hugging Face cache", "llama.cpp cache"]
Platform = Literal["linux", "darwin", "win32"]

FILE_LIMIT = 2_000
"""For each holder."""
DEPTH_LIMIT = 6
_MANIFEST_LIMIT = 1_048_576
_OLLAMA_MODEL = "application/vnd.ollama.image.model"
_DIGEST = re.compile(r"^sha256[:-]([0-9a-f]{64})$")
_SHARD = re.compile(r"^(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf$", re.IGNORECASE)
_NO_MODEL = re.compile(r"(^|[-_.])(mmproj|imatrix)([-_.]|$)|^incomplete-", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the places are computed from."""

    home: Path
    environ: Mapping[str, str]
    platform: Platform
    root: Path = Path("/")
    """Of the file system, for what belongs to no person."""

    def folder(self, variable: str, *default: str) -> Path:
        """The folder that the environment names, else one below the home."""
        named = self.environ.get(variable, "").strip()
        return Path(named) if named else self.home.joinpath(*default)

    @property
    def user_data(self) -> Path:
        """Where programs keep data of a person (on Windows: of a person on this machine)."""
        if self.platform == "win32":
            return self.folder("LOCALAPPDATA", "AppData", "Local")
        if self.platform == "darwin":
            return self.home / "Library" / "Application Support"
        return self.folder("XDG_DATA_HOME", ".local", "share")

    @property
    def roaming(self) -> Path:
        """On Windows the part that follows a person to other machines; elsewhere the same as ``user_data``."""
        return self.folder("APPDATA", "AppData", "Roaming") if self.platform == "win32" else self.user_data

    @property
    def cache(self) -> Path:
        if self.platform == "win32":
            return self.folder("LOCALAPPDATA", "AppData", "Local")
        if self.platform == "darwin":
            return self.home / "Library" / "Caches"
        return self.folder("XDG_CACHE_HOME", ".cache")


@dataclass(frozen=True, slots=True)
class FoundModel:
    """A model that another program holds. Its files may go or change whenever that program likes."""

    holder: Holder
    name: str
    """As that program calls it, or the file's name."""
    path: Path
    """The file, or its first shard."""
    size_bytes: int
    """Of all shards."""


def surroundings() -> Surroundings:
    """Of this process."""
    platform: Platform = "win32" if sys.platform == "win32" else "darwin" if sys.platform == "darwin" else "linux"
    return Surroundings(Path.home(), os.environ, platform)


def find_models(around: Surroundings) -> tuple[FoundModel, ...]:
    """Every complete model, each file once, in the order of holders and names. Blocking; never raises for what it
    finds."""
    found: dict[Path, FoundModel] = {}
    for search in _SEARCHES:
        for model in sorted(search(around), key=lambda model: model.name.lower()):
            try:
                found.setdefault(model.path.resolve(), model)
            except (OSError, RuntimeError):
                continue
    return tuple(found.values())


def _lm_studio(around: Surroundings) -> Iterator[FoundModel]:
    pointer = _first_line(around.home / ".lmstudio-home-pointer")
    homes = [Path(pointer)] if pointer else []
    homes += [around.home / ".lmstudio", around.home / ".cache" / "lm-studio"]
    folders = [home / "models" for home in homes]
    for home in homes:
        settings = _json(home / "settings.json")
        chosen = settings.get("downloadsFolder") if isinstance(settings, dict) else None
        if isinstance(chosen, str) and chosen:
            folders.append(Path(chosen))
    for folder in dict.fromkeys(folders):
        yield from _models_in(folder, "LM Studio", _file_name)


def _ollama(around: Surroundings) -> Iterator[FoundModel]:
    folders = [around.folder("OLLAMA_MODELS", ".ollama", "models")]
    if around.platform == "linux":
        # Of the service that its installer sets up.
        folders += [around.root / place / ".ollama" / "models" for place in ("usr/share/ollama", "var/lib/ollama")]
    for folder in folders:
        manifests = folder / "manifests"
        for path in _files_below(manifests):
            model = _ollama_model(folder, path, path.relative_to(manifests).parts)
            if model is not None:
                yield model


def _ollama_model(folder: Path, manifest: Path, parts: tuple[str, ...]) -> FoundModel | None:
    content = _json(manifest)
    layers = content.get("layers") if isinstance(content, dict) else None
    if not isinstance(layers, list) or len(parts) < 3:
        return None
    for layer in layers:
        if isinstance(layer, dict) and layer.get("mediaType") == _OLLAMA_MODEL:
            digest = _DIGEST.match(str(layer.get("digest")))
            path = folder / "blobs" / f"sha256-{digest[1]}" if digest else None
            size = _gguf_size(path) if path is not None else None
            if path is not None and size is not None:
                *places, name, tag = parts[1:]
                owner = "/".join(place for place in places if place != "library")
                return FoundModel("Ollama", f"{owner}/{name}:{tag}".lstrip("/"), path, size)
    return None


def _jan(around: Surroundings) -> Iterator[FoundModel]:
    for folder in (around.roaming / "Jan" / "data", around.home / "jan"):
        for models in (folder / "llamacpp" / "models", folder / "models"):
            yield from _models_in(models, "Jan", _folder_name)


def _gpt4all(around: Surroundings) -> Iterator[FoundModel]:
    yield from _models_in(around.user_data / "nomic.ai" / "GPT4All", "GPT4All", _file_name)


def _hub_cache(around: Surroundings) -> Iterator[FoundModel]:
    home = around.folder("HF_HOME", ".cache", "huggingface")
    named = around.environ.get("HF_HUB_CACHE", "").strip()
    root = Path(named) if named else home / "hub"
    for repository in _folders_in(root):
        if repository.name.startswith("models--"):
            for snapshot in _folders_in(repository / "snapshots"):
                yield from _models_in(snapshot, "Hugging Face cache", _file_name)


def _llama_cpp_cache(around: Surroundings) -> Iterator[FoundModel]:
    named = around.environ.get("LLAMA_CACHE", "").strip()
    yield from _models_in(Path(named) if named else around.cache / "llama.cpp", "llama.cpp cache", _file_name)


_SEARCHES: tuple[Callable[[Surroundings], Iterable[FoundModel]], ...] = (
    _lm_studio,
    _ollama,
    _jan,
    _gpt4all,
    _hub_cache,
    _llama_cpp_cache,
)


def _models_in(folder: Path, holder: Holder, name: Callable[[Path, Path], str]) -> Iterator[FoundModel]:
    groups: dict[tuple[Path, str], list[Path]] = {}
    for path in _files_below(folder):
        if path.suffix.lower() == ".gguf" and not _NO_MODEL.search(path.stem):
            match = _SHARD.match(path.name)
            groups.setdefault((path.parent, match["stem"] if match else path.name), []).append(path)
    for paths in groups.values():
        paths.sort()
        match = _SHARD.match(paths[0].name)
        sizes = [_gguf_size(path) for path in paths]
        if len(paths) == (int(match["count"]) if match else 1) and None not in sizes:
            yield FoundModel(holder, name(folder, paths[0]), paths[0], sum(size or 0 for size in sizes))


def _file_name(_: Path, path: Path) -> str:
    match = _SHARD.match(path.name)
    return match["stem"] if match else path.stem


def _folder_name(folder: Path, path: Path) -> str:
    """Programs that call every file ``model.gguf`` tell models apart by their folders."""
    if path.stem.lower() != "model":
        return _file_name(folder, path)
    return path.parent.relative_to(folder).as_posix()


def _files_below(folder: Path) -> Iterator[Path]:
    left = FILE_LIMIT
    base = len(folder.parts)
    for parent, names, files in os.walk(folder):
        deep = len(Path(parent).parts) - base >= DEPTH_LIMIT
        names[:] = [] if deep else sorted(name for name in names if not name.startswith("."))
        for file in sorted(files):
            left -= 1
            if left < 0:
                return
            yield Path(parent, file)


def _folders_in(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir())[:FILE_LIMIT]
    except OSError:
        return []


def _gguf_size(path: Path) -> int | None:
    """``None`` for what is no GGUF file or cannot be read by us."""
    try:
        with path.open("rb") as file:
            return os.fstat(file.fileno()).st_size if file.read(4) == b"GGUF" else None
    except OSError:
        return None


def _first_line(path: Path) -> str:
    try:
        with path.open("rb") as file:
            start = file.read(4096)
    except OSError:
        return ""
    return start.decode("utf-8", "replace").strip().splitlines()[0].strip() if start.strip() else ""


def _json(path: Path) -> object:
    try:
        with path.open("rb") as file:
            content: object = json.loads(file.read(_MANIFEST_LIMIT))
    except (OSError, ValueError, RecursionError):
        return None
    return content
