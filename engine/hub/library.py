"""What models lie on this disk: finds GGUF files, joins shards, reads headers (remembered by size and date).

Never raises for a bad file: it is listed with its fault. Downloads are left to the rest of this folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.errors import ModelFileError
from engine.gguf.header import Header, Output
from engine.gguf.split import display_name, is_shard, model_stem, read_model, shard_number
from engine.hub.found import FoundModel
from engine.records import RecordFault, from_plain, read_object, to_plain

_FILE_LIMIT = 5_000
"""GGUF files looked at in all folders together; a person who points at a whole disk still gets an answer."""
_DEPTH_LIMIT = 6
_CACHE_VERSION = 4
_CACHE_LIMIT_BYTES = 16 * 1024 * 1024
_PASSING_FAULTS = {"unreadable", "shard_missing"}
"""Faults that may go without the file changing, and so are not remembered."""


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What a header says, as far as lists show it."""

    name: str
    architecture: str
    quantization: str
    parameters: int
    n_ctx_train: int
    n_layer: int
    n_expert: int
    n_expert_used: int
    licence: str | None
    size_label: str | None
    has_chat_template: bool
    fingerprint: str
    output: Output = "text"


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A model on disk, or a file that claims to be one."""

    id: str
    """Unique and readable: the file's name without ``.gguf`` and shard suffix, with a hash where that is taken."""
    path: Path
    """The file, or the first shard; give this one to llama.cpp."""
    paths: tuple[Path, ...]
    size_bytes: int
    built_in: bool
    managed: bool
    """Lies in one of the model folders, as against a file used in place."""
    facts: ModelFacts | None
    fault: str
    """One sentence when the file cannot be used, else empty."""
    holder: str = ""
    """The other program that holds it; it is used there and never written to."""

    @property
    def name(self) -> str:
        return self.facts.name if self.facts is not None else self.id


@dataclass(frozen=True, slots=True)
class _Found:
    path: Path
    built_in: bool
    managed: bool
    holder: str = ""
    stem: str = ""
    """What to call it when the file's own name says nothing (Ollama's are hashes)."""


@dataclass(frozen=True, slots=True)
class _Reading:
    """What reading a model's header gave, good as long as its files keep size and date."""

    signature: tuple[tuple[str, int, int], ...]
    facts: ModelFacts | None
    fault: str
    passing: bool = False


def scan(
    folders: Sequence[Path],
    extra_files: Sequence[Path] = (),
    built_in_folder: Path | None = None,
    cache_file: Path | None = None,
    held: Sequence[FoundModel] = (),
) -> tuple[LocalModel, ...]:
    """List every model, the built-in ones first, then by name. Blocking; quick when ``cache_file`` knows the files.

    ``held``: what other programs hold, as ``found.find_models`` tells.
    """
    cache = _read_cache(cache_file)
    readings: dict[str, _Reading] = {}
    rows: list[tuple[_Found, _Reading]] = []
    for found in _find(folders, extra_files, built_in_folder, held):
        signature = _sign(found.path)
        reading = cache.get(str(found.path))
        if reading is None or reading.signature != signature:
            reading = _read(found.path, signature)
        readings[str(found.path)] = reading
        rows.append((found, reading))
    lasting = {path: reading for path, reading in readings.items() if not reading.passing}
    if cache_file is not None and lasting != cache:
        _write_cache(cache_file, lasting)
    return _name_all(rows)


def _find(
    folders: Sequence[Path], extra_files: Sequence[Path], built_in_folder: Path | None, held: Sequence[FoundModel]
) -> Iterator[_Found]:
    """Each model once: a file reached on two ways counts where it was found first."""
    seen: set[Path] = set()
    places = [(built_in_folder, True)] if built_in_folder is not None else []
    places += [(folder, False) for folder in folders]
    left = _FILE_LIMIT
    for folder, built_in in places:
        for path in _first_shards(_gguf_files(folder)):
            resolved = _resolve(path)
            if resolved not in seen and left > 0:
                left -= 1
                seen.add(resolved)
                yield _Found(path, built_in, managed=True)
    for path in extra_files:
        first = _first_shard_of(path)
        resolved = _resolve(first)
        if resolved not in seen:
            seen.add(resolved)
            yield _Found(first, built_in=False, managed=False)
    for model in held:
        resolved = _resolve(model.path)
        if resolved not in seen:
            seen.add(resolved)
            yield _Found(model.path, built_in=False, managed=False, holder=model.holder, stem=_plain_name(model.name))


def _gguf_files(folder: Path) -> list[Path]:
    found: list[Path] = []
    base = len(folder.parts)
    for parent, names, files in os.walk(folder):
        here = Path(parent)
        deep = len(here.parts) - base >= _DEPTH_LIMIT
        names[:] = [] if deep else sorted(name for name in names if not name.startswith("."))
        found += [here / file for file in sorted(files) if file.lower().endswith(".gguf") and not file.startswith(".")]
        if len(found) > _FILE_LIMIT:
            break
    return found


