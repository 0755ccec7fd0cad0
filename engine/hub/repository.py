"""What lies in a hub's repository: files, and the models that they make together. Pure; asking the hub is left to
``client.py``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from engine.errors import HubError

DEFAULT_REVISION = "main"
PREFERRED_QUANTIZATIONS = ("Q4_K_M", "UD-Q4_K_M", "UD-Q4_K_XL", "MXFP4", "MXFP4_MOE", "Q4_0", "Q5_K_M", "Q8_0")
"""Which one to take when nobody chose: four bits first, because half a file is rarely half as good."""

_REPOSITORY = re.compile(r"^[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}$", re.ASCII)
_REVISION = re.compile(r"^[\w.][\w./-]{0,99}$", re.ASCII)
_SHARD = re.compile(r"^(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf$", re.IGNORECASE)
_QUANTIZATION = re.compile(
    r"(?<![A-Za-z0-9])((?:UD-)?(?:I?Q\d(?:_(?:\d|K|NL))?(?:_(?:XXS|XS|XXL|XL|S|M|L|NL))?|TQ\d_\d|BF16|F16|F32|MXFP4(?:_MOE)?|NVFP4))"
    r"(?![A-Za-z0-9_])",
    re.IGNORECASE,
)
_NO_MODEL = re.compile(r"(^|[-_.])(mmproj|imatrix|control[-_]vector)([-_.]|$)", re.IGNORECASE)
_SHARD_LIMIT = 1_000


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file of a repository at one commit."""

    path: str
    """Inside the repository, with forward slashes."""
    size_bytes: int
    sha256: str | None
    """The hub's own hash (Git LFS), lower case; ``None`` when it gives none."""

    @property
    def name(self) -> str:
        return PurePosixPath(self.path).name


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository of models at one commit."""

    id: str
    """``owner/name``."""
    revision: str
    """The commit that was found."""
    wanted_revision: str
    """The branch, tag or commit that was asked for."""
    files: tuple[RemoteFile, ...]
    gated: bool
    licence: str | None
    downloads: int | None


@dataclass(frozen=True, slots=True)
class RemoteModel:
    """A model in one file or in several, complete, at one commit of a repository."""

    repo: str
    revision: str
    wanted_revision: str
    name: str
    """The file's name without ``.gguf`` and shard suffix."""
    quantization: str
    """Read from the name; empty when it does not say."""
    files: tuple[RemoteFile, ...]
    """The shards in order."""
    licence: str | None
    pinned: bool = False
    """The hashes are those of the catalogue: no other file will do."""

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)


@dataclass(frozen=True, slots=True)
class ModelSource:
    """Where to get a model from, as a person writes it: ``owner/name[@revision][:file or quantization]``."""

    repo: str
    revision: str = DEFAULT_REVISION
    wanted: str | None = None


def parse_source(text: str) -> ModelSource:
    """Raises: ``HubError`` (``bad_source``) when it is no repository's name."""
    place, _, wanted = text.strip().partition(":")
    repo, _, revision = place.partition("@")
    revision = revision or DEFAULT_REVISION
    if not _REPOSITORY.match(repo) or ".." in repo or not _REVISION.match(revision) or ".." in revision:
        raise HubError(
            "bad_source",
            f"“{text.strip()[:120]}” is not the name of a repository.",
            "Write OWNER/NAME, OWNER/NAME:Q4_K_M or OWNER/NAME:FILE.gguf.",
        )
    return ModelSource(repo, revision, wanted or None)


def quantization_of(name: str) -> str:
    """The last quantization that a file's name mentions (``Q4_K_M``), upper case, else empty."""
    found: list[str] = _QUANTIZATION.findall(name)
    return found[-1].upper() if found else ""


def models_of(repository: Repository) -> tuple[RemoteModel, ...]:
    """Every complete model of a repository, by name; what is no model by itself (mmproj, imatrix) is left out."""
    found = []
    for stem, files in sorted(_grouped(repository).items()):
        if not _NO_MODEL.search(PurePosixPath(stem).name) and not _missing(files):
            found.append(_model(repository, files))
    return tuple(found)


