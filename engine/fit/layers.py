"""What each layer of a model keeps for the tokens it has seen, read from the header by llama.cpp's own rules.

The tables repeat decisions that llama.cpp makes in code and no file states. An architecture they do not know is
treated as plain attention; the probe of ``fit.py`` then finds the difference and corrects the plan.
Source: llama-hparams.cpp, llama-model.cpp (create_memory) and src/models/ of the llama.cpp that is built in.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.gguf.header import Header


@dataclass(frozen=True, slots=True)
class LayerMemory:
    """One layer's share of the cache."""

    key_elements: int
    """Of one token; 0 when the layer keeps no keys."""
    value_elements: int
    """Of one token; 0 for latent attention (MLA), which keeps one vector for both."""
    windowed: bool
    """Looks back a sliding window instead of the whole context."""
    state_elements: int
    """Of one sequence, for recurrent layers; independent of the context."""


@dataclass(frozen=True, slots=True)
class ModelMemory:
    """All layers, and the length of the window where one is used."""

    layers: tuple[LayerMemory, ...]
    window: int

    @property
    def recurrent(self) -> bool:
        return any(layer.state_elements for layer in self.layers)


@dataclass(frozen=True, slots=True)
class _Windows:
    """How an architecture spreads its windowed layers when the file does not list them."""

    period: int
    dense_first: bool = False
    window: int | None = None
    """Used when the file names none; ``None``: then there is no window."""
    forced_window: int | None = None
    """Used whatever the file names, unless it names 0."""


_WINDOWS = {
    "afmoe": _Windows(4),
    "cohere2": _Windows(4),
    "cohere2moe": _Windows(4, dense_first=True),
    "exaone-moe": _Windows(4, window=128),
    "exaone4": _Windows(4, window=4096),
    "gemma2": _Windows(2, window=4096),
    "gemma3": _Windows(6),
    "gemma3n": _Windows(5),
    "gpt-oss": _Windows(2),
    "laguna": _Windows(4, dense_first=True),
    "llama4": _Windows(4, window=8192, forced_window=8192),
    "mellum": _Windows(4),
    "muse-glimmer": _Windows(4),
    "olmo2": _Windows(4),
    "plamo3": _Windows(8),
    "smallthinker": _Windows(4, dense_first=True, forced_window=4096),
}
_LISTED_WINDOWS = {"gemma4", "granite_swa", "maple", "mimo2", "spark2_5", "step35"}
"""Architectures whose file lists the windowed layers."""

_PURELY_RECURRENT = {"mamba", "mamba2", "rwkv6", "rwkv6qwen2", "rwkv7", "arwkv7"}
_GATED_DELTA = {"qwen3next", "qwen35", "qwen35moe", "qwen4exp"}
_NEMOTRON = {"nemotron_h", "nemotron_h_moe"}
_HYBRID = (
    {"jamba", "plamo2", "granitehybrid", "lfm2", "lfm2moe", "kimi-linear", "kimi-k3", "bailingmoe3"}
    | _GATED_DELTA
    | _NEMOTRON
)
"""Architectures with attention in some layers and a recurrent state in others."""


WITHOUT_CACHE = frozenset(
    {
        "bert",
        "jina-bert-v2",
        "jina-bert-v3",
        "nomic-bert",
        "nomic-bert-moe",
        "neo-bert",
        "eurobert",
        "modern-bert",
        "gemma-embedding",
        "wavtokenizer-dec",
        "dream",
        "llada",
        "llada-moe",
        "rnd1",
    }
)
"""Encoders and diffusion models: every text is computed whole, nothing of it is kept. Source:
``llama_model::create_memory``."""


def describe_memory(header: Header) -> ModelMemory:
    """Read the layers' memory from the header. Raises: ``ModelFileError`` for numbers that make no sense."""
    count = header.block_count
    own = count - min(count, header.count("nextn_predict_layers", 0))
    window = _window(header)
    windowed = _windowed_layers(header, count, window)
    kv_heads = _kv_heads(header, count)
    attends, recurs = _kinds(header, count, kv_heads)
    keeps = 0 if header.architecture in WITHOUT_CACHE else _layers_with_cache(header, count)
    state = _state_elements(header, count) if any(recurs) else 0
    shapes = _HeadShapes(header)
    layers = []
    for index in range(count):
        # Layers beyond `own` only predict further tokens; they take no part in an ordinary context.
        cached = attends[index] and index < min(keeps, own or count)
        key, value = shapes.of(windowed[index])
        layers.append(
            LayerMemory(
                key_elements=key * kv_heads[index] if cached else 0,
                value_elements=value * kv_heads[index] if cached else 0,
                windowed=windowed[index],
                state_elements=state if recurs[index] and index < (own or count) else 0,
            )
        )
    return ModelMemory(tuple(layers), window)


