"""Models made for tests: the starter turned into a mixture of experts, and random ones of a few kilobytes.

They are made, not fetched, so that every architecture the planner knows can be loaded by the real llama.cpp. Weights of
the tiny ones are random: they load and compute, and say nothing sensible. Written with the ``gguf`` package, which
shares no code with our reader.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

STARTER = Path(sys.prefix) / "share" / "gatehouse" / "models" / "SmolLM2-135M-Instruct-Q4_1.gguf"

_SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_TEMPLATE = (
    "{% for message in messages %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
_WIDTH, _HIDDEN, _CONTEXT = 64, 128, 2_048

Shape = tuple[int, ...]
"""Of a tensor, slowest-running dimension first, as numpy has it."""


@dataclass(frozen=True)
class Recipe:
    """A tiny model: metadata below ``<architecture>.`` and tensors beyond the ones every model has."""

    architecture: str
    counts: Mapping[str, int]
    numbers: Mapping[str, float]
    layer: Callable[[int], Mapping[str, Shape]]
    """Tensors of layer *i*, without ``blk.i.``."""
    lists: Mapping[str, Sequence[int]] | None = None
    flags: Mapping[str, Sequence[bool]] | None = None
    top: Mapping[str, Shape] | None = None
    """Tensors outside the layers, beside the word embeddings."""


def _vocabulary() -> tuple[list[str], list[str]]:
    """The 256 bytes in the letters that byte-level BPE gives them, one merge, and the special tokens."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    spare = iter(range(256, 512))
    letters = [chr(byte) if byte in printable else chr(next(spare)) for byte in range(256)]
    return [*_SPECIAL, *letters, letters[32] + "t"], [f"{letters[32]} t"]


def make_tiny(recipe: Recipe, target: Path, seed: int = 1) -> Path:
    """Write a random model after a recipe, unless it is there already."""
    if target.is_file():
        return target
    import numpy as np
    from gguf import GGUFWriter, TokenType

    rng = np.random.default_rng(seed)
    tokens, merges = _vocabulary()
    unfinished = target.with_suffix(".part")
    writer = GGUFWriter(unfinished, recipe.architecture)
    name = recipe.architecture
    writer.add_string("general.type", "model")
    writer.add_string("general.name", f"Tiny {name}")
    writer.add_string("general.license", "apache-2.0")
    writer.add_context_length(_CONTEXT)
    writer.add_embedding_length(_WIDTH)
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
    shapes: dict[str, Shape] = {"token_embd.weight": (len(tokens), _WIDTH), **(recipe.top or {})}
    for index in range(recipe.counts["block_count"]):
        shapes |= {f"blk.{index}.{suffix}": shape for suffix, shape in recipe.layer(index).items()}
    for tensor, shape in shapes.items():
        data = rng.normal(0, 0.02, shape).astype(np.float32)
        plain = len(shape) == 1 or "conv" in tensor or "ssm_a" in tensor or "ssm_d" in tensor
        writer.add_tensor(tensor, data if plain else data.astype(np.float16))
    _write(writer)
    unfinished.replace(target)
    return target


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


_NORMS = {"output_norm.weight": (_WIDTH,)}
_EPSILON = {"attention.layer_norm_rms_epsilon": 1e-5}
_FEED_FORWARD: Mapping[str, Shape] = {
    "ffn_norm.weight": (_WIDTH,),
    "ffn_gate.weight": (_HIDDEN, _WIDTH),
    "ffn_up.weight": (_HIDDEN, _WIDTH),
    "ffn_down.weight": (_WIDTH, _HIDDEN),
}


def _attention(heads: int, kv_heads: int, head: int) -> Mapping[str, Shape]:
    return {
        "attn_norm.weight": (_WIDTH,),
        "attn_q.weight": (heads * head, _WIDTH),
        "attn_k.weight": (kv_heads * head, _WIDTH),
        "attn_v.weight": (kv_heads * head, _WIDTH),
        "attn_output.weight": (_WIDTH, heads * head),
    }


TINY_LLAMA = Recipe(
    "llama",
    {
        "block_count": 3,
        "feed_forward_length": _HIDDEN,
        "attention.head_count": 4,
        "attention.head_count_kv": 2,
        "attention.key_length": 32,
        "attention.value_length": 32,
        "rope.dimension_count": 32,
    },
    _EPSILON,
    lambda _: {**_attention(4, 2, 32), **_FEED_FORWARD},
    top=_NORMS,
)

TINY_UNTIED_LLAMA = Recipe(
    "llama", TINY_LLAMA.counts, _EPSILON, TINY_LLAMA.layer, top={**_NORMS, "output.weight": (260, _WIDTH)}
)

