"""A model's header with its facts as typed properties. Pure: reading is left to ``reader.py`` and ``split.py``.

Every accessor checks type and range, because a well-formed file may still say nonsense.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engine.gguf.faults import damaged, not_a_model, unsupported
from engine.gguf.quants import FILE_TYPE_LABELS
from engine.gguf.reader import Array, RawHeader, Tensor, Value

LAYER_LIMIT = 512
"""Source: ``LLAMA_MAX_LAYERS`` in llama-hparams.h."""
EXPERT_LIMIT = 1_024
"""Source: ``LLAMA_MAX_EXPERTS`` in llama-hparams.h."""
_COUNT_LIMIT = 2**31 - 1
_FACT_LENGTH = 200
"""Characters of a name or licence that are worth showing."""
_POOLING_NONE, _POOLING_RANK = 0, 4
"""Source: ``enum llama_pooling_type`` in llama.h."""
_DIFFUSION = frozenset({"dream", "llada", "llada-moe", "rnd1"})
"""They look ahead and write all the same. Source: ``llm_arch_is_diffusion`` in llama-arch.cpp."""

Output = Literal["text", "vectors", "scores"]
"""What a model makes of a text."""


@dataclass(frozen=True, slots=True)
class Shard:
    """One file of a model."""

    path: Path
    file_bytes: int
    data_offset: int
    tensor_count: int


@dataclass(frozen=True, slots=True)
class Header:
    """What a model says of itself, in one or several files, checked against the files' lengths."""

    shards: tuple[Shard, ...]
    """At least one; the first is the one to give to llama.cpp."""
    metadata: Mapping[str, Value]
    tensors: tuple[Tensor, ...]
    fingerprint: str
    """Changes with any byte of any header and with any file's length."""
    alignment: int

    @property
    def path(self) -> Path:
        return self.shards[0].path

    @property
    def file_bytes(self) -> int:
        return sum(shard.file_bytes for shard in self.shards)

    @property
    def weights_bytes(self) -> int:
        """Of all tensors, without padding."""
        return sum(tensor.bytes for tensor in self.tensors)

    @property
    def parameters(self) -> int:
        """Elements of all tensors."""
        return sum(tensor.elements for tensor in self.tensors)

    @property
    def architecture(self) -> str:
        value = self.metadata.get("general.architecture")
        if not isinstance(value, str) or not value:
            raise damaged(self.path, "it does not name its architecture")
        if len(value) > 64 or not value.replace("-", "").replace("_", "").replace(".", "").isalnum():
            raise damaged(self.path, "the name of its architecture is not a name")
        return value

    @property
    def name(self) -> str | None:
        return self.text("general.name")

    @property
    def size_label(self) -> str | None:
        return self.text("general.size_label")

    @property
    def licence(self) -> str | None:
        return self.text("general.license")

    @property
    def chat_template(self) -> str | None:
        value = self.metadata.get("tokenizer.chat_template")
        return value if isinstance(value, str) and value else None

    @property
    def quantization(self) -> str:
        """As the file says it (``Q4_K_M``), else the type of most of its bytes."""
        file_type = self.metadata.get("general.file_type")
        if isinstance(file_type, int) and file_type in FILE_TYPE_LABELS:
            return FILE_TYPE_LABELS[file_type]
        shares: dict[str, int] = {}
        for tensor in self.tensors:
            shares[tensor.type.name] = shares.get(tensor.type.name, 0) + tensor.bytes
        return max(shares, key=lambda name: shares[name], default="")

    @property
    def block_count(self) -> int:
        """Layers, including those that only predict further tokens."""
        count = self.count("block_count")
        if not 1 <= count <= LAYER_LIMIT:
            raise unsupported(self.path, f"it has {count:,} layers, and 1 to {LAYER_LIMIT} are possible")
        return count

    @property
    def n_ctx_train(self) -> int:
        count = self.count("context_length")
        if count < 1:
            raise damaged(self.path, "it was trained on a context of 0 tokens")
        return count

    @property
    def embedding_length(self) -> int:
        count = self.count("embedding_length")
        if count < 1:
            raise damaged(self.path, "its embedding length is 0")
        return count

    @property
    def output(self) -> Output:
        """Text, or one row of a whole text, as ``engine.llama.pooling`` finds it in the loaded model."""
        stated = self.metadata.get(f"{self.architecture}.pooling_type")
        if isinstance(stated, int) and stated != _POOLING_NONE:
            return "scores" if stated == _POOLING_RANK else "vectors"
        looks_ahead = self.metadata.get(f"{self.architecture}.attention.causal") is False
        encodes = looks_ahead or self.architecture == "t5encoder"
        return "vectors" if encodes and self.architecture not in _DIFFUSION else "text"

    @property
    def n_expert(self) -> int:
        """0 for a dense model."""
        count = self.count("expert_count", 0)
        if count > EXPERT_LIMIT:
            raise unsupported(self.path, f"it has {count:,} experts, and {EXPERT_LIMIT:,} are possible")
        return count

    @property
    def n_expert_used(self) -> int:
        """The most that any layer uses for one token."""
        used = max(self.counts("expert_used_count", self.block_count, 0))
        if used > self.n_expert:
            raise damaged(self.path, f"it uses {used:,} of {self.n_expert:,} experts")
        return used

    @property
    def vocab_size(self) -> int:
        """Words of the tokenizer, which decide the size of the logits; 0 when the file has none."""
        words = self.metadata.get("tokenizer.ggml.tokens")
        if isinstance(words, Array):
            return words.count
        return self.count("vocab_size", 0)

    def text(self, key: str) -> str | None:
        """A short text for showing: one line of printable characters."""
        value = self.metadata.get(key)
        if not isinstance(value, str):
            return None
        shown = " ".join("".join(c if c.isprintable() else " " for c in value[:_FACT_LENGTH]).split())
        return shown or None

    def count(self, suffix: str, default: int | None = None) -> int:
        """The number ``<architecture>.<suffix>``. Raises: ``ModelFileError`` when absent without a default."""
        key = f"{self.architecture}.{suffix}"
        value = self.metadata.get(key)
        if value is None and default is not None:
            return default
        return self._checked_count(key, value)

    def counts(self, suffix: str, length: int, default: int | None = None) -> tuple[int, ...]:
        """As :meth:`count`, for a number that a file may give once or for each of ``length`` layers."""
        key = f"{self.architecture}.{suffix}"
        value = self.metadata.get(key)
        if not isinstance(value, Array):
            return (self.count(suffix, default),) * length
        if value.items is None or value.count < length:
            raise damaged(self.path, f"{key} has {value.count:,} values for {length:,} layers")
        return tuple(self._checked_count(key, item) for item in value.items[:length])

    def flags(self, suffix: str, length: int) -> tuple[bool, ...] | None:
        """A yes or no for each layer, or ``None`` when the file gives no such list."""
        value = self.metadata.get(f"{self.architecture}.{suffix}")
        if not isinstance(value, Array):
            return None
        return tuple(bool(flag) for flag in self.counts(suffix, length))

    def _checked_count(self, key: str, value: object) -> int:
        if value is None:
            raise damaged(self.path, f"the metadata entry {key} is missing")
        if not isinstance(value, int) or not 0 <= value <= _COUNT_LIMIT:
            raise damaged(self.path, f"the metadata entry {key} is not a sensible number")
        return int(value)


