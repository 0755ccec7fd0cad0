"""Run by the finished environment: the compiled llama.cpp loads the starter model and writes a few tokens.

Uses the low-level binding directly, because the proof must not depend on the program that it is there to carry.
"""

import ctypes
import sys

import llama_cpp

PROMPT = b"The capital of France is"
TOKENS = 8


def write(model_path: str) -> str:
    """Complete a fixed prompt greedily on the processor."""
    llama_cpp.llama_backend_init()
    model_params = llama_cpp.llama_model_default_params()
    model_params.n_gpu_layers = 0
    model = llama_cpp.llama_model_load_from_file(model_path.encode(), model_params)
    if model is None:
        raise RuntimeError("the model did not load")
    context_params = llama_cpp.llama_context_default_params()
    context_params.n_ctx = 256
    context = llama_cpp.llama_init_from_model(model, context_params)
    vocab = llama_cpp.llama_model_get_vocab(model)
    tokens = (llama_cpp.llama_token * 64)()
    count = llama_cpp.llama_tokenize(vocab, PROMPT, len(PROMPT), tokens, len(tokens), True, False)
    sampler = llama_cpp.llama_sampler_init_greedy()
    written = b""
    batch = llama_cpp.llama_batch_get_one(tokens, count)
    for _ in range(TOKENS):
        if llama_cpp.llama_decode(context, batch) != 0:
            raise RuntimeError("a decode failed")
        token = llama_cpp.llama_sampler_sample(sampler, context, -1)
        piece = ctypes.create_string_buffer(64)
        length = llama_cpp.llama_token_to_piece(vocab, token, piece, len(piece), 0, False)
        written += piece.raw[: max(0, length)]
        tokens[0] = token
        batch = llama_cpp.llama_batch_get_one(tokens, 1)
    llama_cpp.llama_sampler_free(sampler)
    llama_cpp.llama_free(context)
    llama_cpp.llama_model_free(model)
    return written.decode(errors="replace")


if __name__ == "__main__":
    sys.stdout.write(f"\nproof: {write(sys.argv[1])!r}\n")
