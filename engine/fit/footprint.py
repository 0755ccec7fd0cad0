"""Bytes of weights, KV cache and recurrent state by arithmetic on the header. Pure; the compute buffer is probed.

Source of the formulas: llama-context.cpp (rounding), llama-kv-cache.cpp and llama-kv-cache-iswa.cpp (cells),
llama-memory-recurrent.cpp (state), llama-arch.cpp and llama-model.cpp (which tensor lives where).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from engine.fit.layers import LayerMemory, ModelMemory
from engine.fit.plan import KvType
from engine.gguf.header import Header
from engine.gguf.quants import TENSOR_TYPES_BY_NAME
from engine.gguf.reader import Tensor

CONTEXT_STEP = 256
"""llama.cpp rounds contexts up to this many cells."""
_STATE_ELEMENT_BYTES = 4
_KV_TYPE_NAMES: dict[KvType, str] = {"f16": "F16", "q8_0": "Q8_0", "q4_0": "Q4_0"}
_LAYER = re.compile(r"^blk\.(\d+)\.")
_EXPERTS = re.compile(r"ffn_(up|down|gate|gate_up)_(ch|)exps")
"""Routed experts, as the pattern that keeps them in main memory finds them. Source: ``LLM_FFN_EXPS_REGEX``."""
_INPUT = ("token_embd.", "position_embd.", "token_types.", "per_layer_token_embd.", "masked_embd")
_OUTPUT = ("output", "cls", "dense_", "altup_")
_OUTPUT_NORM_OF_LFM2 = "token_embd_norm."
_TENSOR_ALIGNMENT = 32
"""Of the processor's buffers. Source: ``TENSOR_ALIGNMENT`` in ggml-impl.h."""