def _first_shards(paths: Sequence[Path]) -> Iterator[Path]:
    """One path for each model: of shards, the lowest-numbered that is there."""
    first: dict[tuple[Path, str], Path] = {}
    for path in paths:
        if not is_shard(path):
            yield path
            continue
        key = (path.parent, model_stem(path))
        if key not in first or shard_number(path) < shard_number(first[key]):
            first[key] = path
    yield from first.values()


def _first_shard_of(path: Path) -> Path:
    return min(_files_of(path), key=shard_number)


def _resolve(path: Path) -> Path:
    try:
        return path.resolve()
    except OSError:
        # A loop of links, or a network folder that went away: reading it will name the fault.
        return path.absolute()


def _files_of(path: Path) -> list[Path]:
    if not is_shard(path):
        return [path]
    siblings = path.parent.glob("*.gguf")
    return sorted(file for file in siblings if is_shard(file) and model_stem(file) == model_stem(path)) or [path]


def _sign(path: Path) -> tuple[tuple[str, int, int], ...]:
    signature = []
    for file in _files_of(path):
        try:
            status = file.stat()
        except OSError:
            continue
        signature.append((file.name, status.st_size, status.st_mtime_ns))
    return tuple(signature)


def _read(path: Path, signature: tuple[tuple[str, int, int], ...]) -> _Reading:
    if not signature:
        return _Reading(signature, None, f"{path.name} is no longer there.", passing=True)
    try:
        return _Reading(signature, collect_facts(read_model(path)), "")
    except ModelFileError as error:
        return _Reading(signature, None, error.sentence, passing=error.code in _PASSING_FAULTS)


def collect_facts(header: Header) -> ModelFacts:
    """The facts of one model. Raises: ``ModelFileError`` where the header says nonsense."""
    return ModelFacts(
        name=display_name(header),
        architecture=header.architecture,
        quantization=header.quantization,
        parameters=header.parameters,
        n_ctx_train=header.n_ctx_train,
        n_layer=header.block_count,
        n_expert=header.n_expert,
        n_expert_used=header.n_expert_used,
        licence=header.licence,
        size_label=header.size_label,
        has_chat_template=header.chat_template is not None,
        fingerprint=header.fingerprint,
        output=header.output,
    )


def _name_all(rows: Sequence[tuple[_Found, _Reading]]) -> tuple[LocalModel, ...]:
    """Give out ids in order of preference, so that a duplicate elsewhere does not rename the model one knows."""
    taken: set[str] = set()
    models = []
    for found, reading in sorted(rows, key=lambda row: _preference(row[0])):
        stem = found.stem or model_stem(found.path)
        name = stem if stem.lower() not in taken else f"{stem}-{_hash(found.path)}"
        taken.add(name.lower())
        models.append(
            LocalModel(
                id=name,
                path=found.path,
                paths=tuple(found.path.with_name(file) for file, _, _ in reading.signature) or (found.path,),
                size_bytes=sum(size for _, size, _ in reading.signature),
                built_in=found.built_in,
                managed=found.managed,
                facts=reading.facts,
                fault=reading.fault,
                holder=found.holder,
            )
        )
    return tuple(sorted(models, key=lambda model: (not model.built_in, model.name.lower(), model.id)))


def _plain_name(name: str) -> str:
    """An id for what another program calls ``owner/name:tag``: ids are used in addresses and on the command line."""
    return "-".join(part for part in re.split(r"[^\w.+-]+", name) if part) or "model"


def _preference(found: _Found) -> tuple[bool, bool, bool, int, str]:
    return bool(found.holder), not found.built_in, not found.managed, len(found.path.parts), str(found.path)


def _hash(path: Path) -> str:
    return hashlib.sha256(str(path).encode("utf-8", "surrogateescape")).hexdigest()[:6]


def _read_cache(cache_file: Path | None) -> dict[str, _Reading]:
    """An unreadable or foreign cache is an empty one: it only saves time."""
    if cache_file is None:
        return {}
    try:
        raw = read_object(cache_file.read_bytes(), _CACHE_LIMIT_BYTES)
        models = raw.get("models")
        if raw.get("version") != _CACHE_VERSION or not isinstance(models, dict):
            return {}
        return {path: from_plain(_Reading, entry, "reading") for path, entry in models.items()}
    except (OSError, RecordFault):
        return {}


def _write_cache(cache_file: Path, readings: dict[str, _Reading]) -> None:
    payload = {"version": _CACHE_VERSION, "models": {path: to_plain(reading) for path, reading in readings.items()}}
    temporary = cache_file.with_name(f".{cache_file.name}-{os.getpid()}")
    try:
        cache_file.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(payload), "utf-8")
        temporary.replace(cache_file)
    except OSError:
        # A full disk costs the next start some milliseconds, nothing more.
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
