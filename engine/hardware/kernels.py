"""What llama.cpp's kernels were measured to do on this processor: measured once for each build and machine, then kept.

The measurement itself runs in the probe child (``engine.probe.kernels``).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import Final

from engine.hardware.profile import Kernels, Processor
from engine.probe.client import measure_kernels
from engine.probe.remembered import identify_build
from engine.records import RecordFault, from_plain, read_object, to_plain

TYPES: Final = (
    *("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"),
    *("IQ2_XXS", "IQ3_XXS", "IQ3_S", "IQ4_NL", "IQ4_XS", "MXFP4", "F16", "BF16"),
)
"""Nearly all that files on hubs are made of; the others count as the one nearest in size."""
_CACHE_NAME: Final = "kernels.json"
_CACHE_LIMIT_BYTES: Final = 256 << 10


def measured_kernels(processor: Processor, cache_folder: Path, *, timeout_s: float) -> Kernels:
    """From the cache, or measured in a child and then cached. Raises: ``ProbeFailed``."""
    file, key = cache_folder / _CACHE_NAME, _kind(processor)
    entries = _read_cache(file)
    if key in entries:
        return entries[key]
    result = measure_kernels(TYPES, timeout_s)
    _write_cache(file, {**entries, key: result})
    return result


def known_kernels(processor: Processor, cache_folder: Path) -> Kernels | None:
    """What was measured earlier, at once."""
    return _read_cache(cache_folder / _CACHE_NAME).get(_kind(processor))


def _kind(processor: Processor) -> str:
    text = json.dumps([processor.name, processor.instruction_sets, identify_build()])
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _read_cache(file: Path) -> dict[str, Kernels]:
    """What is known; nothing when the file is absent, damaged or foreign."""
    try:
        with file.open("rb") as opened:
            entries = read_object(opened.read(_CACHE_LIMIT_BYTES + 1), _CACHE_LIMIT_BYTES)
        return {key: from_plain(Kernels, value, "kernels") for key, value in entries.items()}
    except (OSError, RecordFault):
        return {}


def _write_cache(file: Path, entries: dict[str, Kernels]) -> None:
    """A cache that cannot be written costs the next start two seconds, nothing more."""
    temporary = file.with_name(f".{file.name}-{os.getpid()}")
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps({key: to_plain(value) for key, value in entries.items()}), "utf-8")
        temporary.replace(file)
