"""The models that Gatehouse knows by name: facts, files with their hashes where known, and their catches in words.

The list is data (``resources/catalogue.json``), read strictly: an unknown key or a value of the wrong kind is a fault
of ours and fails. What is not known is ``None``; nothing is guessed here. Whether a model fits is left to
``engine/fit``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from importlib import resources
from pathlib import Path
from typing import Final, Literal, TypeVar, cast, get_args

from engine.errors import HubError
from engine.hub.repository import DEFAULT_REVISION, ModelSource, RemoteFile, RemoteModel, Repository, choose

Kind = Literal["dense", "moe", "embedding"]
Attention = Literal["full", "windowed", "mla", "hybrid", "sparse", "encoder"]
Task = Literal["chat", "code", "reasoning", "vision", "extraction", "embedding"]

_T = TypeVar("_T")
_FORM: Final = 1
_HASH = re.compile(r"^[0-9a-f]{64}$")
_COMMIT = re.compile(r"^[0-9a-f]{40}$")
_DAY = re.compile(r"^20\d\d-[01]\d-[0-3]\d$")
_ID = re.compile(r"^[a-z0-9][a-z0-9.-]{1,63}$")


@dataclass(frozen=True, slots=True)
class Geometry:
    """The shape of a model as far as it is known without its file. Counts, and widths in elements."""

    layers: int | None = None
    embedding: int | None = None
    heads: int | None = None
    kv_heads: int | None = None
    head_width: int | None = None
    ffn: int | None = None
    experts: int | None = None
    experts_used: int | None = None
    shared_experts: int | None = None
    expert_ffn: int | None = None
    shared_expert_ffn: int | None = None
    leading_dense_layers: int | None = None
    kv_lora_rank: int | None = None
    q_lora_rank: int | None = None
    rope_head_width: int | None = None
    window: int | None = None
    full_attention_layers: int | None = None
    windowed_layers: int | None = None
    linear_layers: int | None = None
    conv_layers: int | None = None
    mamba_layers: int | None = None
    kv_shared_layers: int | None = None
    """The last layers, which use the KV of earlier ones."""
    global_head_width: int | None = None
    """Of the layers without a window, where it differs."""
    global_kv_heads: int | None = None
    recurrent_bytes: int | None = None
    """State of one sequence."""
    vocabulary: int | None = None


@dataclass(frozen=True, slots=True)
class KnownFile:
    """A file as it was when the catalogue was checked."""

    path: str
    size_bytes: int | None
    sha256: str | None


@dataclass(frozen=True, slots=True)
class Variant:
    """One quantization of a model, in one file or several."""

    quantization: str
    repo: str
    revision: str | None
    """A commit, where one was pinned."""
    about_bytes: int | None
    """Of all files; rounded where a file's own length is unknown."""
    files: tuple[KnownFile, ...]

    @property
    def exact_bytes(self) -> int | None:
        """``None`` unless the length of every file is known."""
        sizes = [file.size_bytes for file in self.files]
        return None if None in sizes else sum(size for size in sizes if size is not None)

    @property
    def is_pinned(self) -> bool:
        """Every file's hash is known, so that no other file will do."""
        return all(file.sha256 is not None for file in self.files)


