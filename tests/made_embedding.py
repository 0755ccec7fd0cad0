"""Tiny random models that make vectors or scores instead of text: encoders, and decoders pooled at their last token.

They load and compute in the real llama.cpp, and say nothing sensible. What is compared in tests is our worker with
llama-server on the same file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

WIDTH, HIDDEN, HEADS, LAYERS = 64, 128, 4, 2
LONGEST = 256
"""Tokens of the longest input."""
RERANK_TEMPLATE = (
    "<|im_start|>system\nIs the document an answer?<|im_end|>\n<|im_start|>user\n{query}\n{document}<|im_end|>\n"
)
_MEAN, _CLS, _LAST, _RANK = 1, 2, 3, 4
"""Source: ``enum llama_pooling_type`` in llama.h."""

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]


@dataclass(frozen=True)
class EmbeddingRecipe:
    """A tiny model that pools."""

    architecture: str
    pooling: int
    layer: Shapes
    top: Shapes
    causal: bool
    labels: tuple[str, ...] = ()
    template: str = ""


def _normed(*names: str) -> Shapes:
    return {f"{name}.{part}": (WIDTH,) for name in names for part in ("weight", "bias")}


_ENCODER_LAYER: Shapes = {
    "attn_output.weight": (WIDTH, WIDTH),
    **_normed("attn_output_norm", "layer_output_norm"),
    "ffn_up.weight": (HIDDEN, WIDTH),
    "ffn_down.weight": (WIDTH, HIDDEN),
}
_BERT_LAYER: Shapes = {
    **_ENCODER_LAYER,
    **{f"attn_{part}.weight": (WIDTH, WIDTH) for part in "qkv"},
    **{f"attn_{part}.bias": (WIDTH,) for part in ("q", "k", "v", "output")},
    "ffn_up.bias": (HIDDEN,),
    "ffn_down.bias": (WIDTH,),
}
_NOMIC_LAYER: Shapes = {**_ENCODER_LAYER, "attn_qkv.weight": (3 * WIDTH, WIDTH), "ffn_gate.weight": (HIDDEN, WIDTH)}
_ENCODER_TOP: Shapes = {"token_types.weight": (2, WIDTH), **_normed("token_embd_norm")}
_BERT_TOP: Shapes = {**_ENCODER_TOP, "position_embd.weight": (LONGEST, WIDTH)}
_QWEN_LAYER: Shapes = {
    "attn_norm.weight": (WIDTH,),
    "attn_q.weight": (HEADS * 32, WIDTH),
    "attn_k.weight": (2 * 32, WIDTH),
    "attn_v.weight": (2 * 32, WIDTH),
    "attn_q_norm.weight": (32,),
    "attn_k_norm.weight": (32,),
    "attn_output.weight": (WIDTH, HEADS * 32),
    "ffn_norm.weight": (WIDTH,),
    "ffn_gate.weight": (HIDDEN, WIDTH),
    "ffn_up.weight": (HIDDEN, WIDTH),
    "ffn_down.weight": (WIDTH, HIDDEN),
}
_QWEN_TOP: Shapes = {"output_norm.weight": (WIDTH,)}

EMBEDDING_RECIPES = {
    "cls": EmbeddingRecipe("bert", _CLS, _BERT_LAYER, _BERT_TOP, causal=False),
    "mean": EmbeddingRecipe("nomic-bert", _MEAN, _NOMIC_LAYER, _ENCODER_TOP, causal=False),
    "last": EmbeddingRecipe("qwen3", _LAST, _QWEN_LAYER, _QWEN_TOP, causal=True),
}
RERANK_RECIPES = {
    "cross-encoder": EmbeddingRecipe(
        "bert",
        _RANK,
        _BERT_LAYER,
        {
            **_BERT_TOP,
            "cls.weight": (WIDTH, WIDTH),
            "cls.bias": (WIDTH,),
            "cls.output.weight": (1, WIDTH),
            "cls.output.bias": (1,),
        },
        causal=False,
    ),
    "judge": EmbeddingRecipe(
        "qwen3",
        _RANK,
        _QWEN_LAYER,
        {**_QWEN_TOP, "cls.output.weight": (2, WIDTH)},
        causal=True,
        labels=("yes", "no"),
        template=RERANK_TEMPLATE,
    ),
}


def make_embedding(recipe: EmbeddingRecipe, target: Path, seed: int = 3) -> Path:
    """Write a random model after a recipe, unless it is there already."""
    if target.is_file():
        return target
    import numpy as np
    from gguf import GGUFWriter

    rng = np.random.default_rng(seed)
    unfinished = target.with_suffix(".part")
    name = recipe.architecture
    writer = GGUFWriter(unfinished, name)
    writer.add_string("general.type", "model")
    writer.add_string("general.name", f"Tiny {name} that pools")
    counts = {
        "context_length": LONGEST,
        "embedding_length": WIDTH,
        "block_count": LAYERS,
        "feed_forward_length": HIDDEN,
        "attention.head_count": HEADS,
        "pooling_type": recipe.pooling,
    }
    if recipe.causal:
        counts |= {"attention.head_count_kv": 2, "attention.key_length": 32, "attention.value_length": 32}
        counts |= {"rope.dimension_count": 32}
        writer.add_float32(f"{name}.attention.layer_norm_rms_epsilon", 1e-6)
    else:
        writer.add_bool(f"{name}.attention.causal", False)
        writer.add_float32(f"{name}.attention.layer_norm_epsilon", 1e-12)
    for key, count in counts.items():
        writer.add_uint32(f"{name}.{key}", count)
    if recipe.labels:
        writer.add_array(f"{name}.classifier.output_labels", list(recipe.labels))
    vocabulary: Callable[[object], int] = _byte_pairs if recipe.causal else _word_pieces
    n_words = vocabulary(writer)
    if recipe.template:
        writer.add_chat_template([{"name": "rerank", "template": recipe.template}])
    shapes = {"token_embd.weight": (n_words, WIDTH), **recipe.top}
    shapes |= {f"blk.{i}.{suffix}": shape for i in range(LAYERS) for suffix, shape in recipe.layer.items()}
    for tensor, shape in shapes.items():
        data = rng.normal(0, 0.2, shape).astype(np.float32)
        data += "norm.weight" in tensor
        plain = len(shape) == 1 or "position" in tensor or "types" in tensor
        writer.add_tensor(tensor, data if plain else data.astype(np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    unfinished.replace(target)
    return target


def _word_pieces(writer: object) -> int:
    """A vocabulary of BERT's kind: five marks, and every printable ASCII character at the start and inside a word."""
    from gguf import GGUFWriter, TokenType

    assert isinstance(writer, GGUFWriter)
    marks = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = [chr(code) for code in range(33, 127) if not chr(code).isupper()]
    tokens = [*marks, *(f"\u2581{letter}" for letter in letters), *letters, "\u2581the", "\u2581of", "ing", "tion"]
    writer.add_tokenizer_model("bert")
    writer.add_token_type_count(2)
    writer.add_token_list(tokens)
    kinds = [int(TokenType.CONTROL)] * len(marks) + [int(TokenType.NORMAL)] * (len(tokens) - len(marks))
    writer.add_token_types(kinds)
    for add, mark in ((writer.add_pad_token_id, 0), (writer.add_unk_token_id, 1), (writer.add_mask_token_id, 4)):
        add(mark)
    writer.add_bos_token_id(2)
    writer.add_eos_token_id(3)
    writer.add_sep_token_id(3)
    return len(tokens)


def _byte_pairs(writer: object) -> int:
    """A vocabulary of the GPT kind that closes a text with its end mark, as Qwen's embedding models do."""
    from gguf import GGUFWriter, TokenType

    assert isinstance(writer, GGUFWriter)
    marks = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    spare = iter(range(256, 512))
    letters = [chr(byte) if byte in printable else chr(next(spare)) for byte in range(256)]
    tokens = [*marks, *letters, letters[32] + "t"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types([int(TokenType.CONTROL)] * 3 + [int(TokenType.NORMAL)] * 257)
    writer.add_token_merges([f"{letters[32]} t"])
    writer.add_eos_token_id(0)
    writer.add_pad_token_id(0)
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(True)
    return len(tokens)
