"""Bytes of weights, KV cache and recurrent state by arithmetic on the header. Pure; the compute buffer is probed.

Source of the formulas: llama-context.cpp (rounding), llama-kv-cache.cpp and llama-kv-cache-iswa.cpp (cells),
llama-memory-recurrent.cpp (state), llama-model.cpp (which layer lives where).
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


def kv_bytes(memory: ModelMemory, shape: CacheShape, *, first_layer: int = 0, end_layer: int | None = None) -> int:
    """Of the layers from ``first_layer`` to before ``end_layer``, with a unified cache and windows not full."""
    window_cells = windowed_cells(memory.window, shape)
    total = 0
    for layer in memory.layers[first_layer:end_layer]:
        cells = window_cells if layer.windowed else shape.n_ctx
        total += cells * _cell_bytes(layer, shape.kv_type)
    return total


def windowed_cells(window: int, shape: CacheShape) -> int:
    """Cells of a layer that looks back ``window`` tokens: every sequence's window and one batch."""
    return round_context(min(shape.n_ctx, window * shape.n_seq_max + shape.n_ubatch))


def recurrent_bytes(
    memory: ModelMemory, shape: CacheShape, *, first_layer: int = 0, end_layer: int | None = None
) -> int:
    """Of the recurrent layers in that range: one state for each sequence, whatever the context."""
    elements = sum(layer.state_elements for layer in memory.layers[first_layer:end_layer])
    return elements * shape.n_seq_max * _STATE_ELEMENT_BYTES


def _cell_bytes(layer: LayerMemory, kv_type: KvType) -> int:
    kind = TENSOR_TYPES_BY_NAME[_KV_TYPE_NAMES[kv_type]]
    return sum(
        -(-elements // kind.block_elements) * kind.block_bytes
        for elements in (layer.key_elements, layer.value_elements)
    )


@dataclass(frozen=True, slots=True)
class WeightsSplit:
    """Weights on the processor's side and on the one card."""

    host_bytes: int
    device_bytes: int


@dataclass(frozen=True, slots=True)
class Weights:
    """Tensor bytes grouped by what moves together."""

    layers: tuple[int, ...]
    embedding: int
    """Word embeddings: always in main memory."""
    output: int
    """The last projection and its norm, without a tied copy of the embeddings."""
    tied: bool
    """The output reuses the word embeddings, and so is copied when it moves to a card."""
    tied_bytes: int

    @property
    def total(self) -> int:
        return sum(self.layers) + self.embedding + self.output

    def split(self, n_gpu_layers: int) -> WeightsSplit:
        """The last ``n_gpu_layers - 1`` layers and the output go to the card; one more than layers takes all."""
        if n_gpu_layers <= 0:
            return WeightsSplit(self.total, 0)
        first = first_device_layer(len(self.layers), n_gpu_layers)
        moved = sum(self.layers[first:])
        copied = self.tied_bytes if self.tied else 0
        return WeightsSplit(self.total - moved - self.output, moved + self.output + copied)


def first_device_layer(n_layer: int, n_gpu_layers: int) -> int:
    """The first layer on the card. Source: ``i_gpu_start`` in llama-model.cpp."""
    return max(0, n_layer + 1 - n_gpu_layers) if n_gpu_layers > 0 else n_layer


def group_weights(header: Header) -> Weights:
    """Group the tensors by where they can go. Tensors of layers that only predict further tokens are not loaded."""
    n_layer = header.block_count
    unused = header.count("nextn_predict_layers", 0)
    layers = [0] * n_layer
    embedding = output = 0
    tied_bytes = 0
    names = {tensor.name for tensor in header.tensors}
    for tensor in header.tensors:
        size = _loaded_bytes(tensor)
        if match := _LAYER.match(tensor.name):
            index = int(match[1])
            if index < n_layer - unused:
                layers[index] += size
        elif tensor.name.startswith("output"):
            output += size
        else:
            embedding += size
            if tensor.name == "token_embd.weight":
                tied_bytes = size
    return Weights(tuple(layers), embedding, output, "output.weight" not in names, tied_bytes)


def _loaded_bytes(tensor: Tensor) -> int:
    return -(-tensor.bytes // _TENSOR_ALIGNMENT) * _TENSOR_ALIGNMENT
