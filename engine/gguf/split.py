"""Opens a model that lies in one file or in several (``name-00001-of-00003.gguf``)."""

from __future__ import annotations

import re
from pathlib import Path

from engine.errors import ModelFileError
from engine.gguf.faults import damaged
from engine.gguf.header import Header, interpret
from engine.gguf.reader import RawHeader, read_raw_header

SHARD_LIMIT = 1_000
_QUANTIZATION_SUFFIX = re.compile(
    r"[-._](UD-)?(i1-)?(I?Q\d\w*|BF16|F16|F32|FP16|MXFP4\w*|NVFP4|TQ\d_\d)$", re.IGNORECASE
)
_EMPTY_NAMES = {"model", "ggml model", "weights", "unsloth"}
_SHARD_NAME = re.compile(r"^(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf$", re.IGNORECASE)


def model_stem(path: Path) -> str:
    """The file's name without ``.gguf`` and shard suffix."""
    if match := _SHARD_NAME.match(path.name):
        return match["stem"]
    return path.stem if path.suffix.lower() == ".gguf" else path.name


def display_name(header: Header) -> str:
    """A name for people: the file's, without quantization and dashes, because what files say inside is often odd."""
    stem = model_stem(header.path)
    bare = _QUANTIZATION_SUFFIX.sub("", stem)
    words = " ".join(bare.replace("_", " ").replace("-", " ").split())
    if words and words.lower() not in _EMPTY_NAMES:
        return words
    return header.name or stem


def is_shard(path: Path) -> bool:
    """Whether the file's name says that it is one of several."""
    return _SHARD_NAME.match(path.name) is not None


def shard_number(path: Path) -> int:
    """1 for the first shard, and for a file that is no shard by its name."""
    match = _SHARD_NAME.match(path.name)
    return int(match["number"]) if match else 1


def read_model(path: Path) -> Header:
    """Read the header of a model; any of its shards may be given.

    Raises: ``ModelFileError`` when a file is no usable model or a shard is missing.
    """
    raw = read_raw_header(path)
    count = _number(path, raw, "split.count", 1)
    if count <= 1:
        return interpret(((path, raw),))
    shards = tuple((shard, read_raw_header(shard)) for shard in _shard_paths(path, count))
    _check_shards(shards, count)
    return interpret(shards)


def _shard_paths(path: Path, count: int) -> list[Path]:
    if count > SHARD_LIMIT:
        raise damaged(path, f"it claims to be one of {count:,} files, and {SHARD_LIMIT:,} are allowed")
    match = _SHARD_NAME.match(path.name)
    if match is None or int(match["count"]) != count:
        raise ModelFileError(
            "shard_missing",
            f"{path.name} is one of {count:,} files of a model, but its name does not say which.",
            f"Give the files back their names: …-00001-of-{count:05}.gguf and so on, all in one folder.",
        )
    suffix = path.suffix
    paths = [path.with_name(f"{match['stem']}-{number:05}-of-{count:05}{suffix}") for number in range(1, count + 1)]
    missing = [shard.name for shard in paths if not shard.is_file()]
    if missing:
        named = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
        raise ModelFileError(
            "shard_missing",
            f"{len(missing)} of the {count:,} files of {match['stem']} {_are(missing)} missing: {named}.",
            "Put all of them into one folder.",
        )
    return paths


def _check_shards(shards: tuple[tuple[Path, RawHeader], ...], count: int) -> None:
    for number, (path, raw) in enumerate(shards):
        if _number(path, raw, "split.count", 1) != count or _number(path, raw, "split.no", -1) != number:
            raise damaged(path, f"it does not say that it is file {number + 1:,} of {count:,}")
    first_path, first = shards[0]
    found = sum(len(raw.tensors) for _, raw in shards)
    promised = _number(first_path, first, "split.tensors.count", found)
    if promised != found:
        raise damaged(first_path, f"its {count:,} files hold {found:,} tensors, and {promised:,} are promised")
    names = {tensor.name for _, raw in shards for tensor in raw.tensors}
    if len(names) != found:
        raise damaged(first_path, "the same tensor lies in two of its files")


def _number(path: Path, raw: RawHeader, key: str, default: int) -> int:
    value = raw.metadata.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool):
        raise damaged(path, f"the metadata entry {key} is not a number")
    return value


def _are(things: list[str]) -> str:
    return "is" if len(things) == 1 else "are"