def round_context(n_ctx: int) -> int:
    """Cells that llama.cpp allocates for ``n_ctx`` tokens with a unified cache."""
    return -(-n_ctx // CONTEXT_STEP) * CONTEXT_STEP


@dataclass(frozen=True, slots=True)
class CacheShape:
    """What decides the size of the cache besides the model."""

    n_ctx: int
    """A multiple of 256."""
    n_seq_max: int
    n_ubatch: int
    kv_type: KvType
    kv_unified: bool = True
    """Else each sequence has an equal part, which is a multiple of 256 too; the cells are as many."""

    @property
    def n_ctx_each(self) -> int:
        """Cells that one sequence may take."""
        return self.n_ctx if self.kv_unified else self.n_ctx // self.n_seq_max

    @property
    def n_outputs_max(self) -> int:
        """Rows of a batch that may have logits: in parts there are no spare sequences, yet as many rows for guesses."""
        return self.n_seq_max if self.kv_unified else self.n_seq_max + max(4, self.n_seq_max)


def kv_bytes(memory: ModelMemory, shape: CacheShape, *, first_layer: int = 0, end_layer: int | None = None) -> int:
    """Of the layers from ``first_layer`` to before ``end_layer``, with windows not full."""
    return sum(kv_bytes_by_layer(memory, shape)[first_layer:end_layer])


def kv_bytes_by_layer(memory: ModelMemory, shape: CacheShape) -> tuple[int, ...]:
    """Of each layer."""
    window_cells = windowed_cells(memory.window, shape)
    return tuple(
        (window_cells if layer.windowed else shape.n_ctx) * kv_token_bytes(layer, shape.kv_type)
        for layer in memory.layers
    )


def windowed_cells(window: int, shape: CacheShape) -> int:
    """Cells of a layer that looks back ``window`` tokens: every sequence's window and one batch."""
    return round_context(min(shape.n_ctx, window * shape.n_seq_max + shape.n_ubatch))


def recurrent_bytes(
    memory: ModelMemory, shape: CacheShape, *, first_layer: int = 0, end_layer: int | None = None
) -> int:
    """Of the recurrent layers in that range: one state for each sequence, whatever the context."""
    elements = sum(layer.state_elements for layer in memory.layers[first_layer:end_layer])
    return elements * shape.n_seq_max * _STATE_ELEMENT_BYTES


def kv_token_bytes(layer: LayerMemory, kv_type: KvType) -> int:
    """Keys and values of one token in one layer."""
    kind = TENSOR_TYPES_BY_NAME[_KV_TYPE_NAMES[kv_type]]
    return sum(
        -(-elements // kind.block_elements) * kind.block_bytes
        for elements in (layer.key_elements, layer.value_elements)
    )


@dataclass(frozen=True, slots=True)
class Part:
    """Those of some tensors that are of one type."""

    type: str
    """As GGUF calls it: ``Q4_K``."""
    bytes: int
    elements: int
    rows: int


def _joined(parts: tuple[Part, ...], others: tuple[Part, ...]) -> tuple[Part, ...]:
    if not parts or not others:
        return parts or others
    sums = {part.type: part for part in parts}
    for part in others:
        one = sums.get(part.type, Part(part.type, 0, 0, 0))
        sums[part.type] = Part(part.type, one.bytes + part.bytes, one.elements + part.elements, one.rows + part.rows)
    return tuple(sums.values())


@dataclass(frozen=True, slots=True)
class Size:
    """Of some tensors: how much memory they take, and how many numbers they are."""

    bytes: int = 0
    elements: int = 0
    parts: tuple[Part, ...] = ()
    """By type, where a header says them; together they are the whole."""

    def __add__(self, other: Size) -> Size:
        return Size(self.bytes + other.bytes, self.elements + other.elements, _joined(self.parts, other.parts))


@dataclass(frozen=True, slots=True)
class Weights:
    """Tensors grouped by what moves together."""

    layers: tuple[Size, ...]
    """Everything of a layer but its routed experts; layers that only predict further tokens are not loaded: empty."""
    experts: tuple[Size, ...]
    """Routed experts of each layer; empty in dense layers."""
    embedding: Size
    """Word embeddings: always in main memory."""
    output: Size
    """The last projection and its norm, without a tied copy of the embeddings."""
    tied: Size
    """The word embeddings if the output reuses them: they are copied when the output moves to a card."""
    everywhere: Size = Size()
    """Small tensors of which every device with a layer gets a copy."""
    largest_expert_bytes: int = 0
    """Of one tensor of routed experts: what is copied to a card at once to be multiplied there."""

    @property
    def total(self) -> int:
        """Bytes in main memory when nothing is on a card."""
        return sum(size.bytes for size in (*self.layers, *self.experts)) + sum(
            size.bytes for size in (self.embedding, self.output, self.everywhere)
        )

    @property
    def expert_layers(self) -> tuple[int, ...]:
        """Layers that have routed experts."""
        return tuple(index for index, size in enumerate(self.experts) if size.bytes)


def group_weights(header: Header) -> Weights:
    """Group the tensors by where they can go. Tensors of layers that only predict further tokens are not loaded.

    Source: ``LLM_TENSOR_INFOS`` in llama-arch.cpp; what it calls repeating and what has no layer's number goes with
    the first layer, but for the tables of rotary embeddings, which are copied.
    """
    n_layer = header.block_count
    loaded = n_layer - min(n_layer, header.count("nextn_predict_layers", 0))
    groups: dict[str, Size] = {}
    layers, experts = [Size()] * n_layer, [Size()] * n_layer
    largest = 0
    for tensor in header.tensors:
        size = _size_of(tensor)
        if match := _LAYER.match(tensor.name):
            index = int(match[1])
            if index >= loaded:
                continue
            if _EXPERTS.search(tensor.name):
                experts[index] += size
                largest = max(largest, size.bytes)
            else:
                layers[index] += size
            continue
        group = _group(tensor.name, header.architecture)
        groups[group] = groups.get(group, Size()) + size
        if tensor.name == "token_embd.weight":
            groups["words"] = size
    layers[0] += groups.get("first", Size())
    tied = not any(tensor.name == "output.weight" for tensor in header.tensors)
    return Weights(
        layers=tuple(layers),
        experts=tuple(experts),
        embedding=groups.get("input", Size()),
        output=groups.get("output", Size()),
        tied=groups.get("words", Size()) if tied else Size(),
        everywhere=groups.get("everywhere", Size()),
        largest_expert_bytes=largest,
    )


def _group(name: str, architecture: str) -> str:
    if name.startswith("rope_"):
        return "everywhere"
    if name.startswith(_INPUT):
        return "input"
    if name.startswith(_OUTPUT) or (name.startswith(_OUTPUT_NORM_OF_LFM2) and architecture.startswith("lfm2")):
        return "output"
    return "first"


def _size_of(tensor: Tensor) -> Size:
    loaded, rows = _loaded_bytes(tensor), tensor.elements // max(1, tensor.dimensions[0])
    return Size(loaded, tensor.elements, (Part(tensor.type.name, loaded, tensor.elements, rows),))


def _loaded_bytes(tensor: Tensor) -> int:
    return -(-tensor.bytes // _TENSOR_ALIGNMENT) * _TENSOR_ALIGNMENT