class _HeadShapes:
    """Key and value lengths of one attention head, which may differ in windowed layers."""

    def __init__(self, header: Header) -> None:
        heads = max(header.counts("attention.head_count", header.block_count, 0))
        fallback = header.embedding_length // heads if heads else 0
        key = header.count("attention.key_length", fallback) if heads else 0
        value = header.count("attention.value_length", fallback) if heads else 0
        latent = header.count("attention.key_length_mla", 0) > 0 and header.count("attention.value_length_mla", 0) > 0
        self._full = (key, 0 if latent else value)
        self._windowed = (
            header.count("attention.key_length_swa", key),
            0 if latent else header.count("attention.value_length_swa", value),
        )

    def of(self, windowed: bool) -> tuple[int, int]:
        return self._windowed if windowed else self._full


def _kv_heads(header: Header, count: int) -> tuple[int, ...]:
    if f"{header.architecture}.attention.head_count_kv" in header.metadata:
        return header.counts("attention.head_count_kv", count)
    return header.counts("attention.head_count", count, 0)


def _window(header: Header) -> int:
    rule = _WINDOWS.get(header.architecture)
    if header.architecture == "phi3":
        # llama.cpp switches it off for this one, because converters wrote wrong windows.
        return 0
    if rule is None:
        return header.count("attention.sliding_window", 0)
    named = header.count("attention.sliding_window", rule.window or 0)
    return rule.forced_window if named and rule.forced_window else named


def _windowed_layers(header: Header, count: int, window: int) -> tuple[bool, ...]:
    architecture = header.architecture
    rule = _WINDOWS.get(architecture)
    windowless = not window or (architecture == "exaone4" and count != 64)
    if architecture in ("lfm2", "lfm2moe") and not windowless:
        return tuple(heads > 0 for heads in _kv_heads(header, count))
    if windowless or (rule is None and architecture not in _LISTED_WINDOWS):
        return (False,) * count
    listed = header.flags("attention.sliding_window_pattern", count)
    if listed is not None:
        return listed
    return _periodic(rule, header, count) if rule is not None else (False,) * count


def _periodic(rule: _Windows, header: Header, count: int) -> tuple[bool, ...]:
    period = header.count("attention.sliding_window_pattern", rule.period)
    if period == 0:
        return (True,) * count
    if rule.dense_first:
        return tuple(index % period != 0 for index in range(count))
    return tuple(index % period < period - 1 for index in range(count))


def _layers_with_cache(header: Header, count: int) -> int:
    """Later layers may reuse the cache of earlier ones: how many layers have one of their own."""
    if header.architecture == "gemma3n":
        return min(count, 20)
    if header.architecture == "gemma4":
        return max(0, count - header.count("attention.shared_kv_layers", 0))
    return count


def _kinds(header: Header, count: int, kv_heads: tuple[int, ...]) -> tuple[tuple[bool, ...], tuple[bool, ...]]:
    """Which layers attend, and which keep a recurrent state."""
    architecture = header.architecture
    everywhere, nowhere = (True,) * count, (False,) * count
    if architecture in _PURELY_RECURRENT:
        return nowhere, everywhere
    if architecture == "falcon-h1":
        return everywhere, everywhere
    if architecture not in _HYBRID:
        return everywhere, nowhere
    if architecture in _GATED_DELTA:
        listed = header.flags("attention.recurrent_layers", count)
        interval = max(1, header.count("full_attention_interval", 4))
        recurs = listed or tuple((index + 1) % interval != 0 for index in range(count))
        return tuple(not flag for flag in recurs), recurs
    recurs = tuple(heads == 0 for heads in kv_heads)
    if architecture in _NEMOTRON:
        plain = tuple(width == 0 for width in header.counts("feed_forward_length", count, 0))
        attends = tuple(not r and p for r, p in zip(recurs, plain, strict=True))
        return attends, tuple(r and p for r, p in zip(recurs, plain, strict=True))
    return tuple(not flag for flag in recurs), recurs


def _state_elements(header: Header, count: int) -> int:
    """Of one recurrent layer and sequence: convolution history and state. Source: n_embd_r, n_embd_s."""
    width = header.embedding_length
    if head := header.count("wkv.head_size", 0):
        return header.count("token_shift_count", 2) * width + width * head
    if history := header.count("shortconv.l_cache", 0):
        return width * (history - 1) + header.count("ssm.state_size", 0) * header.count("ssm.inner_size", 0)
    kernel = header.count("ssm.conv_kernel", 0)
    if head := header.count("kda.head_dim", 0):
        heads = max(header.counts("attention.head_count", count, 0))
        return 3 * (kernel - 1 if kernel else 3) * heads * head + head * head * heads
    inner, state = header.count("ssm.inner_size", 0), header.count("ssm.state_size", 0)
    groups = header.count("ssm.group_count", 0)
    return max(0, kernel - 1) * (inner + 2 * groups * state) + state * inner
