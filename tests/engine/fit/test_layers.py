"""What layers keep, for models whose figures are known from elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.fit.footprint import CacheShape, kv_bytes, recurrent_bytes, round_context
from engine.fit.layers import ModelMemory, describe_memory
from engine.gguf.header import Header, Shard
from engine.gguf.reader import Array, Value


def header(architecture: str, **facts: int | list[int]) -> Header:
    """A header with those facts, ``__`` for a dot."""
    metadata: dict[str, Value] = {"general.architecture": architecture}
    for key, value in ({"context_length": 4096, "embedding_length": 1024} | facts).items():
        full = f"{architecture}.{key.replace('__', '.')}"
        metadata[full] = Array(len(value), tuple(value)) if isinstance(value, list) else value
    return Header((Shard(Path("m.gguf"), 1, 1, 0),), metadata, (), "", 32)


def _per_token(memory: ModelMemory) -> float:
    """KiB for each further token in f16, far beyond any window."""
    far, farther = (CacheShape(n_ctx, 1, 512, "f16") for n_ctx in (65_536, 131_072))
    return (kv_bytes(memory, farther) - kv_bytes(memory, far)) / 65_536 / 1024


def test_qwen25_half_billion() -> None:
    """Measured in llama.cpp: 96.00 MiB in f16 and 51.00 in q8_0 for 8,192 tokens."""
    memory = describe_memory(
        header("qwen2", block_count=24, embedding_length=896, attention__head_count=14, attention__head_count_kv=2)
    )
    assert kv_bytes(memory, CacheShape(8_192, 4, 512, "f16")) == 96 * 2**20
    assert kv_bytes(memory, CacheShape(8_192, 4, 512, "q8_0")) == 51 * 2**20


def _gpt_oss() -> Header:
    return header(
        "gpt-oss",
        block_count=24,
        embedding_length=2880,
        attention__head_count=64,
        attention__head_count_kv=8,
        attention__key_length=64,
        attention__value_length=64,
        attention__sliding_window=128,
    )


def test_gpt_oss_windows_half_of_its_layers() -> None:
    memory = describe_memory(_gpt_oss())
    assert [layer.windowed for layer in memory.layers] == [True, False] * 12
    assert _per_token(memory) == 24
    # Twelve windowed layers of 8 x 128 elements: 4 sequences of 128 tokens and a batch of 512, rounded up.
    small = CacheShape(8_192, 4, 512, "f16")
    assert kv_bytes(memory, small) == 12 * 8_192 * 2_048 + 12 * 1_024 * 2_048


def test_window_is_never_larger_than_the_context() -> None:
    memory = describe_memory(_gpt_oss())
    tiny = CacheShape(512, 20, 512, "f16")
    assert kv_bytes(memory, tiny) == 24 * 512 * 2_048


WINDOW, PATTERN = "attention__sliding_window", "attention__sliding_window_pattern"


@pytest.mark.parametrize(
    ("architecture", "facts", "windowed"),
    [
        ("gemma3", {WINDOW: 512}, [True] * 5 + [False, True]),
        ("gemma3", {}, [False] * 7),
        ("gemma3", {WINDOW: 512, PATTERN: 2}, [True, False] * 3 + [True]),
        ("gemma2", {}, [True, False, True, False, True, False, True]),
        ("cohere2moe", {WINDOW: 512}, [False, True, True, True, False, True, True]),
        ("gemma4", {WINDOW: 512, PATTERN: [1, 1, 0, 1, 1, 0, 0]}, [True, True, False, True, True, False, False]),
        ("llama4", {}, [True, True, True, False, True, True, True]),
        ("llama4", {WINDOW: 0}, [False] * 7),
        ("phi3", {WINDOW: 2047}, [False] * 7),
        ("llama", {WINDOW: 4096}, [False] * 7),
        ("exaone4", {}, [False] * 7),
        ("gpt-oss", {WINDOW: 128, PATTERN: 0}, [True] * 7),
    ],
)
def test_which_layers_look_back_a_window(
    architecture: str, facts: dict[str, int | list[int]], windowed: list[bool]
) -> None:
    memory = describe_memory(header(architecture, block_count=7, attention__head_count=8, **facts))
    assert [layer.windowed for layer in memory.layers] == windowed


def test_latent_attention_keeps_one_vector() -> None:
    """GLM-4.7-Flash: 47 layers, rank 512 and 64 rotated elements give 52.9 KiB a token."""
    memory = describe_memory(
        header(
            "deepseek2",
            block_count=47,
            embedding_length=2048,
            attention__head_count=20,
            attention__head_count_kv=1,
            attention__key_length=576,
            attention__value_length=512,
            attention__key_length_mla=256,
            attention__value_length_mla=256,
        )
    )
    assert _per_token(memory) == pytest.approx(52.875)


def test_gated_delta_net_keeps_state_in_three_of_four_layers() -> None:
    """Qwen3.6-35B-A3B: 10 of 40 layers attend (20 KiB a token), 30 keep 2.1 MiB of state for each sequence."""
    memory = describe_memory(
        header(
            "qwen35moe",
            block_count=40,
            embedding_length=2048,
            attention__head_count=16,
            attention__head_count_kv=2,
            attention__key_length=256,
            attention__value_length=256,
            ssm__conv_kernel=4,
            ssm__inner_size=4096,
            ssm__state_size=128,
            ssm__group_count=16,
            ssm__time_step_rank=32,
        )
    )
    assert memory.recurrent
    assert _per_token(memory) == 20
    one = recurrent_bytes(memory, CacheShape(4_096, 1, 512, "f16"))
    assert one == 30 * 4 * (3 * (4096 + 2 * 16 * 128) + 128 * 4096)
    assert recurrent_bytes(memory, CacheShape(65_536, 5, 512, "f16")) == 5 * one


def test_layers_may_share_the_cache_of_earlier_ones() -> None:
    facts: dict[str, int | list[int]] = {
        "attention__head_count": 8,
        "attention__sliding_window": 512,
        "attention__sliding_window_pattern": [1] * 35,
        "attention__shared_kv_layers": 20,
        "attention__key_length": 512,
        "attention__value_length": 512,
        "attention__key_length_swa": 256,
        "attention__value_length_swa": 128,
    }
    memory = describe_memory(header("gemma4", block_count=35, **facts))
    assert sum(layer.key_elements > 0 for layer in memory.layers) == 15
    assert (memory.layers[0].key_elements, memory.layers[0].value_elements) == (8 * 256, 8 * 128)


def test_layers_that_only_predict_keep_nothing() -> None:
    memory = describe_memory(header("glm4moe", block_count=47, nextn_predict_layers=1, attention__head_count=8))
    assert [layer.key_elements > 0 for layer in memory.layers] == [True] * 46 + [False]


def test_nemotron_has_layers_that_keep_nothing() -> None:
    memory = describe_memory(
        header(
            "nemotron_h",
            block_count=4,
            attention__head_count=8,
            attention__head_count_kv=[0, 8, 0, 0],
            feed_forward_length=[0, 0, 4096, 0],
            ssm__inner_size=64,
            ssm__state_size=16,
            ssm__conv_kernel=4,
        )
    )
    assert [bool(layer.key_elements) for layer in memory.layers] == [False, True, False, False]
    assert [bool(layer.state_elements) for layer in memory.layers] == [True, False, False, True]


@pytest.mark.parametrize(("asked", "cells"), [(1, 256), (256, 256), (257, 512), (8_192, 8_192), (10_000, 10_240)])
def test_contexts_are_rounded_as_llama_cpp_does(asked: int, cells: int) -> None:
    assert round_context(asked) == cells