def interpret(shards: tuple[tuple[Path, RawHeader], ...]) -> Header:
    """Join the raw headers of one model, the first shard first, and check that it is a model.

    Raises: ``ModelFileError``.
    """
    first = shards[0][1]
    header = Header(
        shards=tuple(Shard(path, raw.file_bytes, raw.data_offset, len(raw.tensors)) for path, raw in shards),
        metadata=first.metadata,
        tensors=tuple(tensor for _, raw in shards for tensor in raw.tensors),
        fingerprint=_joined_fingerprint(shards),
        alignment=first.alignment,
    )
    _check_is_model(header)
    return header


def _joined_fingerprint(shards: tuple[tuple[Path, RawHeader], ...]) -> str:
    if len(shards) == 1:
        return shards[0][1].fingerprint
    return hashlib.sha256("".join(raw.fingerprint for _, raw in shards).encode()).hexdigest()[:32]


def _check_is_model(header: Header) -> None:
    architecture = header.architecture
    kind = header.metadata.get("general.type", "model")
    if architecture == "clip" or kind in ("mmproj", "projector"):
        raise not_a_model(header.path, "it is the image part (mmproj) of another model", "Choose the language model.")
    if kind == "adapter" or "adapter.type" in header.metadata:
        raise not_a_model(header.path, "it is a LoRA adapter for another model", "Choose the model it was made for.")
    if kind not in ("model", ""):
        raise not_a_model(header.path, f"it says that it is of the kind “{header.text('general.type')}”")
    if not header.tensors:
        raise not_a_model(header.path, "it holds a vocabulary and no weights", "Choose the model with its weights.")
    # Evaluated for their checks: a file without these facts cannot be planned for.
    _ = (header.block_count, header.n_ctx_train, header.embedding_length, header.n_expert_used, header.vocab_size)
