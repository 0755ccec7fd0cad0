"""Models made for tests: the starter turned into a mixture of experts, and random ones of a few kilobytes.

They are made, not fetched, so that every architecture the planner knows can be loaded by the real llama.cpp. Weights of
the tiny ones are random: they load and compute, and say nothing sensible. Written with the ``gguf`` package, which
shares no code with our reader.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.made_recipes import (
    CONTEXT,
    TINY_HYBRID,
    TINY_LATENT,
    TINY_LLAMA,
    TINY_RECIPES,
    TINY_RECURRENT,
    TINY_UNTIED_LLAMA,
    TINY_WINDOWED,
    WIDTH,
    WORDS,
    Recipe,
    Shape,
)

__all__ = [
    "STARTER",
    "TINY_HYBRID",
    "TINY_LATENT",
    "TINY_LLAMA",
    "TINY_RECIPES",
    "TINY_RECURRENT",
    "TINY_UNTIED_LLAMA",
    "TINY_WINDOWED",
    "Recipe",
    "make_moe",
    "make_tiny",
]

STARTER = Path(sys.prefix) / "share" / "gatehouse" / "models" / "SmolLM2-135M-Instruct-Q4_1.gguf"

_SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_COMPUTED_PLAIN = ("conv", "ssm_a", "ssm_d", "ssm_norm")
"""Tensors of several dimensions that llama.cpp adds or convolves with, and only as 32-bit numbers."""
_TEMPLATE = (
    "{% for message in messages %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def _vocabulary() -> tuple[list[str], list[str]]:
    """The 256 bytes in the letters that byte-level BPE gives them, one merge, and the special tokens."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    spare = iter(range(256, 512))
    letters = [chr(byte) if byte in printable else chr(next(spare)) for byte in range(256)]
    return [*_SPECIAL, *letters, letters[32] + "t"], [f"{letters[32]} t"]


def make_tiny(
    recipe: Recipe, target: Path, seed: int = 1, *, fixed: Mapping[str, Sequence[float]] | None = None
) -> Path:
    """Write a random model after a recipe, unless it is there already.

    ``fixed`` gives tensors of every layer, by their names without ``blk.i.``, those values, repeated as needed.
    """
    if target.is_file():
        return target
    import numpy as np
    from gguf import GGUFWriter, TokenType

    rng = np.random.default_rng(seed)
    tokens, merges = _vocabulary()
    assert len(tokens) == WORDS
    unfinished = target.with_suffix(".part")
    writer = GGUFWriter(unfinished, recipe.architecture)
    name = recipe.architecture
    writer.add_string("general.type", "model")
    writer.add_string("general.name", f"Tiny {name}")
    writer.add_string("general.license", "apache-2.0")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    for key, count in recipe.counts.items():
        writer.add_uint32(f"{name}.{key}", count)
    for key, number in recipe.numbers.items():
        writer.add_float32(f"{name}.{key}", number)
    for key, values in {**(recipe.lists or {}), **(recipe.flags or {})}.items():
        writer.add_array(f"{name}.{key}", list(values))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    control, normal = int(TokenType.CONTROL), int(TokenType.NORMAL)
    writer.add_token_types([control if token in _SPECIAL else normal for token in tokens])
    writer.add_token_merges(merges)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_chat_template(_TEMPLATE)
    shapes: dict[str, Shape] = {"token_embd.weight": (len(tokens), WIDTH), **(recipe.top or {})}
    for index in range(recipe.counts["block_count"]):
        shapes |= {f"blk.{index}.{suffix}": shape for suffix, shape in recipe.layer(index).items()}
    for tensor, shape in shapes.items():
        data = _weights(tensor, rng.standard_normal(shape, np.float32))
        known = (fixed or {}).get(tensor.split(".", 2)[-1])
        if known is not None:
            data = np.resize(np.asarray(known, np.float32), shape)
        plain = len(shape) == 1 or tensor.endswith(".bias") or any(part in tensor for part in _COMPUTED_PLAIN)
        writer.add_tensor(tensor, data if plain else data.astype(np.float16))
    _write(writer)
    unfinished.replace(target)
    return target


def _weights(tensor: str, random: Any) -> Any:
    """Scaled so that every layer adds about as much as came in: else what lies further back would not show in the
    next token, and a test of the memory would see nothing."""
    if tensor.endswith("norm.weight"):
        return 1 + random / 10
    if "ssm_a" in tensor:
        return -abs(random) / 20  # a long memory
    if random.ndim == 1:
        return random / 10
    return random / float(random.shape[-1]) ** 0.5


def make_moe(target: Path, *, experts: int = 4, used: int = 2, starter: Path = STARTER) -> Path:
    """Replicate each feed-forward block of a dense model into experts behind a random router.

    All experts are equal and their weights sum to one, so the text must equal the dense model's.
    """
    if target.is_file():
        return target
    import numpy as np
    from gguf import GGUFReader, GGUFValueType, GGUFWriter

    reader = GGUFReader(starter)
    unfinished = target.with_suffix(".part")
    writer = GGUFWriter(unfinished, "llama")
    for key, field in reader.fields.items():
        if key.startswith("GGUF.") or key == "general.architecture":
            continue
        kind = field.types[0]
        if kind == GGUFValueType.ARRAY:
            writer.add_array(key, field.contents())
        else:
            writer.add_key_value(key, field.contents(), kind)
    writer.add_uint32("llama.expert_count", experts)
    writer.add_uint32("llama.expert_used_count", used)
    rng = np.random.default_rng(0)
    width = int(reader.fields["llama.embedding_length"].contents())
    for tensor in reader.tensors:
        if not any(part in tensor.name for part in ("ffn_gate.weight", "ffn_up.weight", "ffn_down.weight")):
            writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
            continue
        copies = np.stack([tensor.data] * experts)
        writer.add_tensor(tensor.name.replace(".weight", "_exps.weight"), copies, raw_dtype=tensor.tensor_type)
        if "ffn_gate.weight" in tensor.name:
            router = rng.normal(0, 1 / np.sqrt(width), (experts, width)).astype(np.float32)
            writer.add_tensor(tensor.name.replace("ffn_gate", "ffn_gate_inp"), router)
    _write(writer)
    unfinished.replace(target)
    return target


def _write(writer: object) -> None:
    from gguf import GGUFWriter

    assert isinstance(writer, GGUFWriter)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