TINY_WINDOWED = Recipe(
    "gemma3",
    {
        "block_count": 7,
        "feed_forward_length": _HIDDEN,
        "attention.head_count": 4,
        "attention.head_count_kv": 1,
        "attention.key_length": 32,
        "attention.value_length": 32,
        "attention.sliding_window": 128,
    },
    _EPSILON,
    lambda _: {
        **_attention(4, 1, 32),
        **_FEED_FORWARD,
        "post_attention_norm.weight": (_WIDTH,),
        "attn_q_norm.weight": (32,),
        "attn_k_norm.weight": (32,),
        "post_ffw_norm.weight": (_WIDTH,),
    },
    top=_NORMS,
)

_LFM_KV_HEADS = (0, 1, 0, 1, 0)


def _lfm_layer(index: int) -> Mapping[str, Shape]:
    if _LFM_KV_HEADS[index]:
        mixing = {**_attention(2, 1, 32), "attn_q_norm.weight": (32,), "attn_k_norm.weight": (32,)}
    else:
        mixing = {
            "attn_norm.weight": (_WIDTH,),
            "shortconv.conv.weight": (_WIDTH, 3),
            "shortconv.in_proj.weight": (3 * _WIDTH, _WIDTH),
            "shortconv.out_proj.weight": (_WIDTH, _WIDTH),
        }
    return {**mixing, **_FEED_FORWARD}


TINY_HYBRID = Recipe(
    "lfm2",
    {"block_count": 5, "feed_forward_length": _HIDDEN, "attention.head_count": 2, "shortconv.l_cache": 3},
    _EPSILON,
    _lfm_layer,
    lists={"attention.head_count_kv": _LFM_KV_HEADS},
    top={"token_embd_norm.weight": (_WIDTH,)},
)

_INNER, _STATE, _GROUPS, _STEPS = 128, 16, 2, 4

TINY_RECURRENT = Recipe(
    "mamba2",
    {
        "block_count": 3,
        "feed_forward_length": 0,
        "attention.head_count": 0,
        "ssm.conv_kernel": 4,
        "ssm.inner_size": _INNER,
        "ssm.state_size": _STATE,
        "ssm.group_count": _GROUPS,
        "ssm.time_step_rank": _STEPS,
    },
    _EPSILON,
    lambda _: {
        "attn_norm.weight": (_WIDTH,),
        "ssm_in.weight": (2 * _INNER + 2 * _GROUPS * _STATE + _STEPS, _WIDTH),
        "ssm_conv1d.weight": (_INNER + 2 * _GROUPS * _STATE, 4),
        "ssm_conv1d.bias": (_INNER + 2 * _GROUPS * _STATE,),
        "ssm_dt.bias": (_STEPS,),
        "ssm_a": (_STEPS, 1),
        "ssm_d": (_STEPS, 1),
        "ssm_norm.weight": (_GROUPS, _INNER // _GROUPS),
        "ssm_out.weight": (_WIDTH, _INNER),
    },
    top=_NORMS,
)

_LATENT, _ROPE, _NOPE, _VALUE, _HEADS = 64, 16, 16, 16, 4

TINY_LATENT = Recipe(
    "deepseek2",
    {
        "block_count": 3,
        "feed_forward_length": _HIDDEN,
        "leading_dense_block_count": 3,
        "expert_feed_forward_length": _HIDDEN,
        "expert_shared_count": 1,
        "attention.head_count": _HEADS,
        "attention.head_count_kv": 1,
        "attention.key_length": _LATENT + _ROPE,
        "attention.value_length": _LATENT,
        "attention.key_length_mla": _NOPE + _ROPE,
        "attention.value_length_mla": _VALUE,
        "attention.q_lora_rank": 32,
        "attention.kv_lora_rank": _LATENT,
        "rope.dimension_count": _ROPE,
    },
    _EPSILON,
    lambda _: {
        "attn_norm.weight": (_WIDTH,),
        "attn_q_a_norm.weight": (32,),
        "attn_kv_a_norm.weight": (_LATENT,),
        "attn_q_a.weight": (32, _WIDTH),
        "attn_q_b.weight": (_HEADS * (_NOPE + _ROPE), 32),
        "attn_kv_a_mqa.weight": (_LATENT + _ROPE, _WIDTH),
        "attn_k_b.weight": (_HEADS, _LATENT, _NOPE),
        "attn_v_b.weight": (_HEADS, _VALUE, _LATENT),
        "attn_output.weight": (_WIDTH, _HEADS * _VALUE),
        **_FEED_FORWARD,
    },
    top=_NORMS,
)

TINY_RECIPES = {
    "llama": TINY_LLAMA,
    "untied": TINY_UNTIED_LLAMA,
    "windowed": TINY_WINDOWED,
    "hybrid": TINY_HYBRID,
    "recurrent": TINY_RECURRENT,
    "latent": TINY_LATENT,
}
