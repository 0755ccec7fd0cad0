"""Feeds the reader mutated headers, in a process of its own: ``python -m tests.engine.gguf.fuzz COUNT SEED FOLDER``.

Prints one JSON object. Everything that the planner derives from a header is exercised too, because a header that is
well-formed and says nonsense must not get further either.
"""

from __future__ import annotations

import json
import random
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil

from engine.errors import ModelFileError
from engine.fit.footprint import CacheShape, group_weights, kv_bytes, recurrent_bytes
from engine.fit.layers import describe_memory
from engine.gguf.split import read_model
from engine.hub.library import collect_facts
from tests.engine.gguf.written import (
    ARRAY,
    BOOL,
    F32,
    Q4_0_TYPE,
    STRING,
    U32,
    Entry,
    TensorSpec,
    Written,
    facts,
)

_INTERESTING = (0, 1, 2, 3, 8, 9, 31, 32, 255, 256, 4_096, 65_535, 2**20, 2**22, 2**31, 2**32, 2**61, 2**63, 2**64 - 1)


def seeds() -> list[bytes]:
    """Right files to start from: dense, with windows and experts, recurrent, and with a long vocabulary."""
    tensors = [
        TensorSpec("token_embd.weight", (32, 8), Q4_0_TYPE),
        TensorSpec("blk.0.attn_q.weight", (32, 4), Q4_0_TYPE),
        TensorSpec("blk.1.ffn_up_exps.weight", (32, 4, 2)),
        TensorSpec("output.weight", (32, 8), Q4_0_TYPE),
    ]
    windows = [
        *facts("gemma3", block_count=2, **{"attention.sliding_window": 16, "expert_count": 4, "expert_used_count": 2}),
        Entry("gemma3.attention.sliding_window_pattern", ARRAY, [True, False], BOOL),
        Entry("gemma3.attention.head_count_kv", ARRAY, [1, 2], U32),
        Entry("tokenizer.chat_template", STRING, "{% for m in messages %}{{ m.content }}{% endfor %}"),
        Entry("tokenizer.ggml.tokens", ARRAY, ["a", "b", "", "é"], STRING),
        Entry("tokenizer.ggml.scores", ARRAY, [0.0, 1.0], F32),
        Entry("general.file_type", U32, 15),
    ]
    recurrent = facts("mamba2", **{"ssm.conv_kernel": 4, "ssm.inner_size": 64, "ssm.state_size": 16})
    words = [*facts(), Entry("tokenizer.ggml.tokens", ARRAY, ["w"] * 4_200, STRING)]
    files = [
        Written(facts(), tensors[:1]),
        Written(windows, tensors),
        Written(recurrent, tensors[:2]),
        Written(windows, tensors[:3]),
    ]
    return [file.encode() for file in files] * 4 + [Written(words, tensors).encode()]


def _flip(rng: random.Random, data: bytearray) -> None:
    data[_at(rng, data)] ^= 1 << rng.randrange(8)


def _replace_byte(rng: random.Random, data: bytearray) -> None:
    data[_at(rng, data)] = rng.randrange(256)


def _plant_number(rng: random.Random, data: bytearray) -> None:
    number = rng.choice(_INTERESTING)
    raw = struct.pack("<Q", number) if rng.random() < 0.6 else struct.pack("<I", number & 0xFFFFFFFF)
    at = _at(rng, data)
    data[at : at + len(raw)] = raw


def _cut(rng: random.Random, data: bytearray) -> None:
    del data[rng.randrange(len(data) + 1) :]


def _grow(rng: random.Random, data: bytearray) -> None:
    data += rng.randbytes(rng.randrange(1, 64))


def _remove(rng: random.Random, data: bytearray) -> None:
    at = _at(rng, data)
    del data[at : at + rng.randrange(1, 16)]


def _repeat(rng: random.Random, data: bytearray) -> None:
    at, length = _at(rng, data), rng.randrange(1, 40)
    data[at:at] = data[at : at + length]


_MUTATIONS: tuple[Callable[[random.Random, bytearray], None], ...] = (
    _flip,
    _flip,
    _replace_byte,
    _plant_number,
    _plant_number,
    _cut,
    _grow,
    _remove,
    _repeat,
)


def _at(rng: random.Random, data: bytearray) -> int:
    """Mostly within the first kilobyte, where the structure is."""
    return rng.randrange(min(len(data), 1_024) if rng.random() < 0.9 else len(data))


def mutate(rng: random.Random, original: bytes) -> bytes:
    """One to three mutations of a right file."""
    data = bytearray(original)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        if data:
            rng.choice(_MUTATIONS)(rng, data)
    return bytes(data)


def examine(path: Path) -> None:
    """Everything that is read from a header before a model is loaded. Raises: ``ModelFileError``."""
    header = read_model(path)
    collect_facts(header)
    shape = CacheShape(4_096, 8, 512, "q8_0")
    memory = describe_memory(header)
    assert kv_bytes(memory, shape) >= 0
    assert recurrent_bytes(memory, shape) >= 0
    assert group_weights(header).total >= 0


def _peak_by_the_system() -> int:
    """What the system noted as the highest; 0 where it notes nothing."""
    if sys.platform == "linux":
        # getrusage would answer with the parent's: Linux hands its mark down through fork and exec
        lines = Path("/proc/self/status").read_text("ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    if sys.platform == "win32":
        return 0
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main(count: int, seed: int, folder: Path) -> None:
    rng = random.Random(seed)
    originals = seeds()
    path = folder / "model.gguf"
    outcomes: Counter[str] = Counter()
    strangers: list[str] = []
    slowest_s = 0.0
    process = psutil.Process()
    peak_bytes = process.memory_info().rss
    for number in range(count):
        data = mutate(rng, rng.choice(originals))
        path.write_bytes(data)
        started = time.thread_time()
        try:
            examine(path)
            outcomes["accepted"] += 1
        except ModelFileError as error:
            outcomes[error.code] += 1
        except Exception as error:  # noqa: BLE001 - whatever else comes out is what this looks for
            strangers.append(f"{type(error).__name__}: {error} for {data.hex()[:4_000]}")
            if len(strangers) > 5:
                break
        slowest_s = max(slowest_s, time.thread_time() - started)
        if number % 64 == 0:
            peak_bytes = max(peak_bytes, process.memory_info().rss)
    peak_bytes = max(peak_bytes, _peak_by_the_system())
    report = {"outcomes": outcomes, "strangers": strangers, "slowest_s": slowest_s, "peak_bytes": peak_bytes}
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
