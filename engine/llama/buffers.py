"""What llama.cpp really allocated, read from its log: the only place where it says so."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final, Literal

What = Literal["weights", "kv", "recurrent", "compute", "output"]

_MIB: Final = 1 << 20
_PATTERNS: Final[tuple[tuple[What, re.Pattern[str]], ...]] = (
    ("weights", re.compile(r"load_tensors:\s+(\S+) model buffer size =\s+([\d.]+) MiB")),
    ("kv", re.compile(r"llama_kv_cache\S*\s+(\S+) KV buffer size =\s+([\d.]+) MiB")),
    ("recurrent", re.compile(r"llama_memory_recurrent:\s+(\S+) RS buffer size =\s+([\d.]+) MiB")),
    ("compute", re.compile(r"sched_reserve:\s+(\S+) compute buffer size =\s+([\d.]+) MiB")),
    ("output", re.compile(r"llama_context:\s+(\S+)\s+output buffer size =\s+([\d.]+) MiB")),
)
"""Source: llama-model.cpp, llama-kv-cache.cpp, llama-memory-recurrent.cpp, llama-context.cpp."""


def parse_buffers(lines: Iterable[str], owners: Mapping[str, str] | None = None) -> tuple[tuple[str, str, int], ...]:
    """(buffer name, what, bytes) of a model and its one context, to 0.01 MiB.

    ``owners`` gives a device's name for the name of its buffers; others keep the name that the log calls them by.
    A buffer named twice is two buffers, but for the compute buffers: those are reserved anew, and the last counts.
    """
    found: dict[tuple[str, str], int] = {}
    for line in lines:
        for what, pattern in _PATTERNS:
            if match := pattern.search(line):
                name = owners.get(match[1], match[1]) if owners else match[1]
                key, size = (name, what), round(float(match[2]) * _MIB)
                found[key] = size if what == "compute" else found.get(key, 0) + size
                break
    return tuple((name, what, size) for (name, what), size in found.items())
