"""Computes one full batch of a model that pools and says what llama.cpp set aside.

``python -m tests.engine.fit.pooled``: a plan on one line of stdin, bytes on one line of stdout.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import sys

from llama_cpp import llama_cpp as native

from engine.fit.plan import Plan
from engine.llama import bindings
from engine.llama.embedder import Embedder
from engine.llama.model import Model
from engine.llama.pooling import find_pooling
from engine.records import from_plain

_SIZE = re.compile(
    r"(KV|compute|output) buffer size =\s+([\d.]+) MiB|output buffer from size ([\d.]+) MiB to ([\d.]+) MiB"
)


def main() -> None:
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    plan = from_plain(Plan, json.loads(sys.stdin.readline()), "plan")
    lines: list[str] = []
    bindings.install_log(lambda _level, line: lines.append(line))
    model = Model.load(plan, lambda _ratio: True)
    pooling = find_pooling(model)
    assert pooling is not None
    embedder = Embedder(model, plan, pooling)
    embedder.embed([[model.vocabulary.bos if model.vocabulary.bos >= 0 else 5] * embedder.n_rows])
    sizes = {"KV": 0.0, "compute": 0.0}
    for line in lines:
        if match := _SIZE.search(line):
            sizes[match[1]] = float(match[2])
    told = {f"{kind.lower()}_bytes": round(size * (1 << 20)) for kind, size in sizes.items()}
    told["output_bytes"] = _output_bytes(model, embedder)
    embedder.close()
    model.close()
    out.write(json.dumps(told) + "\n")


def _output_bytes(model: Model, embedder: Embedder) -> int:
    """The buffer holds all logits, then all vectors: the distance of the two says for how many rows there is room."""
    addresses = [
        ctypes.cast(get(embedder.handle), ctypes.c_void_p).value or 0
        for get in (native.llama_get_logits, native.llama_get_embeddings)
    ]
    logits_bytes = addresses[1] - addresses[0]
    rows = logits_bytes // (4 * model.vocabulary.n_tokens)
    return int(logits_bytes + 4 * rows * native.llama_model_n_embd_out(model.handle))


if __name__ == "__main__":
    main()
