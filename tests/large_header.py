"""A file with the header of Qwen3 30B-A3B at Q4_K and a hole in place of its 17 GB of weights.

The geometry is the real one, the vocabulary as long as the real one, so that traffic and time of planning for a remote
model are those of the real file. Written with the ``gguf`` package, which shares no code with our reader.
"""

from __future__ import annotations

from pathlib import Path

LAYERS, WIDTH, HEADS, KV_HEADS, HEAD_WIDTH = 48, 2048, 32, 4, 128
EXPERTS, EXPERTS_USED, EXPERT_FFN = 128, 8, 768
VOCABULARY, MERGES = 151_936, 151_387


def make_large_header(target: Path) -> Path:
    """Write it; returns ``target``. Takes a second or two."""
    import gguf
    import numpy

    writer = gguf.GGUFWriter(target, "qwen3moe")
    writer.add_name("Qwen3 30B-A3B, hollow")
    writer.add_block_count(LAYERS)
    writer.add_context_length(40_960)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(6144)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_key_length(HEAD_WIDTH)
    writer.add_value_length(HEAD_WIDTH)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(1_000_000.0)
    writer.add_expert_count(EXPERTS)
    writer.add_expert_used_count(EXPERTS_USED)
    writer.add_expert_feed_forward_length(EXPERT_FFN)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_K_M)
    _add_vocabulary(writer)
    q4, f32 = gguf.GGMLQuantizationType.Q4_K, gguf.GGMLQuantizationType.F32
    for name, shape, kind in _tensors():
        raw = q4 if kind == "q4" else f32
        elements = int(numpy.prod(shape))
        size = elements // 256 * 144 if kind == "q4" else elements * 4
        stored = gguf.quant_shape_to_byte_shape(shape, raw) if kind == "q4" else shape
        dtype = numpy.dtype(numpy.uint8 if kind == "q4" else numpy.float32)
        writer.add_tensor_info(name, stored, dtype, size, raw_dtype=raw)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    _add_hole(target)
    return target


def _add_vocabulary(writer: object) -> None:
    import gguf

    assert isinstance(writer, gguf.GGUFWriter)
    letters = [chr(code) for code in range(33, 127)]
    words = [f"{a}{b}{c}{d}" for a in letters[:20] for b in letters[:90] for c in letters[:90] for d in "ab"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list([*letters, *words][:VOCABULARY])
    writer.add_token_types([1] * VOCABULARY)
    writer.add_token_merges([f"{word[:2]} {word[2:]}" for word in words[:MERGES]])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)


def _tensors() -> list[tuple[str, tuple[int, ...], str]]:
    """Name, shape (slowest dimension first), kind."""
    found: list[tuple[str, tuple[int, ...], str]] = [
        ("token_embd.weight", (VOCABULARY, WIDTH), "q4"),
        ("output.weight", (VOCABULARY, WIDTH), "q4"),
        ("output_norm.weight", (WIDTH,), "f32"),
    ]
    heads, kv_heads = HEADS * HEAD_WIDTH, KV_HEADS * HEAD_WIDTH
    for layer in range(LAYERS):
        shapes: dict[str, tuple[tuple[int, ...], str]] = {
            "attn_norm": ((WIDTH,), "f32"),
            "attn_q": ((heads, WIDTH), "q4"),
            "attn_k": ((kv_heads, WIDTH), "q4"),
            "attn_v": ((kv_heads, WIDTH), "q4"),
            "attn_output": ((WIDTH, heads), "q4"),
            "attn_q_norm": ((HEAD_WIDTH,), "f32"),
            "attn_k_norm": ((HEAD_WIDTH,), "f32"),
            "ffn_norm": ((WIDTH,), "f32"),
            "ffn_gate_inp": ((EXPERTS, WIDTH), "f32"),
            "ffn_gate_exps": ((EXPERTS, EXPERT_FFN, WIDTH), "q4"),
            "ffn_up_exps": ((EXPERTS, EXPERT_FFN, WIDTH), "q4"),
            "ffn_down_exps": ((EXPERTS, WIDTH, EXPERT_FFN), "q4"),
        }
        found += [(f"blk.{layer}.{name}.weight", shape, kind) for name, (shape, kind) in shapes.items()]
    return found


def _add_hole(target: Path) -> None:
    alignment = 32
    sizes = []
    for _, shape, kind in _tensors():
        elements = 1
        for extent in shape:
            elements *= extent
        sizes.append(elements // 256 * 144 if kind == "q4" else elements * 4)
    data = sum(-(-size // alignment) * alignment for size in sizes)
    header = target.stat().st_size
    with target.open("r+b") as file:
        file.truncate(-(-header // alignment) * alignment + data)
