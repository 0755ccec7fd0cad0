"""Measures how fast main memory is read by several threads at once, which is what bounds decoding on the processor.

The measurement allocates and computes, so it runs in a short-lived child and its result is kept in a file, one entry
for each kind of machine. numpy is imported in the child alone.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine.hardware.attempt import ask_child
from engine.hardware.profile import Bandwidth, Memory, Processor
from engine.records import RecordFault, from_plain, read_object, to_plain

_MAX_THREADS: Final = 64
_BLOCK_BYTES: Final = 128 << 20
"""Per thread, several times the last-level cache."""
_MEMORY_SHARE: Final = 8
"""At most this part of the available memory is used for the blocks."""
_CACHE_LIMIT_BYTES: Final = 64 << 10
_CACHE_NAME: Final = "bandwidth.json"
_PLAUSIBLE: Final = (1e8, 1e13)


@dataclass(frozen=True, slots=True)
class _Measured:
    read_bytes_s: float
    threads: int


def measured_bandwidth(
    processor: Processor,
    memory: Memory,
    cache_folder: Path,
    *,
    again: bool = False,
    duration_s: float = 0.5,
    timeout_s: float = 15.0,
) -> Bandwidth:
    """From the cache, or measured in a child and then cached.

    ``again`` measures in any case and keeps the better of both: other programs can only make it look slower.
    Raises ``ProbeFailed`` when the child fails, ``RecordFault`` when it answers nonsense. A cache that cannot be read
    is measured anew; one that cannot be written is a loss of half a second each time, not an error.
    """
    key = _kind(processor, memory)
    file = cache_folder / _CACHE_NAME
    known = _read_cache(file)
    best = known.get(key)
    if best is not None and not again:
        return best
    threads = min(processor.usable_threads, _MAX_THREADS)
    block = max(1 << 20, min(_BLOCK_BYTES, memory.available_bytes // _MEMORY_SHARE // threads))
    question: dict[str, object] = {"threads": threads, "block_bytes": block, "duration_s": duration_s}
    measured = ask_child(_Measured, "bandwidth", question, timeout_s)
    if not _PLAUSIBLE[0] <= measured.read_bytes_s <= _PLAUSIBLE[1]:
        raise RecordFault(f"bandwidth of {measured.read_bytes_s:g} bytes/s is not plausible.")
    result = Bandwidth(measured.read_bytes_s, measured.threads, time.time())
    if best is not None and best.read_bytes_s >= result.read_bytes_s:
        return best
    _write_cache(file, {**known, key: result})
    return result


def known_bandwidth(processor: Processor, memory: Memory, cache_folder: Path) -> Bandwidth | None:
    """What was measured earlier, at once."""
    return _read_cache(cache_folder / _CACHE_NAME).get(_kind(processor, memory))


def _kind(processor: Processor, memory: Memory) -> str:
    return f"{processor.name} | {processor.usable_threads} threads | {round(memory.total_bytes / 2**30)} GiB"


def measure(threads: int, block_bytes: int, duration_s: float) -> _Measured:
    """Read a block per thread again and again; the best round counts. Runs in the child.

    Source: a reduction by OR touches each byte once, writes nothing, and lets go of the interpreter's lock.
    """
    import numpy as np

    blocks = [np.ones(block_bytes // 8, dtype=np.int64) for _ in range(threads)]
    start, done = threading.Barrier(threads + 1), threading.Barrier(threads + 1)
    over = threading.Event()

    def read(block: np.ndarray[tuple[int], np.dtype[np.int64]]) -> None:
        while True:
            start.wait()
            if over.is_set():
                return
            np.bitwise_or.reduce(block)
            done.wait()

    readers = [threading.Thread(target=read, args=(block,), name="read memory") for block in blocks]
    for reader in readers:
        reader.start()
    best = 0.0
    deadline = time.perf_counter() + duration_s
    while True:
        before = time.perf_counter()
        start.wait()
        done.wait()
        after = time.perf_counter()
        best = max(best, sum(block.nbytes for block in blocks) / (after - before))
        if after >= deadline:
            break
    over.set()
    start.wait()
    for reader in readers:
        reader.join()
    return _Measured(best, threads)


def _read_cache(file: Path) -> dict[str, Bandwidth]:
    """What is known; nothing when the file is absent, damaged or foreign."""
    try:
        with file.open("rb") as opened:
            entries = read_object(opened.read(_CACHE_LIMIT_BYTES + 1), _CACHE_LIMIT_BYTES)
        return {key: from_plain(Bandwidth, value, "bandwidth") for key, value in entries.items()}
    except (OSError, RecordFault):
        return {}


def _write_cache(file: Path, entries: dict[str, Bandwidth]) -> None:
    temporary: str | None = None
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=file.parent, prefix=".bandwidth-")
        with os.fdopen(handle, "w", encoding="utf-8") as opened:
            json.dump({key: to_plain(value) for key, value in entries.items()}, opened, indent=2)
        Path(temporary).replace(file)
    except OSError:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