@dataclass(frozen=True, slots=True)
class CatalogueModel:
    """A model and everything that is known of it."""

    id: str
    name: str
    family: str
    maker: str
    kind: Kind
    attention: Attention | None
    architecture: str | None
    """As GGUF calls it."""
    parameters: int | None
    """All of them: they rule memory."""
    active_parameters: int | None
    """Those that work on one token: they rule speed."""
    context_tokens: int | None
    licence: str | None
    """As the hub spells it."""
    published_on: str | None
    """Year, month, day on which the first repository with its GGUF files was made."""
    tasks: tuple[Task, ...]
    tools: bool | None
    thinks: bool | None
    """Writes down its reasoning before the answer."""
    geometry: Geometry
    catches: tuple[str, ...]
    """What to know before choosing it, in sentences."""
    variants: tuple[Variant, ...]
    """The smallest first."""

    def variant(self, quantization: str | None = None) -> Variant:
        """The named one, else the usual choice: four bits. Raises: ``HubError``."""
        if quantization is None:
            usual = [v for v in self.variants if "Q4" in v.quantization or "MXFP4" in v.quantization]
            return (usual or list(self.variants))[0]
        for variant in self.variants:
            if variant.quantization.lower() == quantization.lower():
                return variant
        there = ", ".join(variant.quantization for variant in self.variants)
        raise HubError("no_such_file", f"The catalogue knows no {quantization} of {self.name}.", f"It knows: {there}.")


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All known models, the smaller first, embedders last."""

    checked_on: str
    models: tuple[CatalogueModel, ...]

    def find(self, name: str) -> CatalogueModel | None:
        """By id or by name; case does not matter."""
        low = name.strip().lower()
        return next((model for model in self.models if low in (model.id, model.name.lower())), None)

    def for_task(self, task: Task) -> tuple[CatalogueModel, ...]:
        return tuple(model for model in self.models if task in model.tasks)

    def of_file(self, sha256: str) -> tuple[CatalogueModel, Variant] | None:
        """The model that a file belongs to."""
        for model in self.models:
            for variant in model.variants:
                if any(file.sha256 == sha256 for file in variant.files):
                    return model, variant
        return None


def load_catalogue(path: Path | None = None) -> Catalogue:
    """Read the list that ships with the program, or another one.

    Raises: ``ValueError`` naming the entry that is wrong; ``OSError``.
    """
    source = path if path is not None else resources.files("resources") / "catalogue.json"
    content = _object(json.loads(source.read_bytes()), "the catalogue", {"form", "checked_on", "models"})
    if content["form"] != _FORM:
        raise ValueError(f"the catalogue has the form {content['form']!r}, and {_FORM} is known")
    models = tuple(_model(entry) for entry in _list(content["models"], "models"))
    if len({model.id for model in models}) != len(models):
        raise ValueError("two models of the catalogue have the same id")
    return Catalogue(_text(content["checked_on"], "checked_on"), models)


def source_of(variant: Variant) -> ModelSource:
    """Where the hub keeps it."""
    return ModelSource(variant.repo, variant.revision or DEFAULT_REVISION, variant.files[0].path)


def pinned(variant: Variant, repository: Repository) -> RemoteModel:
    """What the hub describes, held against what the catalogue knows.

    Raises: ``HubError`` (``hash_disagrees``) where they differ, and whatever ``choose`` raises.
    """
    model = choose(repository, variant.files[0].path)
    known = {file.path: file for file in variant.files}
    if {file.path for file in model.files} != known.keys():
        raise _disagrees(variant, f"it now lies in {len(model.files)} files, not in {len(known)}")
    files = tuple(_pinned_file(variant, file, known[file.path]) for file in model.files)
    return RemoteModel(
        model.repo,
        model.revision,
        model.wanted_revision,
        model.name,
        variant.quantization,
        files,
        model.licence,
        pinned=variant.is_pinned,
    )


def _pinned_file(variant: Variant, file: RemoteFile, known: KnownFile) -> RemoteFile:
    if known.sha256 is None:
        return file
    if file.sha256 is not None and file.sha256 != known.sha256:
        raise _disagrees(variant, f"{file.name} has another SHA-256")
    if known.size_bytes is not None and file.size_bytes != known.size_bytes:
        raise _disagrees(variant, f"{file.name} has {file.size_bytes:,} bytes, not {known.size_bytes:,}")
    return RemoteFile(file.path, file.size_bytes, known.sha256)


def _disagrees(variant: Variant, what: str) -> HubError:
    return HubError(
        "hash_disagrees",
        f"{variant.repo} changed since the catalogue was checked: {what}.",
        f"To take the new files all the same, fetch {variant.repo}:{variant.quantization} by its own name.",
    )


def _model(entry: object) -> CatalogueModel:
    name = entry.get("id") if isinstance(entry, dict) else None
    where = f"the model {name!r}"
    facts = _object(entry, where, {field.name for field in fields(CatalogueModel)})
    if not _ID.match(_text(facts["id"], where)):
        raise ValueError(f"{where} has no proper id")
    variants = tuple(_variant(item, where) for item in _list(facts["variants"], where))
    if not variants:
        raise ValueError(f"{where} has no files")
    return CatalogueModel(
        id=_text(facts["id"], where),
        name=_text(facts["name"], where),
        family=_text(facts["family"], where),
        maker=_text(facts["maker"], where),
        kind=cast("Kind", _one_of(facts["kind"], get_args(Kind), where)),
        attention=cast("Attention | None", _maybe(facts["attention"], where, _attention)),
        architecture=_maybe(facts["architecture"], where, _text),
        parameters=_maybe(facts["parameters"], where, _count),
        active_parameters=_maybe(facts["active_parameters"], where, _count),
        context_tokens=_maybe(facts["context_tokens"], where, _count),
        licence=_maybe(facts["licence"], where, _text),
        published_on=_maybe(facts["published_on"], where, _day),
        tasks=tuple(cast("Task", _one_of(t, get_args(Task), where)) for t in _list(facts["tasks"], where)),
        tools=_maybe(facts["tools"], where, _flag),
        thinks=_maybe(facts["thinks"], where, _flag),
        geometry=_geometry(facts["geometry"], where),
        catches=tuple(_text(catch, where) for catch in _list(facts["catches"], where)),
        variants=variants,
    )


def _geometry(entry: object, where: str) -> Geometry:
    known = {field.name for field in fields(Geometry)}
    if not isinstance(entry, dict) or not entry.keys() <= known:
        raise ValueError(f"the geometry of {where} has unknown entries")
    return Geometry(**{key: _count(value, where) for key, value in entry.items()})


def _variant(entry: object, where: str) -> Variant:
    facts = _object(entry, where, {field.name for field in fields(Variant)})
    files = tuple(_file(item, where) for item in _list(facts["files"], where))
    if not files:
        raise ValueError(f"a variant of {where} has no files")
    revision = _maybe(facts["revision"], where, _text)
    if revision is not None and not _COMMIT.match(revision):
        raise ValueError(f"the revision {revision} of {where} is no commit")
    return Variant(
        _text(facts["quantization"], where),
        _text(facts["repo"], where),
        revision,
        _maybe(facts["about_bytes"], where, _count),
        files,
    )


def _file(entry: object, where: str) -> KnownFile:
    facts = _object(entry, where, {field.name for field in fields(KnownFile)})
    digest = _maybe(facts["sha256"], where, _text)
    if digest is not None and not _HASH.match(digest):
        raise ValueError(f"a file of {where} has a wrong SHA-256")
    return KnownFile(_text(facts["path"], where), _maybe(facts["size_bytes"], where, _count), digest)


def _object(value: object, where: str, keys: set[str]) -> Mapping[str, object]:
    if not isinstance(value, dict) or value.keys() != keys:
        odd = sorted(keys ^ value.keys()) if isinstance(value, dict) else value
        raise ValueError(f"{where} has other entries than it should: {odd}")
    return value


def _list(value: object, where: str) -> Sequence[object]:
    if not isinstance(value, list):
        raise ValueError(f"{where} has {value!r} in place of a list")
    return value


def _text(value: object, where: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{where} has {value!r} in place of a text")
    return value


def _day(value: object, where: str) -> str:
    text = _text(value, where)
    if not _DAY.match(text):
        raise ValueError(f"{where} has {text!r} in place of a day")
    return text


def _count(value: object, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        raise ValueError(f"{where} has {value!r} in place of a count")
    return value


def _flag(value: object, where: str) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{where} has {value!r} in place of yes or no")
    return value


def _attention(value: object, where: str) -> str:
    return _one_of(value, get_args(Attention), where)


def _one_of(value: object, known: Sequence[str], where: str) -> str:
    if value not in known:
        raise ValueError(f"{where} has {value!r}, which is none of {', '.join(known)}")
    return str(value)


def _maybe(value: object, where: str, read: Callable[[object, str], _T]) -> _T | None:
    return None if value is None else read(value, where)