def choose(repository: Repository, wanted: str | None) -> RemoteModel:
    """The model that ``wanted`` names: a file, a quantization, a part of the name, or ``None`` for the usual choice.

    Raises: ``HubError``: ``no_gguf``, ``not_a_model``, ``shard_missing``, ``no_such_file``, ``ambiguous``.
    """
    groups = _grouped(repository)
    if not groups:
        raise _no_gguf(repository)
    if wanted is not None:
        _refuse_incomplete(repository, groups, wanted)
        return _chosen(repository, wanted)
    models = models_of(repository)
    if len(models) == 1:
        return models[0]
    for quantization in PREFERRED_QUANTIZATIONS:
        fitting = [model for model in models if model.quantization == quantization]
        if len(fitting) == 1:
            return fitting[0]
    if not models:
        raise HubError("not_a_model", f"{repository.id} holds no complete model, only parts and image projectors.")
    raise _ambiguous(repository, models)


def _grouped(repository: Repository) -> dict[str, list[RemoteFile]]:
    """Files that belong together, by the path without shard suffix."""
    groups: dict[str, list[RemoteFile]] = {}
    for file in sorted(repository.files, key=lambda file: file.path):
        if file.path.lower().endswith(".gguf"):
            match = _SHARD.match(file.path)
            groups.setdefault(match["stem"] if match else file.path[: -len(".gguf")], []).append(file)
    return groups


def _missing(files: list[RemoteFile]) -> list[int]:
    """Numbers of the shards that are not there."""
    match = _SHARD.match(files[0].path)
    if match is None:
        return []
    count = min(int(match["count"]), _SHARD_LIMIT)
    there = {int(m["number"]) for file in files if (m := _SHARD.match(file.path))}
    return [number for number in range(1, count + 1) if number not in there]


def _model(repository: Repository, files: list[RemoteFile]) -> RemoteModel:
    name = files[0].name
    match = _SHARD.match(name)
    stem = match["stem"] if match else name[: -len(".gguf")]
    quantization = quantization_of(stem) or quantization_of(files[0].path)
    return RemoteModel(
        repository.id,
        repository.revision,
        repository.wanted_revision,
        stem,
        quantization,
        tuple(files),
        repository.licence,
    )


def _refuse_incomplete(repository: Repository, groups: dict[str, list[RemoteFile]], wanted: str) -> None:
    """Name the fault when the very file that was asked for cannot be a model."""
    for stem, files in groups.items():
        named = wanted in (file.path for file in files) or wanted in (file.name for file in files)
        if not named and quantization_of(stem) != wanted.upper():
            continue
        if named and _NO_MODEL.search(PurePosixPath(stem).name):
            raise HubError(
                "not_a_model",
                f"{files[0].name} is not a model by itself: by its name it is a part or a by-product of one.",
                "Choose the language model.",
            )
        if missing := _missing(files):
            numbers = ", ".join(str(number) for number in missing[:5]) + (" …" if len(missing) > 5 else "")
            raise HubError(
                "shard_missing",
                f"{repository.id} lacks {len(missing)} of the files of {PurePosixPath(stem).name}: number {numbers}.",
                "Its maker may still be uploading; choose another quantization or come back later.",
            )


def _chosen(repository: Repository, wanted: str) -> RemoteModel:
    models = models_of(repository)
    low = wanted.lower()
    exact = [
        m for m in models if any(low in (f.path.lower(), f.name.lower()) for f in m.files) or m.name.lower() == low
    ]
    by_quantization = [m for m in models if m.quantization.lower() == low]
    within = [m for m in models if low in m.name.lower()]
    for fitting in (exact, by_quantization, within):
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            raise _ambiguous(repository, tuple(fitting))
    there = ", ".join(m.quantization or m.name for m in models[:12])
    raise HubError("no_such_file", f"{repository.id} holds no model “{wanted[:120]}”.", f"It holds: {there}.")


def _ambiguous(repository: Repository, models: tuple[RemoteModel, ...]) -> HubError:
    names = ", ".join(model.name for model in models[:12]) + (" …" if len(models) > 12 else "")
    return HubError("ambiguous", f"{repository.id} holds {len(models)} models that fit: {names}.", "Name the file.")


def _no_gguf(repository: Repository) -> HubError:
    kinds = {PurePosixPath(file.path).suffix.lower() for file in repository.files}
    what = (
        "its weights are safetensors"
        if ".safetensors" in kinds
        else f"none of its {len(repository.files)} files is one"
    )
    return HubError(
        "no_gguf",
        f"{repository.id} is not a repository of GGUF models: {what}.",
        "Look for a conversion; such repositories usually end in -GGUF.",
    )
