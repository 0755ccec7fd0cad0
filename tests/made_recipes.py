"""The shapes of tiny models, one for each way in which an architecture keeps what it has seen.

Written to disk by ``tests.made_models``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

WIDTH, CONTEXT, WORDS = 64, 2_048, 260
_HIDDEN = 128

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


_NORMS = {"output_norm.weight": (WIDTH,)}
_EPSILON = {"attention.layer_norm_rms_epsilon": 1e-5}
_FEED_FORWARD: Mapping[str, Shape] = {
    "ffn_norm.weight": (WIDTH,),
    "ffn_gate.weight": (_HIDDEN, WIDTH),
    "ffn_up.weight": (_HIDDEN, WIDTH),
    "ffn_down.weight": (WIDTH, _HIDDEN),
}


def _attention(heads: int, kv_heads: int, head: int) -> Mapping[str, Shape]:
    return {
        "attn_norm.weight": (WIDTH,),
        "attn_q.weight": (heads * head, WIDTH),
        "attn_k.weight": (kv_heads * head, WIDTH),
        "attn_v.weight": (kv_heads * head, WIDTH),
        "attn_output.weight": (WIDTH, heads * head),
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
    "llama", TINY_LLAMA.counts, _EPSILON, TINY_LLAMA.layer, top={**_NORMS, "output.weight": (WORDS, WIDTH)}
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
        "post_attention_norm.weight": (WIDTH,),
        "attn_q_norm.weight": (32,),
        "attn_k_norm.weight": (32,),
        "post_ffw_norm.weight": (WIDTH,),
    },
    top=_NORMS,
)

_LFM_KV_HEADS = (0, 1, 0, 1, 0)


def _lfm_layer(index: int) -> Mapping[str, Shape]:
    if _LFM_KV_HEADS[index]:
        mixing = {**_attention(2, 1, 32), "attn_q_norm.weight": (32,), "attn_k_norm.weight": (32,)}
    else:
        mixing = {
            "attn_norm.weight": (WIDTH,),
            "shortconv.conv.weight": (WIDTH, 3),
            "shortconv.in_proj.weight": (3 * WIDTH, WIDTH),
            "shortconv.out_proj.weight": (WIDTH, WIDTH),
        }
    return {**mixing, **_FEED_FORWARD}


TINY_HYBRID = Recipe(
    "lfm2",
    {"block_count": 5, "feed_forward_length": _HIDDEN, "attention.head_count": 2, "shortconv.l_cache": 3},
    _EPSILON,
    _lfm_layer,
    lists={"attention.head_count_kv": _LFM_KV_HEADS},
    top={"token_embd_norm.weight": (WIDTH,)},
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
        "attn_norm.weight": (WIDTH,),
        "ssm_in.weight": (2 * _INNER + 2 * _GROUPS * _STATE + _STEPS, WIDTH),
        "ssm_conv1d.weight": (_INNER + 2 * _GROUPS * _STATE, 4),
        "ssm_conv1d.bias": (_INNER + 2 * _GROUPS * _STATE,),
        "ssm_dt.bias": (_STEPS,),
        "ssm_a": (_STEPS, 1),
        "ssm_d": (_STEPS, 1),
        "ssm_norm.weight": (_GROUPS, _INNER // _GROUPS),
        "ssm_out.weight": (WIDTH, _INNER),
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
        "attn_norm.weight": (WIDTH,),
        "attn_q_a_norm.weight": (32,),
        "attn_kv_a_norm.weight": (_LATENT,),
        "attn_q_a.weight": (32, WIDTH),
        "attn_q_b.weight": (_HEADS * (_NOPE + _ROPE), 32),
        "attn_kv_a_mqa.weight": (_LATENT + _ROPE, WIDTH),
        "attn_k_b.weight": (_HEADS, _LATENT, _NOPE),
        "attn_v_b.weight": (_HEADS, _VALUE, _LATENT),
        "attn_output.weight": (WIDTH, _HEADS * _VALUE),
        **_FEED_FORWARD,
    },
    top=_NORMS,
)

_KEY, _KEY_HEADS, _VALUE_HEADS = 16, 2, 4
_EXPERTS, _EXPERT_HIDDEN = 4, 32
_ROUTED: Mapping[str, Shape] = {
    "ffn_gate_inp.weight": (_EXPERTS, WIDTH),
    "ffn_gate_exps.weight": (_EXPERTS, _EXPERT_HIDDEN, WIDTH),
    "ffn_up_exps.weight": (_EXPERTS, _EXPERT_HIDDEN, WIDTH),
    "ffn_down_exps.weight": (_EXPERTS, WIDTH, _EXPERT_HIDDEN),
}


def _gated_delta_layer(index: int) -> Mapping[str, Shape]:
    channels = 2 * _KEY * _KEY_HEADS + _KEY * _VALUE_HEADS
    if index % 4 == 3:
        mixing = {
            **_attention(4, 2, 32),
            "attn_q.weight": (2 * 4 * 32, WIDTH),
            "attn_q_norm.weight": (32,),
            "attn_k_norm.weight": (32,),
        }
    else:
        mixing = {
            "attn_norm.weight": (WIDTH,),
            "attn_qkv.weight": (channels, WIDTH),
            "attn_gate.weight": (_KEY * _VALUE_HEADS, WIDTH),
            "ssm_conv1d.weight": (channels, 4),
            "ssm_dt.bias": (_VALUE_HEADS,),
            "ssm_a": (_VALUE_HEADS,),
            "ssm_beta.weight": (_VALUE_HEADS, WIDTH),
            "ssm_alpha.weight": (_VALUE_HEADS, WIDTH),
            "ssm_norm.weight": (_KEY,),
            "ssm_out.weight": (WIDTH, _KEY * _VALUE_HEADS),
        }
    shared = {
        "ffn_gate_inp_shexp.weight": (WIDTH,),
        "ffn_gate_shexp.weight": (_EXPERT_HIDDEN, WIDTH),
        "ffn_up_shexp.weight": (_EXPERT_HIDDEN, WIDTH),
        "ffn_down_shexp.weight": (WIDTH, _EXPERT_HIDDEN),
    }
    return {**mixing, "post_attention_norm.weight": (WIDTH,), **_ROUTED, **shared}


TINY_GATED_DELTA = Recipe(
    "qwen35moe",
    {
        "block_count": 8,
        "expert_count": _EXPERTS,
        "expert_used_count": 2,
        "expert_feed_forward_length": _EXPERT_HIDDEN,
        "expert_shared_feed_forward_length": _EXPERT_HIDDEN,
        "attention.head_count": 4,
        "attention.head_count_kv": 2,
        "attention.key_length": 32,
        "attention.value_length": 32,
        "rope.dimension_count": 16,
        "ssm.conv_kernel": 4,
        "ssm.inner_size": _KEY * _VALUE_HEADS,
        "ssm.state_size": _KEY,
        "ssm.group_count": _KEY_HEADS,
        "ssm.time_step_rank": _VALUE_HEADS,
    },
    _EPSILON,
    _gated_delta_layer,
    lists={"rope.dimension_sections": (4, 2, 2, 0)},
    top=_NORMS,
)
"""Qwen 3.5 in small: attention in every fourth layer, a recurrent state in the others, experts everywhere."""

TINY_WINDOWED_EXPERTS = Recipe(
    "gpt-oss",
    {
        "block_count": 4,
        "expert_count": _EXPERTS,
        "expert_used_count": 2,
        "expert_feed_forward_length": _EXPERT_HIDDEN,
        "attention.head_count": 4,
        "attention.head_count_kv": 2,
        "attention.key_length": 32,
        "attention.value_length": 32,
        "attention.sliding_window": 128,
        "rope.dimension_count": 32,
    },
    _EPSILON,
    lambda _: {
        **_attention(4, 2, 32),
        **_ROUTED,
        "post_attention_norm.weight": (WIDTH,),
        "attn_sinks.weight": (4,),
        "attn_output.bias": (WIDTH,),
        "ffn_gate_inp.bias": (_EXPERTS,),
        "ffn_gate_exps.bias": (_EXPERTS, _EXPERT_HIDDEN),
        "ffn_down_exps.bias": (_EXPERTS, WIDTH),
        "ffn_up_exps.bias": (_EXPERTS, _EXPERT_HIDDEN),
    },
    top={**_NORMS, "output.weight": (WORDS, WIDTH)},
)

_SHARING_WINDOWS = (True, True, False, True, True, False)


def _sharing_layer(index: int) -> Mapping[str, Shape]:
    head = 32 if _SHARING_WINDOWS[index] else 64
    return {
        **_attention(2, 1, head),
        **_FEED_FORWARD,
        "attn_q_norm.weight": (head,),
        "attn_k_norm.weight": (head,),
        "post_attention_norm.weight": (WIDTH,),
        "post_ffw_norm.weight": (WIDTH,),
    }


TINY_SHARING = Recipe(
    "gemma4",
    {
        "block_count": 6,
        "feed_forward_length": _HIDDEN,
        "embedding_length_per_layer_input": 0,
        "attention.head_count": 2,
        "attention.head_count_kv": 1,
        "attention.key_length": 64,
        "attention.value_length": 64,
        "attention.key_length_swa": 32,
        "attention.value_length_swa": 32,
        "attention.sliding_window": 128,
        "attention.shared_kv_layers": 3,
        "rope.dimension_count": 64,
        "rope.dimension_count_swa": 32,
    },
    _EPSILON,
    _sharing_layer,
    flags={"attention.sliding_window_pattern": _SHARING_WINDOWS},
    top={**_NORMS, "rope_freqs.weight": (32,)},
)
"""Gemma 4 in small: windows, wider heads without, and later layers that reuse the cache of earlier ones."""

TINY_RECIPES = {
    "llama": TINY_LLAMA,
    "untied": TINY_UNTIED_LLAMA,
    "windowed": TINY_WINDOWED,
    "hybrid": TINY_HYBRID,
    "recurrent": TINY_RECURRENT,
    "latent": TINY_LATENT,
    "gated-delta": TINY_GATED_DELTA,
    "windowed-experts": TINY_WINDOWED_EXPERTS,
    "sharing": TINY_SHARING,
}

TINY_EXPERTS = Recipe(
    "qwen3moe",
    {
        "block_count": 4,
        "feed_forward_length": _HIDDEN,
        "expert_count": _EXPERTS,
        "expert_used_count": 2,
        "expert_feed_forward_length": _EXPERT_HIDDEN,
        "attention.head_count": 4,
        "attention.head_count_kv": 2,
        "attention.key_length": 32,
        "attention.value_length": 32,
    },
    _EPSILON,
    lambda _: {
        **_attention(4, 2, 32),
        **_ROUTED,
        "attn_q_norm.weight": (32,),
        "attn_k_norm.weight": (32,),
        "ffn_norm.weight": (WIDTH,),
    },
    top={**_NORMS, "output.weight": (WORDS, WIDTH)},
)
"""Qwen 3 with experts, in small."""

_GRANITE_KV_HEADS = (0, 0, 1, 0)


def _granite_layer(index: int) -> Mapping[str, Shape]:
    mixing = _attention(2, 1, 32) if _GRANITE_KV_HEADS[index] else TINY_RECURRENT.layer(index)
    return {**mixing, **_FEED_FORWARD}


TINY_GRANITE = Recipe(
    "granitehybrid",
    {
        **TINY_RECURRENT.counts,
        "block_count": len(_GRANITE_KV_HEADS),
        "feed_forward_length": _HIDDEN,
        "attention.head_count": 2,
        "rope.dimension_count": 32,
    },
    _EPSILON,
    _granite_layer,
    lists={"attention.head_count_kv": _GRANITE_KV_HEADS},
    top=_NORMS,
)
"""Granite 4 in small: a recurrent state in most layers, attention in some."""

_WIDE_ROPE = 32

TINY_WIDE_LATENT = Recipe(
    "deepseek2",
    {
        **TINY_LATENT.counts,
        "attention.key_length": _LATENT + _WIDE_ROPE,
        "attention.key_length_mla": _NOPE + _WIDE_ROPE,
        "rope.dimension_count": _WIDE_ROPE,
    },
    _EPSILON,
    lambda index: {
        **TINY_LATENT.layer(index),
        "attn_q_b.weight": (_HEADS * (_NOPE + _WIDE_ROPE), 32),
        "attn_kv_a_mqa.weight": (_LATENT + _WIDE_ROPE, WIDTH),
    },
    top=_NORMS,
)
"""Latent attention whose one vector divides into blocks of q8_0."""

MORE_TINY_RECIPES = {
    "experts": TINY_EXPERTS,
    "granite-hybrid": TINY_GRANITE,
    "wide-latent": TINY_WIDE_LATENT,
}
"""Those that only their sizes are tested of."""
