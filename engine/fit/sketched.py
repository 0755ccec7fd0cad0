"""A model as the planner sees it, drawn from what the catalogue knows: no file and no header. Pure.

Exact are the length of the file, and so all weights together; the number and kind of layers; keys and values of a
token. Drawn are the shares: how many bytes of a file are experts, from their number and width and from what its
quantization leaves to everything else. Against real headers every share is within five in a hundred
(``tests/engine/fit/test_sketched.py``). Where the catalogue lacks the shape, usual ones for the size are taken, and
the plan says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.fit.facts import ModelFacts
from engine.fit.footprint import Size, Weights
from engine.fit.layers import LayerMemory, ModelMemory
from engine.hub.catalogue import CatalogueModel, Geometry, Variant

FROM_THE_CATALOGUE = (
    "Planned from the catalogue's facts, not from the file's header: bytes on each device are good to about 5 %."
)
SHAPE_UNKNOWN = "The shape of its attention is not known here: its cache is assumed to be as large as is usual."
SIZE_UNKNOWN = "The length of its file is not known here: it is assumed from its parameters and its quantization."

_USUAL_LAYERS = ((1e9, 24), (5e9, 32), (20e9, 40), (40e9, 56), (90e9, 72))
_MOST_LAYERS = 61
_USUAL_EMBEDDING = ((1e9, 1_024), (5e9, 2_560), (20e9, 4_096))
_USUAL_EMBEDDING_ELSE = 5_120
_USUAL_VOCABULARY = 151_936
_USUAL_CONTEXT = 8_192
_USUAL_EXPERTS = 64
_TIED_BELOW = 5e9
"""Parameters below which the output usually reuses the word embeddings."""

_BITS = (
    ("F16", 16.0),
    ("BF16", 16.0),
    ("Q8_0", 8.5),
    ("Q6_K", 6.6),
    ("Q5_K", 5.7),
    ("Q4_K", 4.85),
    ("Q4_0", 4.65),
    ("MXFP4", 4.5),
    ("IQ4", 4.4),
    ("Q3_K", 3.9),
    ("IQ3", 3.3),
    ("Q2_K", 3.1),
    ("IQ2", 2.6),
    ("IQ1", 2.0),
    ("TQ1", 1.9),
)
"""Of a whole file, a parameter."""
_BITS_ELSE = 4.85
_BITS_BESIDE_EXPERTS = (("Q8_0", 8.5), ("MXFP4", 8.5), ("F16", 16.0), ("BF16", 16.0), ("UD-", 6.0), ("Q4_K", 5.2))
"""Of everything but routed experts, which quantizers spare: attention, word embeddings, shared experts."""
_BITS_BESIDE_ELSE = 5.0
_OUTPUT_BITS, _OUTPUT_BITS_ODD = 6.5625, 8.5
"""Of the last projection, also where it is the word embeddings, unless the file has more for all: quantizers spare it.
Rows that do not divide into blocks of 256 get eight bits. Source: ``llama_tensor_get_type`` in llama-quant.cpp."""
_LEAST_EXPERT_BITS, _MOST_EXPERT_BITS = 1.4, 17.0

_ATTENTION_IN = {"qwen35": 4, "qwen35moe": 4, "qwen3next": 4, "granitehybrid": 10, "lfm2": 3, "lfm2moe": 4}
"""Of so many layers of a hybrid, one attends, where the catalogue does not say how many do."""
_FULL_IN = {"gemma3": 6, "gemma4": 6, "gpt-oss": 2, "gemma-embedding": 6}
"""Of so many layers, one looks back over the whole context."""
_STATE_BYTES = 4


def sketch_facts(model: CatalogueModel, variant: Variant) -> ModelFacts:
    """The model in that quantization, as if its header had been read."""
    drawn = _Drawing(model, variant)
    shape = model.geometry
    doubts = [FROM_THE_CATALOGUE]
    if not shape.layers or not (shape.kv_heads or shape.kv_lora_rank):
        doubts.append(SHAPE_UNKNOWN)
    if variant.about_bytes is None:
        doubts.append(SIZE_UNKNOWN)
    return ModelFacts(
        name=f"{model.name} {variant.quantization}",
        path=Path(variant.files[0].path).with_suffix(".gguf"),
        n_ctx_train=model.context_tokens or _USUAL_CONTEXT,
        n_embd=drawn.n_embd,
        n_vocab=drawn.n_vocab,
        n_expert=drawn.n_expert,
        n_expert_used=drawn.n_expert_used,
        weights=drawn.weights(),
        memory=_memory(model, drawn.n_layer, drawn.n_embd),
        estimated=tuple(doubts),
    )


def sketched_bytes(model: CatalogueModel, variant: Variant) -> int:
    """Of the file: known, rounded, or assumed from the parameters."""
    known = variant.exact_bytes or variant.about_bytes
    if known is not None:
        return known
    return round((model.parameters or 4e9) * _bits(variant.quantization, _BITS, _BITS_ELSE) / 8)


def _bits(label: str, table: tuple[tuple[str, float], ...], otherwise: float) -> float:
    return next((bits for mark, bits in table if mark in label), otherwise)


@dataclass(frozen=True, slots=True)
class _Parameters:
    """Counts of numbers, by where they go."""

    embedding: int
    output: int
    dense: tuple[int, ...]
    """Of each layer, without routed experts."""
    experts: tuple[int, ...]


class _Drawing:
    """The shape of one model, with usual values in place of unknown ones."""

    def __init__(self, model: CatalogueModel, variant: Variant) -> None:
        shape = model.geometry
        self._model, self._shape = model, shape
        self._label = variant.quantization
        self._file_bytes = sketched_bytes(model, variant)
        size = float(model.parameters or self._file_bytes * 8 / _bits(self._label, _BITS, _BITS_ELSE))
        self._size = size
        usual = next((layers for most, layers in _USUAL_LAYERS if size < most), _MOST_LAYERS)
        self.n_layer = shape.layers or usual
        self.n_vocab = shape.vocabulary or _USUAL_VOCABULARY
        width = next((embd for most, embd in _USUAL_EMBEDDING if size < most), _USUAL_EMBEDDING_ELSE)
        self.n_embd = shape.embedding or (shape.heads or 0) * (shape.head_width or 0) or width
        is_moe = model.kind == "moe"
        self.n_expert = (shape.experts or _USUAL_EXPERTS) if is_moe else 0
        self.n_expert_used = (shape.experts_used or self._used_by_parameters()) if is_moe else 0

    def weights(self) -> Weights:
        """Every group with its bytes; all together as long as the file."""
        counts = self._parameters()
        routed = sum(counts.experts)
        plain = counts.embedding + counts.output + sum(counts.dense)
        if routed:
            beside = plain * _bits(self._label, _BITS_BESIDE_EXPERTS, _BITS_BESIDE_ELSE) / 8
            least, most = routed * _LEAST_EXPERT_BITS / 8, routed * _MOST_EXPERT_BITS / 8
            expert_bytes = min(max(self._file_bytes - beside, least), most, self._file_bytes)
        else:
            expert_bytes = 0.0
        each = (self._file_bytes - expert_bytes) / max(1, plain)
        projection = counts.output or counts.embedding
        spared = _OUTPUT_BITS_ODD if self.n_embd % 256 else _OUTPUT_BITS
        each_output = min(max(each, spared / 8), (self._file_bytes - expert_bytes) / 2 / projection)
        each_other = (self._file_bytes - expert_bytes - projection * each_output) / max(1, plain - projection)
        each_expert = expert_bytes / routed if routed else 0.0

        def size(elements: int, bytes_each: float) -> Size:
            return Size(round(elements * bytes_each), elements)

        embedding = size(counts.embedding, each_other if counts.output else each_output)
        largest = max(counts.experts, default=0) * each_expert / 3
        return Weights(
            layers=tuple(size(count, each_other) for count in counts.dense),
            experts=tuple(size(count, each_expert) for count in counts.experts),
            embedding=embedding,
            output=size(counts.output, each_output),
            tied=Size() if counts.output else embedding,
            largest_expert_bytes=round(largest),
        )

    def _parameters(self) -> _Parameters:
        shape, model = self._shape, self._model
        words = self.n_vocab * self.n_embd
        tied = (model.kind == "dense" and self._size < _TIED_BELOW) or model.family.startswith("Gemma")
        leading = shape.leading_dense_layers or 0
        experts = tuple(0 if layer < leading else self._routed() for layer in range(self.n_layer))
        known = round(self._size) if model.parameters else self._counted(experts)
        rest = max(known - sum(experts) - words * (1 if tied else 2), self.n_layer * self.n_embd)
        extra = 3 * self.n_embd * (shape.ffn or 0) if leading and shape.ffn else 0
        extra = extra if extra * leading < rest else 0
        common = (rest - extra * leading) // self.n_layer
        dense = tuple(common + (extra if layer < leading else 0) for layer in range(self.n_layer))
        return _Parameters(words, 0 if tied else words, dense, experts)

    def _routed(self) -> int:
        """Routed experts of one layer."""
        shape, model = self._shape, self._model
        if not self.n_expert:
            return 0
        routed_layers = max(1, self.n_layer - (shape.leading_dense_layers or 0))
        if shape.expert_ffn and shape.embedding and shape.experts:
            in_layers = routed_layers * shape.experts * 3 * shape.embedding * shape.expert_ffn
            # Where only some layers have experts (Nemotron's), or they are narrower, all together are still fewer.
            whole = model.parameters or in_layers
            return min(in_layers, round(whole * 0.97)) // routed_layers
        active = model.active_parameters or self._size / 8
        share = min(0.9, self.n_expert_used / self.n_expert)
        return round((self._size - active) / (1 - share)) // routed_layers

    def _used_by_parameters(self) -> int:
        active = self._model.active_parameters or self._size / 8
        return max(1, round(self.n_expert * active / 2 / self._size))

    def _counted(self, experts: tuple[int, ...]) -> int:
        """All parameters, from the shape alone: attention, shared experts and words beside the routed experts."""
        shape = self._shape
        heads, head = shape.heads or 32, shape.head_width or 128
        attention = 2 * self.n_embd * head * (heads + (shape.kv_heads or heads))
        shared = 3 * self.n_embd * (shape.shared_expert_ffn or shape.expert_ffn or 0) * (shape.shared_experts or 0)
        return sum(experts) + self.n_layer * (attention + shared) + 2 * self.n_vocab * self.n_embd


def _memory(model: CatalogueModel, n_layer: int, n_embd: int) -> ModelMemory:
    """What each layer keeps."""
    shape, architecture = model.geometry, model.architecture or ""
    if model.attention == "mla":
        latent = (shape.kv_lora_rank or 512) + (shape.rope_head_width or 64)
        return ModelMemory((LayerMemory(latent, 0, False, 0),) * n_layer, 0)
    if model.attention == "hybrid":
        return ModelMemory(_hybrid_layers(model, n_layer, n_embd), 0)
    if model.attention == "windowed" and shape.window:
        full = shape.full_attention_layers or max(1, n_layer // _FULL_IN.get(architecture, 4))
        return ModelMemory(_windowed_layers(shape, n_layer, full), shape.window)
    return ModelMemory((_attending(shape, windowed=False),) * n_layer, 0)


def _attending(shape: Geometry, *, windowed: bool) -> LayerMemory:
    heads, width = shape.kv_heads or shape.heads or 8, shape.head_width or 128
    if not windowed:
        heads, width = shape.global_kv_heads or heads, shape.global_head_width or width
    return LayerMemory(heads * width, heads * width, windowed, 0)


def _windowed_layers(shape: Geometry, n_layer: int, full: int) -> tuple[LayerMemory, ...]:
    period = max(1, n_layer // max(1, full))
    layers = [_attending(shape, windowed=(layer + 1) % period != 0) for layer in range(n_layer)]
    own = n_layer - (shape.kv_shared_layers or 0)
    return tuple(layer if index < own else LayerMemory(0, 0, layer.windowed, 0) for index, layer in enumerate(layers))


def _hybrid_layers(model: CatalogueModel, n_layer: int, n_embd: int) -> tuple[LayerMemory, ...]:
    shape, architecture = model.geometry, model.architecture or ""
    attending = shape.full_attention_layers or max(1, n_layer // _ATTENTION_IN.get(architecture, 4))
    period = max(1, n_layer // attending)
    recurrent = n_layer - attending
    # Nemotron's other layers are recurrent and experts by turns.
    recurrent = recurrent // 2 if architecture.startswith("nemotron") else recurrent
    if shape.recurrent_bytes:
        state = shape.recurrent_bytes // _STATE_BYTES // max(1, recurrent)
    else:
        state = _usual_state(shape, architecture, n_embd)
    places = frozenset(range(period - 1, n_layer, period)[:attending])
    others = [layer for layer in range(n_layer) if layer not in places]
    recurs = frozenset(others[:recurrent])
    return tuple(
        _attending(shape, windowed=False) if layer in places else LayerMemory(0, 0, False, state * (layer in recurs))
        for layer in range(n_layer)
    )


def _usual_state(shape: Geometry, architecture: str, n_embd: int) -> int:
    """Elements of one layer and sequence. Source: headers of the models of each kind whose state is known."""
    if architecture.startswith("lfm2"):
        return 2 * n_embd
    if architecture.startswith(("granite", "nemotron")):
        return 2 * n_embd * 128
    return 550_000 * max(1, (shape.heads or 16) // 8) // 2
